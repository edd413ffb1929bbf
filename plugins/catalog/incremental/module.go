package incremental

import (
	"embed"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// Providers lets modules add sources that are read page by page.
type Providers interface {
	// AddProvider adds a source. Names are unique among all entity providers of a catalog.
	AddProvider(Source)
}

// ProvidersPoint is the extension point for [Providers].
var ProvidersPoint = extension.NewPoint[Providers]("catalog.incrementalIngestionProvider.providers")

// Recorder stands in for the module in tests of modules that add sources: it records them. The zero value is ready for use.
type Recorder struct {
	mu sync.Mutex
	// Sources are the sources in the order in which they were added.
	Sources []Source
}

// AddProvider implements [Providers].
func (r *Recorder) AddProvider(s Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Sources = append(r.Sources, s)
}

// sources are what modules have added.
type sources struct{ Recorder }

func newSources() *sources { return &sources{} }

//go:embed migrations/*.sql
var migrations embed.FS

// Module adds to the catalog the ingestion of sources page by page.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "incremental-ingestion-entity-provider",
		plugin.Migrations(migrations),
		plugin.Provide(ProvidersPoint, newSources),
		plugin.Init(start),
	)
}

type deps struct {
	fx.In

	Sources   *sources
	Catalog   catalog.EntityProviders
	Scheduler service.Scheduler
	Events    service.Events
	Router    *echo.Group
	Auth      service.HTTPAuth
	Permitted service.Permissions
	DB        *bun.DB
	Log       *slog.Logger
	Clock     clockwork.Clock
}

func start(d deps) error {
	ledger := &ledger{db: d.DB, now: d.Clock.Now}
	for _, source := range d.Sources.Sources {
		if err := source.validate(); err != nil {
			return fmt.Errorf("catalog/incremental: %w", err)
		}
		d.Catalog.AddEntityProvider(&engine{
			source: source, ledger: ledger, scheduler: d.Scheduler, events: d.Events, clock: d.Clock, log: d.Log.With("provider", source.name),
		})
	}
	routes{ledger}.register(d.Router.Group("/incremental", permitted(d.Auth, d.Permitted)))
	return nil
}
