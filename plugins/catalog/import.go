package catalog

import (
	"context"
	"net/http"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/internal/access"
	"github.com/portico-dev/portico/plugins/catalog/internal/api"
	"github.com/portico-dev/portico/plugins/catalog/internal/bulk"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// importedPrefix is that of the names of providers whose entities were imported. They are there as long as their entities are.
const importedPrefix = "import:"

// imported is a provider that somebody imports for.
type imported struct{ *connection }

// Apply implements bulk.Target.
func (i imported) Apply(ctx context.Context, added []catalogmodel.Entity, removed []string) ([]store.Conflict, error) {
	entities, err := i.ingested(deferred(added))
	if err != nil {
		return nil, err
	}
	return i.store.Update(ctx, i.name, entities, removed)
}

// Brought implements bulk.Target.
func (i imported) Brought(ctx context.Context) ([]string, error) { return i.store.Brought(ctx, i.name) }

// registerBulk adds the routes of export and import.
func registerBulk(router api.Router, d deps, s *store.Store, engine *ingest.Engine, allowed *access.Control) {
	target := func(provider string) bulk.Target {
		return imported{&connection{name: importedPrefix + provider, store: s, engine: engine, log: d.Log}}
	}
	allow := func(r *http.Request) error {
		if err := d.servicesOnly(r); err != nil {
			return err
		}
		return allowed.Require(r, catalogpermission.EntityCreate)
	}
	api.Bulk{Store: s, Visible: allowed.Visible, Allow: allow, Target: target, Imported: engine.Wake, Log: d.Log}.Register(router)
}
