package catalog

import (
	"context"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// configuredLocations brings the locations of the configuration, each as an entity of kind Location.
type configuredLocations struct{ locations []ingest.Location }

func (c *configuredLocations) Name() string { return "ConfigLocationProvider" }

func (c *configuredLocations) Connect(ctx context.Context, conn EntityProviderConnection) error {
	entities := make([]DeferredEntity, len(c.locations))
	for i, location := range c.locations {
		e, err := LocationEntity(catalogmodel.LocationSpec{Type: location.Type, Target: location.Target})
		if err != nil {
			return err
		}
		entities[i] = DeferredEntity{Entity: e, LocationKey: e.Annotation(catalogmodel.AnnotationManagedByLocation)}
	}
	return conn.ApplyMutation(ctx, FullMutationOf(entities...))
}

// registeredLocations brings the locations that were registered over the API.
type registeredLocations struct {
	store *store.Store
	wake  func()
}

// Name implements [EntityProvider].
func (*registeredLocations) Name() string { return store.LocationStore }

// Connect implements [EntityProvider]. Locations that are registered later are brought by the store, together with their rows.
func (r *registeredLocations) Connect(ctx context.Context, _ EntityProviderConnection) error {
	defer r.wake()
	return r.store.RestoreLocations(ctx, ingest.RegisteredEntity)
}
