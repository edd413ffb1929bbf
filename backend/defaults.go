package backend

import (
	"context"
	_ "embed"
	"log/slog"
	"reflect"
	"slices"

	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/actions"
	"github.com/portico-dev/portico/service/auditor"
	"github.com/portico-dev/portico/service/auth"
	"github.com/portico-dev/portico/service/cache"
	"github.com/portico-dev/portico/service/database"
	"github.com/portico-dev/portico/service/discovery"
	"github.com/portico-dev/portico/service/events"
	"github.com/portico-dev/portico/service/health"
	"github.com/portico-dev/portico/service/httpclient"
	"github.com/portico-dev/portico/service/httprouter"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/logger"
	"github.com/portico-dev/portico/service/permissions"
	"github.com/portico-dev/portico/service/scheduler"
	"github.com/portico-dev/portico/service/telemetry"
	"github.com/portico-dev/portico/service/urlreader"
)

// defaultServices are the services that every backend has unless an adopter replaces them with added ones.
func (b *Backend) defaultServices(added []service.Service) []service.Service {
	isDatabase := func(s service.Service) bool { return s.Type() == reflect.TypeFor[*bun.DB]() }
	services := slices.Concat(
		logger.Services(),
		telemetry.Services(),
		health.Services(),
		httprouter.Services(),
		auth.Services(),
		auditor.Services(),
		actions.Services(),
		httpclient.Services(),
		database.Services(),
		cache.Services(),
		discovery.Services(),
		integration.Services(),
		urlreader.Services(),
		permissions.Services(),
		events.Services(),
		scheduler.Services(slices.ContainsFunc(added, isDatabase)),
	)
	if !b.quiet {
		return services
	}
	for n, s := range services {
		if s.Type() == reflect.TypeFor[service.RootLogger]() {
			services[n] = service.Root[service.RootLogger](discardLogger)
		}
	}
	return services
}

func discardLogger() service.RootLogger {
	return service.RootLogger{Logger: slog.New(slog.DiscardHandler)}
}

//go:embed config.schema.json
var configSchema []byte

// valueTypes are the types of what the backend itself provides, beside services: to everyone, and to plugins only.
func valueTypes() (root, perPlugin []reflect.Type) {
	root = []reflect.Type{
		reflect.TypeFor[context.Context](),
		reflect.TypeFor[fx.Lifecycle](), // fx itself provides each container's own
		reflect.TypeFor[service.Config](),
		reflect.TypeFor[service.Instance](),
		reflect.TypeFor[service.RootLifecycle](),
	}
	return root, []reflect.Type{reflect.TypeFor[plugin.Metadata]()}
}

func (b *Backend) rootValues(lifetime context.Context, values wiring.Values) {
	wiring.Set(values, lifetime)
	wiring.Set(values, b.config)
	wiring.Set[service.Instance](values, b.instance)
	wiring.Set[service.RootLifecycle](values, b.hooks)
}

// migrate brings the database of a plugin up to date.
func migrate(ctx context.Context, pl *wiring.Plugin, manager *database.Manager, db *bun.DB, log *slog.Logger) error {
	if manager.SkipMigrations(pl.ID()) {
		return nil
	}
	for _, m := range pl.Migrations() {
		if err := database.Migrate(ctx, db, m.Owner, m.Files, log); err != nil {
			return err
		}
	}
	return nil
}
