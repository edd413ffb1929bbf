// Package api serves the catalog over HTTP, as @backstage/plugin-catalog-backend does.
package api
