// Package query holds the query language of the catalog: the terms that an entity is found by, predicates over them, the filter
// syntax of URLs, field selection and cursors. It says what a query means; package index answers it.
package query
