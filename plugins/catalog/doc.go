// Package catalog is the software catalog: the plugin that gathers entities from files, URLs and other systems, and serves them below
// /api/catalog, as @backstage/plugin-catalog-backend does.
//
//	catalog:
//	  locations:
//	    - type: file
//	      target: ./catalog/all.yaml
//	      rules: [{allow: [Component, API, System, User, Group, Location]}]
//
// # Entities
//
// An entity comes from an [EntityProvider]. One is built in: the locations of the configuration. A module brings its own:
//
//	func start(providers catalog.EntityProviders) { providers.AddEntityProvider(cmdb) }
//
// What a provider hands over is processed: placeholders ($text, $json, $yaml) are filled in, the entity is validated and related to others, and
// the files that a Location points to are read and processed in turn. Entities that are not valid are logged, with file and line; all
// others arrive, and an entity that was valid before stays as it was.
//
// # Files
//
// Targets of configured locations are relative to the working directory of the process, and may be any file. What stands in such a file
// may point to further files, in Locations and placeholders, but only to those below the directory of the configured file or below the
// working directory: symbolic links do not lead out of these.
package catalog
