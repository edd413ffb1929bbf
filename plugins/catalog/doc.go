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
// An entity comes from an [EntityProvider]. Two are built in: the locations of the configuration, and those that are registered over the API. A
// module brings its own:
//
//	func start(providers catalog.EntityProviders) { providers.AddEntityProvider(cmdb) }
//
// What a provider hands over is processed: placeholders ($text, $json, $yaml) are filled in, the entity is validated and related to others, and
// the files that a Location points to are read and processed in turn. What is wrong with a file is in the status of its Location, and what is wrong
// with an entity is its own error (see package unprocessed), each with file and line; all others arrive, and an entity that was valid before
// stays as it was.
//
// # Modules
//
// A module takes part by asking for one of these, which are what Backstage's extension points are:
//
//	EntityProviders   catalogProcessingExtensionPoint.addEntityProvider
//	Processing        its other methods, and those of catalogModelExtensionPoint and catalogLocationsExtensionPoint
//	Analysis          catalogAnalysisExtensionPoint
//	Permissions       addPermissionRules of the permissions registry
//
// addModelSource has no counterpart: kinds are Go values ([Processing].AddKind), and the action get-catalog-model-description tells of their
// schemas and relations, of those of modules as of those that are built in. setAllowedLocationTypes replaces
// the list; AllowLocationTypes adds to url. A module's rule on entities is a query, so that it costs no more than one of the catalog's:
//
//	func start(permissions catalog.Permissions) { permissions.AddPermissionRules(isInTier) }
//
// # Files
//
// Targets of configured locations are relative to the working directory of the process, and may be any file. Those of files may be patterns, such as
// ./components/*.yaml or ./**/catalog-info.yaml, with *, ?, [a-z], {a,b} and ** for any directories. What stands in such a file
// may point to further files, in Locations and placeholders, but only to those below the directory of the configured file or below the
// working directory: symbolic links do not lead out of these.
//
// # Source control
//
// With catalog.scmEvents, registered locations follow what modules such as that for GitHub are told by webhooks ([SCMEvents]):
//
//	catalog:
//	  scmEvents: true      # or { refresh: …, unregister: …, move: … }, all of which are true unless they are false
//
// What was made of a file is processed anew when the file changes; a location is unregistered when its file or repository is deleted, and
// gets a new URL when that has moved. It keeps its id and the name of its entity then, and the entities there keep their uids; in Backstage
// all of them are made anew.
//
// # Memory
//
// Each replica answers from memory, in which an entity takes about a kilobyte, most of it its compressed JSON, and more the more of its fields
// queries have asked for. A provider that hands over all entities in one full mutation has them in memory meanwhile, where one takes about what its
// JSON does; one that brings them page by page, in delta mutations or by package incremental, does not. Go lets a process grow to about twice of
// what it needs: the environment variables GOGC and GOMEMLIMIT bound that. With 100,000 entities, a process takes less than 400 MB.
//
// # Metrics
//
// These are recorded, by the names and attributes of Backstage:
//
//	catalog_entities_count                by kind
//	catalog_registered_locations_count
//	catalog.processed.entities.count      by result: changed, unchanged, errors; entities that are processed anew count as changed
//	catalog.processing.duration           of one entity, by result
//	catalog.processors.duration           of one entity, by result: ok, failed
//	catalog.processing.queue.delay        for how long an entity had been due when processing it began: what grows when the catalog falls behind
//	catalog.stitched.entities.count       final entities that were made, by result: changed, unchanged
//	catalog.stitching.queue.length        final entities that wait to be made
//	catalog.events.scm.messages           by eventType: location, repository
//
// and beyond it catalog.events.scm.actions, by action (refresh, move, delete), and catalog.conflicts.count. Backstage's catalog_relations_count,
// catalog.stitching.duration and catalog.stitching.queue.delay are not there: relations are not counted one by one, and final entities are made by
// the thousand.
//
// # Permissions
//
// Package catalogpermission has the permissions that the catalog asks for. Conditions on entities become part of what the catalog looks for:
// what somebody may not read is not counted, not on a page, not a value of a facet, and not found. The routes for changes and locations hide it
// as well.
//
// # Changes
//
// Beyond Backstage, the catalog remembers what changes: when, why, and what entities were before, for as long as catalog.history.retention
// says (30 days).
//
//	GET /changes?cursor=…&limit=…&filter=…&fields=…&previous=true
//
// answers changes behind a cursor, in the order in which they happened, with the cursor to go on at; without a cursor, it begins with what
// changes from now on, and with cursor=earliest with all that is remembered. The filter is that of GET /entities: an entity that begins to
// pass it is created, and one that ends to pass it is deleted, as far as the reader can see. A cursor that is too old is answered with
// status 410. With `Accept: text/event-stream`, the same comes as server-sent events as it happens, for EventSource; Last-Event-ID is the
// cursor. A replica has room for 2,000 such streams, 100 of one user: others are refused with status 503 and 429.
//
// GET /entities/by-name/:kind/:namespace/:name/history answers how an entity changed, the latest change first; include=entity,previous,diff asks
// for what it became, what it was and a JSON Patch. With at=2026-01-31T12:00:00Z, the endpoints that answer entities and facets do so
// from the catalog as it was then.
//
// GET /export answers all entities, or those that pass a filter, one in each line; after=<ref> goes on behind an entity, and the header
// Catalog-Cursor has the cursor from which on changes complete it. POST /import?provider=name&mode=full|delta takes such lines from
// services: full replaces what was imported under that name before, delta adds to it and takes away what lines like
// {"delete": "component:default/a"} say. The answer tells what is wrong with which line; others are taken, and a full import removes nothing
// unless all of them are. The entities stay until an import removes them.
//
// Webhooks are called with the same, signed as https://www.standardwebhooks.com says:
//
//	catalog:
//	  webhooks:
//	    - url: https://example.com/hook
//	      secret: ${HOOK_SECRET}         # whsec_…
//	      filter: kind=component
//
// The body is {"type": "catalog.entities.changed", "timestamp": …, "data": {"items": […], "cursor": …}}, with up to 100 changes. One replica at a
// time calls a webhook. A change may come twice, but none is left out; if changes were deleted before the webhook has got them, data has
// "lost": true. GET /webhooks tells services how each is doing; one that has failed for five days is disabled until
// POST /webhooks/:id/enable.
package catalog
