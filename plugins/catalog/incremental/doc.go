// Package incremental is a module of the catalog plugin for sources that are too large to be read at once: it ingests them page by page,
// in bursts, and goes on after a restart where it was. It is @backstage/plugin-catalog-backend-module-incremental-ingestion.
//
//	backend.Main(catalog.Plugin(), incremental.Module(), inventory.Module())
//
// A source implements [Provider]; a module of its own adds it with [Providers], together with [Options] for its rhythm:
//
//	func start(providers incremental.Providers) {
//		providers.AddProvider(incremental.NewSource(&inventory{}, incremental.Options{
//			BurstInterval: 5 * time.Second, BurstLength: 3 * time.Second, RestLength: 24 * time.Hour,
//		}))
//	}
//
// # Ingestions
//
// An ingestion goes through all pages of the source once. It does so in bursts of BurstLength, one every BurstInterval; after the last
// page it rests for RestLength, and then the next ingestion begins. A failed burst is tried again after the times of Backoff. One replica
// at a time works on a source.
//
// Each page is given to the catalog, and then marked in the plugin's database together with the cursor of the page after it. Whatever
// happens to the backend, the ingestion goes on after the last mark: a page that was given to the catalog but not marked yet is asked for
// again, no other one. After the last page, entities of earlier ingestions that no page had are removed. If RejectRemovalsAbovePercentage
// or RejectEmptySourceCollections prevents that, they stay, and the next ingestion decides about them anew.
//
// A [Provider] that is also an [EventHandler] adds and removes entities between bursts, as events tell of changes.
//
// # Routes
//
// They are those of Backstage, below /api/catalog. Reading needs the permission catalog.ingestion.read, all else catalog.ingestion.manage.
//
//	GET    /incremental/health
//	POST   /incremental/cleanup                       forgets everything, and pauses all providers for a day
//	GET    /incremental/providers                     all that have ever begun
//	GET    /incremental/providers/:provider           what it does, and until when
//	DELETE /incremental/providers/:provider           forgets what it has brought, and pauses it for a day
//	POST   /incremental/providers/:provider/trigger   ends a rest, pause or backoff
//	POST   /incremental/providers/:provider/start     begins anew
//	POST   /incremental/providers/:provider/cancel    ends the ingestion, and pauses for a day
//	GET    /incremental/providers/:provider/marks     the pages so far, the last one first
//	DELETE /incremental/providers/:provider/marks     forgets what earlier ingestions brought and this one has not
//
// What was forgotten stays in the catalog until its provider brings it again and then not any more.
//
// # Differences from Backstage
//
// A cancelled ingestion begins anew after its pause; in Backstage it never does. Entities whose removal was rejected are not forgotten. A
// provider that nobody knows can't be deleted.
package incremental
