// Package ingest makes catalog entities of what was ingested: it validates, annotates and relates them, reads the files that Locations
// point to, and keeps to the rules about what may come from where.
package ingest
