// Package portico is the documentation of Portico, a library for building the backend of a developer portal.
//
// Portico is the Backstage backend system, rebuilt in Go: the stock Backstage frontend, catalog-info.yaml files, templates and
// app-config.yaml work with it unmodified. Five words are enough to find one's way:
//
//   - A Backend runs everything (package backend). A company's portal is a main function that adds features to one.
//   - A Plugin is a part of the portal with routes, a database and a cache of its own: catalog, auth, scaffolder … (package plugin).
//   - A Module extends one plugin: a source of entities for the catalog, say (package plugin).
//   - A Service is a value that plugins share or get an instance of: logger, database, scheduler … Each can be replaced (package service).
//   - An ExtensionPoint is the place at which a plugin lets its modules take part (package extension).
//
// What a plugin, a module or a service depends on are the parameters of a function. Package backendtest runs a backend in a test.
package portico
