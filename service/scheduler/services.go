package scheduler

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/database"
	"github.com/portico-dev/portico/service/telemetry"
)

//go:embed schema.json
var schema []byte

// Services are the default services of this package. ownDatabase tells that plugins have another *bun.DB than that of the
// *database.Manager: tasks then use it, and each plugin with a scheduler has one.
func Services(ownDatabase bool) []service.Service {
	constructor := any(fromManager)
	if ownDatabase {
		constructor = fromDatabase
	}
	return []service.Service{
		service.PerPlugin[service.Scheduler](constructor, service.ConfigSchema(schema)),
		service.Root[clockwork.Clock](clockwork.NewRealClock),
	}
}

// Dependencies are what the scheduler of a plugin asks for.
type Dependencies struct {
	fx.In

	Metadata  plugin.Metadata
	Instance  service.Instance
	Log       *slog.Logger
	Clock     clockwork.Clock
	Config    service.Config
	Routes    *echo.Group
	Auth      service.HTTPAuth
	Lifecycle fx.Lifecycle

	Telemetry telemetry.Providers
	Meter     metric.Meter `optional:"true"`
	Tracer    trace.Tracer `optional:"true"`
}

// InProcess returns a scheduler for a backend without other replicas, such as one in a test: global tasks need no database, and run by the
// clock of the backend like local ones.
func InProcess(d Dependencies) (*Scheduler, error) { return d.scheduler(nil) }

func fromManager(d Dependencies, manager *database.Manager) (*Scheduler, error) {
	return d.scheduler(func(ctx context.Context) (*bun.DB, error) {
		db, err := manager.Open(ctx, d.Metadata.ID)
		if err != nil || manager.SkipMigrations(d.Metadata.ID) {
			return db, err
		}
		return db, Migrate(ctx, db, d.Metadata.ID, d.Log)
	})
}

func fromDatabase(d Dependencies, db *bun.DB, manager *database.Manager) (*Scheduler, error) {
	return d.scheduler(func(ctx context.Context) (*bun.DB, error) {
		if manager.SkipMigrations(d.Metadata.ID) {
			return db, nil
		}
		return db, Migrate(ctx, db, d.Metadata.ID, d.Log)
	})
}

func (d Dependencies) scheduler(open func(context.Context) (*bun.DB, error)) (*Scheduler, error) {
	options := Options{PluginID: d.Metadata.ID, Log: d.Log, Clock: d.Clock, Database: open, Ready: func(ctx context.Context) bool {
		state, err := d.Instance.Await(ctx, d.Metadata.ID)
		return err == nil && state == service.StateRunning
	}}
	var err error
	if options.Lease, options.Overrides, err = readConfig(d.Config, d.Metadata.ID); err != nil {
		return nil, err
	}
	auth := d.Auth
	var anyone bool
	if err := d.Config.Decode("backend.auth.dangerouslyDisableDefaultAuthPolicy", &anyone); err != nil {
		return nil, err
	}
	if anyone {
		auth = nil
	}
	s := New(options)
	if d.Telemetry.On() {
		if s.observer, err = newObserver(d.Meter, d.Tracer, d.Clock); err != nil {
			return nil, fmt.Errorf("scheduler: %w", err)
		}
	}
	s.AddRoutes(d.Routes, auth)
	d.Lifecycle.Append(fx.Hook{OnStart: s.Start, OnStop: s.Stop})
	return s, nil
}

func readConfig(config service.Config, pluginID string) (lease time.Duration, overrides map[string]Override, err error) {
	settings := struct {
		Lease time.Duration `schema:"min=1s"`
	}{Lease: DefaultLease}
	if err := config.Decode("backend.scheduler", &settings); err != nil {
		return 0, nil, err
	}
	if err := config.Decode("backend.scheduler.tasks."+pluginID, &overrides); err != nil {
		return 0, nil, err
	}
	return settings.Lease, overrides, nil
}
