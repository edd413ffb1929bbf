package events

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/database"
	"github.com/portico-dev/portico/service/telemetry"
)

//go:embed schema.json
var schema []byte

// pluginID is whose database has the log: that of Backstage's events plugin.
const pluginID = "events"

// Services are the default services of this package.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Bus](newBus, service.ConfigSchema(schema)),
		service.PerPlugin[service.Events](forPlugin),
	}
}

func newBus(config service.Config, log service.RootLogger, manager *database.Manager, lifecycle fx.Lifecycle,
	providers telemetry.Providers) (*Bus, error) {
	settings := struct {
		UseEventBus string `schema:"enum=never|always|auto"`
		Bus         struct {
			Lease     time.Duration `schema:"min=1s"`
			MaxAge    time.Duration `schema:"min=1m"`
			MaxEvents int64         `schema:"min=1"`
		}
	}{}
	settings.Bus.Lease, settings.Bus.MaxAge, settings.Bus.MaxEvents = defaultLease, defaultMaxAge, defaultMaxEvents
	if err := config.Decode("events", &settings); err != nil {
		return nil, err
	}
	options := Options{Log: log.Logger, Lease: settings.Bus.Lease, MaxAge: settings.Bus.MaxAge, MaxEvents: settings.Bus.MaxEvents,
		Telemetry: providers}
	if settings.UseEventBus != "never" {
		options.Database = func(ctx context.Context) (*bun.DB, error) {
			db, err := manager.Open(ctx, pluginID)
			if err != nil || manager.SkipMigrations(pluginID) {
				return db, err
			}
			return db, Migrate(ctx, db, log.Logger)
		}
	}
	b := New(options)
	lifecycle.Append(fx.Hook{OnStop: b.Stop})
	return b, nil
}

func forPlugin(bus *Bus, metadata plugin.Metadata, log *slog.Logger, lifecycle fx.Lifecycle) service.Events {
	e := bus.ForPlugin(metadata.ID, log)
	lifecycle.Append(fx.Hook{OnStart: e.Start, OnStop: e.Stop})
	return e
}

// Events is the bus as one plugin sees it. It implements service.Events.
type Events struct {
	bus      *Bus
	pluginID string
	log      *slog.Logger

	mu          sync.Mutex // guards what follows
	started     bool
	stopped     bool
	subscribers []*subscriber
}

// ForPlugin is the bus for a plugin, whose subscriptions hold from [Events.Start] to [Events.Stop].
func (b *Bus) ForPlugin(pluginID string, log *slog.Logger) *Events {
	return &Events{bus: b, pluginID: pluginID, log: log}
}

// Publish implements service.Events.
func (e *Events) Publish(ctx context.Context, event service.Event) error {
	return e.bus.publish(ctx, event)
}

// Subscribe implements service.Events.
func (e *Events) Subscribe(subscription service.Subscription) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return errors.New("events: a subscription comes too late, the plugin is stopping")
	}
	s, err := e.bus.newSubscriber(e.pluginID, subscription, e.log)
	if err != nil {
		return err
	}
	e.subscribers = append(e.subscribers, s)
	if !e.started {
		return nil
	}
	return e.bus.begin(s.ctx, s)
}

// Start begins the subscriptions.
func (e *Events) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.started = true
	for _, s := range e.subscribers {
		if err := e.bus.begin(ctx, s); err != nil {
			return errors.Join(err, e.end(ctx))
		}
	}
	return nil
}

// Stop ends the subscriptions and waits for the calls of their OnEvent.
func (e *Events) Stop(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end(ctx)
}

func (e *Events) end(ctx context.Context) error {
	e.stopped = true
	var errs []error
	for _, s := range e.subscribers {
		errs = append(errs, e.bus.end(ctx, s))
	}
	e.subscribers = nil
	return errors.Join(errs...)
}
