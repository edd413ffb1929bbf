package catalog

import (
	"context"
	"embed"
	"log/slog"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/internal/api"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed config.schema.json
var configSchema []byte

// Plugin is the catalog plugin.
func Plugin() plugin.Plugin {
	return plugin.New("catalog",
		plugin.Migrations(migrations),
		plugin.ConfigSchema(configSchema),
		plugin.Provide(EntityProvidersPoint, newEntityProviders),
		plugin.Init(start),
	)
}

type deps struct {
	fx.In

	Config    service.Config
	Router    *echo.Group
	DB        *bun.DB
	Log       *slog.Logger
	Clock     clockwork.Clock
	Lifecycle fx.Lifecycle
	Providers *entityProviders
}

func start(d deps) error {
	settings, err := readSettings(d.Config)
	if err != nil {
		return err
	}
	entities := index.New()
	followed := &follower{index: entities, log: d.Log}
	s := store.New(d.DB, d.Clock.Now, followed.committed)
	followed.store = s
	pipeline := ingest.New(settings.rules, catalogmodel.Default(), d.Log)
	engine := &ingest.Engine{
		Store: s, Pipeline: pipeline, Clock: d.Clock, Log: d.Log,
		Interval: settings.interval, KeepOrphans: settings.keepOrphans,
	}
	providers := []EntityProvider{&configuredLocations{locations: settings.locations}}
	for _, p := range d.Providers.Providers {
		if !settings.disabled[p.Name()] {
			providers = append(providers, p)
		}
	}
	api.New(entities, s.Parents).Register(d.Router)
	api.Ingestion{
		Refresh: func(ctx context.Context, ref string) error {
			defer engine.Wake()
			return s.Refresh(ctx, ref)
		},
		Process: pipeline.Process,
	}.Register(d.Router)
	run := background{tasks: []func(context.Context){engine.Run, func(ctx context.Context) { followed.run(ctx, d.Clock) }}}
	d.Lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			if err := followed.load(ctx); err != nil {
				return err
			}
			if err := connect(ctx, providers, s, engine, d.Log); err != nil {
				return err
			}
			if !settings.keepForgotten {
				if err := forget(ctx, s, providers, d.Log); err != nil {
					return err
				}
			}
			run.start()
			return nil
		},
		OnStop: run.stop,
	})
	return nil
}

// forget takes away what providers have brought that are not there any more.
func forget(ctx context.Context, s *store.Store, providers []EntityProvider, log *slog.Logger) error {
	names := make([]string, len(providers))
	for i, p := range providers {
		names[i] = p.Name()
	}
	forgotten, err := s.Forget(ctx, names)
	for _, name := range forgotten {
		log.InfoContext(ctx, "Removed the entities of an entity provider that is not there any more (see catalog.orphanProviderStrategy)", "provider", name)
	}
	return err
}
