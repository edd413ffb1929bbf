package catalog

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// EntityProviders lets modules add sources of entities.
type EntityProviders interface {
	// AddEntityProvider adds a source. Names are unique in a catalog. It is connected while the plugin starts.
	AddEntityProvider(EntityProvider)
}

// EntityProvidersPoint is the extension point for [EntityProviders].
var EntityProvidersPoint = extension.NewPoint[EntityProviders]("catalog.entityProviders")

// EntityProvider is a source of entities.
type EntityProvider interface {
	// Name tells the provider from others. It must never change: the catalog remembers by it what the provider has brought.
	Name() string
	// Connect hands the provider what it brings entities with. It is called once and should return soon; the context ends when it has
	// returned. An error, or a panic, keeps the plugin from starting. What goes on afterwards belongs into a task of service.Scheduler or a
	// subscription to events: a panic there is logged and ends nothing else, while one in a goroutine that the provider starts itself
	// ends the process, as in any Go program.
	Connect(ctx context.Context, conn EntityProviderConnection) error
}

// EntityProviderConnection takes what an [EntityProvider] brings. It is safe for concurrent use.
type EntityProviderConnection interface {
	// ApplyMutation stores a change of what the provider brings. When it returns, the change is durable; processing follows at once,
	// but is not waited for. A mutation that changes nothing writes nothing. An entity that somebody else has brought already is
	// left to them, and logged.
	ApplyMutation(ctx context.Context, m Mutation) error
	// Refresh has the entities processed anew, soon, that were made of something with one of the names: their refresh keys. That of a
	// file is its location, such as url:https://github.com/org/repo/blob/main/catalog-info.yaml.
	Refresh(ctx context.Context, keys ...string) error
}

// Mutation is a change of what a provider brings: make one with [FullMutation] or [DeltaMutation].
type Mutation struct {
	full    bool
	added   []DeferredEntity
	removed []catalogmodel.Ref
}

// DeferredEntity is an entity before it is processed.
type DeferredEntity struct {
	// Entity is the entity. Annotations say where it was read and which location led there; without them, that is the provider.
	Entity catalogmodel.Entity
	// LocationKey guards the entity: a provider or location that brings it with another key is refused. Empty: the name of the
	// provider.
	LocationKey string
}

// FullMutation makes the entities everything that the provider brings. What it brought before, and nobody else does, is deleted.
func FullMutation(entities ...catalogmodel.Entity) Mutation {
	return FullMutationOf(deferred(entities)...)
}

// FullMutationOf is [FullMutation] for entities with location keys.
func FullMutationOf(entities ...DeferredEntity) Mutation {
	return Mutation{full: true, added: slices.Clone(entities)}
}

// DeltaMutation adds some entities, or replaces them, and takes others away.
func DeltaMutation(added []catalogmodel.Entity, removed []catalogmodel.Ref) Mutation {
	return DeltaMutationOf(deferred(added), removed)
}

// DeltaMutationOf is [DeltaMutation] for entities with location keys.
func DeltaMutationOf(added []DeferredEntity, removed []catalogmodel.Ref) Mutation {
	return Mutation{added: slices.Clone(added), removed: slices.Clone(removed)}
}

// Full tells whether the mutation replaces everything that the provider brings.
func (m Mutation) Full() bool { return m.full }

// Added are the entities that the mutation brings.
func (m Mutation) Added() []DeferredEntity { return slices.Clone(m.added) }

// Removed are the entities that the mutation takes away.
func (m Mutation) Removed() []catalogmodel.Ref { return slices.Clone(m.removed) }

// LocationEntity is an entity that has the catalog read what spec points to, for providers that find files. Of spec, the type and the
// target are required; the name of the entity is derived from these, and so are its annotations. Where spec.Presence is "optional", it is
// no error if there is nothing.
func LocationEntity(spec catalogmodel.LocationSpec) (catalogmodel.Entity, error) {
	return ingest.LocationEntity(spec)
}

func deferred(entities []catalogmodel.Entity) []DeferredEntity {
	all := make([]DeferredEntity, len(entities))
	for i, e := range entities {
		all[i] = DeferredEntity{Entity: e}
	}
	return all
}

// EntityProviderRecorder stands in for the catalog in tests of modules: it records the providers that they add. The zero value is
// ready for use.
type EntityProviderRecorder struct {
	mu sync.Mutex
	// Providers are the providers in the order in which they were added.
	Providers []EntityProvider
}

// AddEntityProvider implements [EntityProviders].
func (r *EntityProviderRecorder) AddEntityProvider(p EntityProvider) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Providers = append(r.Providers, p)
}

// entityProviders is what modules have added.
type entityProviders struct{ EntityProviderRecorder }

func newEntityProviders() *entityProviders { return &entityProviders{} }

// connect connects the providers, each of which must have a name of its own.
func connect(ctx context.Context, providers []EntityProvider, s *store.Store, engine *ingest.Engine, news *publisher, log *slog.Logger) error {
	seen := map[string]bool{}
	for _, p := range providers {
		name := p.Name()
		if name == "" || len(name) > maxProviderName {
			return fmt.Errorf("catalog: the entity provider %T has the name %q, which must have 1 to %d bytes", p, name, maxProviderName)
		}
		if seen[name] {
			return fmt.Errorf("catalog: there are two entity providers with the name %q", name)
		}
		seen[name] = true
		conn := &connection{name: name, store: s, engine: engine, news: news, log: log.With("provider", name)}
		if err := contain(func() error { return p.Connect(ctx, conn) }); err != nil {
			return fmt.Errorf("catalog: connecting the entity provider %s: %w", name, err)
		}
	}
	return nil
}

const maxProviderName = 100

// contain calls a function of a module, and answers its panic as an error.
func contain(call func() error) (err error) {
	defer panics.Recover(&err)
	return call()
}

// connection is the catalog as one provider sees it.
type connection struct {
	name   string
	store  *store.Store
	engine *ingest.Engine
	news   *publisher
	log    *slog.Logger
}

func (c *connection) ApplyMutation(ctx context.Context, m Mutation) error {
	entities, err := c.ingested(m.added)
	if err != nil {
		return err
	}
	var conflicts []store.Conflict
	if m.full {
		conflicts, err = c.store.Replace(ctx, c.name, entities)
	} else {
		removed := make([]string, len(m.removed))
		for i, ref := range m.removed {
			removed[i] = ref.String()
		}
		conflicts, err = c.store.Update(ctx, c.name, entities, removed)
	}
	if err != nil {
		return err
	}
	c.news.refused(ctx, conflicts)
	c.engine.Wake()
	return nil
}

func (c *connection) Refresh(ctx context.Context, keys ...string) error {
	defer c.engine.Wake()
	_, err := c.store.RefreshByKeys(ctx, keys)
	return err
}

// ingested are the entities in the form that is stored. It fails if one lacks what it takes for that.
func (c *connection) ingested(added []DeferredEntity) (iter.Seq[store.Ingested], error) {
	for _, d := range added {
		if err := ingest.CheckEnvelope(d.Entity); err != nil {
			return nil, fmt.Errorf("catalog: an entity of provider %s: %w", c.name, err)
		}
	}
	return func(yield func(store.Ingested) bool) {
		for _, d := range added {
			if !yield(store.Ingested{Entity: c.attribute(d.Entity), LocationKey: cmp.Or(d.LocationKey, "provider:"+c.name)}) {
				return
			}
		}
	}, nil
}

// attribute adds the annotations of its origin that an entity lacks.
func (c *connection) attribute(e catalogmodel.Entity) catalogmodel.Entity {
	location := catalogmodel.LocationRef{Type: "provider", Target: strings.ReplaceAll(c.name, " ", "-")}.String()
	if e.Annotation(catalogmodel.AnnotationManagedByLocation) == "" {
		e = e.WithAnnotation(catalogmodel.AnnotationManagedByLocation, location)
	}
	if e.Annotation(catalogmodel.AnnotationManagedByOriginLocation) == "" {
		e = e.WithAnnotation(catalogmodel.AnnotationManagedByOriginLocation, e.Annotation(catalogmodel.AnnotationManagedByLocation))
	}
	return e
}
