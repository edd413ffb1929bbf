package catalog

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"sync"
	"time"

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

// settings are what the configuration says of the catalog.
type settings struct {
	locations   []ingest.Location
	rules       *ingest.Rules
	interval    time.Duration
	keepOrphans bool
	// keepForgotten leaves the entities of providers that are not there any more.
	keepForgotten bool
	disabled      map[string]bool // names of providers
}

// defaultInterval is Backstage's: entities are processed every 100 to 150 seconds.
const defaultInterval = 100 * time.Second

func readSettings(cfg service.Config) (settings, error) {
	s := settings{interval: defaultInterval, disabled: map[string]bool{}}
	var err error
	if s.locations, s.rules, err = ingest.Read(cfg); err != nil {
		return s, err
	}
	for _, location := range s.locations {
		if location.Type != "file" {
			return s, fmt.Errorf("catalog.locations: %s:%s can't be read: locations of type %s are not supported yet, only those of type file",
				location.Type, location.Target, location.Type)
		}
	}
	var every any
	if err := cfg.Decode("catalog.processingInterval", &every); err != nil {
		return s, err
	}
	if every == false {
		s.interval = 0
	} else if err := cfg.Decode("catalog.processingInterval", &s.interval); err != nil {
		return s, err
	}
	for key, keep := range map[string]*bool{"catalog.orphanStrategy": &s.keepOrphans, "catalog.orphanProviderStrategy": &s.keepForgotten} {
		strategy := "delete"
		if err := cfg.Decode(key, &strategy); err != nil {
			return s, err
		}
		*keep = strategy == "keep"
	}
	var options map[string]struct {
		Disabled bool `config:"disabled"`
	}
	if err := cfg.Decode("catalog.providerOptions", &options); err != nil {
		return s, err
	}
	for name, o := range options {
		s.disabled[name] = o.Disabled
	}
	return s, nil
}

// configuredLocations brings the locations of the configuration, each as an entity of kind Location.
type configuredLocations struct{ locations []ingest.Location }

func (c *configuredLocations) Name() string { return "ConfigLocationProvider" }

func (c *configuredLocations) Connect(ctx context.Context, conn EntityProviderConnection) error {
	entities := make([]DeferredEntity, len(c.locations))
	for i, location := range c.locations {
		ref := catalogmodel.LocationRef{Type: location.Type, Target: location.Target}
		e, err := ingest.LocationEntity(ref)
		if err != nil {
			return err
		}
		entities[i] = DeferredEntity{Entity: e, LocationKey: ref.String()}
	}
	return conn.ApplyMutation(ctx, FullMutationOf(entities...))
}

// follower keeps the index at the end of the log.
type follower struct {
	index *index.Index
	store *store.Store
	log   *slog.Logger

	mu  sync.Mutex
	seq int64 // up to which the index has the log
}

// pollLog is how often the follower looks for what other replicas have written.
const pollLog = 500 * time.Millisecond

func (f *follower) load(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var entries []index.Entry
	seq, err := f.store.Load(ctx, func(c store.Change) error {
		entries = append(entries, index.Entry{Ref: c.Ref, UID: c.ID, JSON: c.JSON})
		return nil
	})
	if err != nil {
		return err
	}
	f.seq = seq
	f.apply(ctx, entries)
	return nil
}

// committed takes changes of this process as soon as they are there, if there are none of others before them.
func (f *follower) committed(changes []store.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx := context.Background()
	if changes[0].Seq != f.seq+1 {
		if err := f.catchUp(ctx); err != nil {
			f.log.ErrorContext(ctx, "Following the log failed, and is tried again soon", "error", err)
		}
		return
	}
	f.take(ctx, changes)
}

func (f *follower) take(ctx context.Context, changes []store.Change) {
	entries := make([]index.Entry, len(changes))
	for i, c := range changes {
		entries[i] = index.Entry{Ref: c.Ref, UID: c.ID, JSON: c.JSON}
		f.seq = c.Seq
	}
	f.apply(ctx, entries)
}

func (f *follower) apply(ctx context.Context, entries []index.Entry) {
	if err := f.index.Apply(entries); err != nil {
		f.log.WarnContext(ctx, "Entities are left out", "error", err)
	}
}

// catchUp reads the log to its end.
func (f *follower) catchUp(ctx context.Context) error {
	const batch = 500
	for {
		changes, err := f.store.Since(ctx, f.seq, batch)
		if err != nil || len(changes) == 0 {
			return err
		}
		f.take(ctx, changes)
	}
}

// run follows what other replicas write until ctx ends.
func (f *follower) run(ctx context.Context, clock clockwork.Clock) {
	ticker := clock.NewTicker(pollLog)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.Chan():
		}
		f.mu.Lock()
		if err := f.catchUp(ctx); err != nil && ctx.Err() == nil {
			f.log.ErrorContext(ctx, "Following the log failed, and is tried again soon", "error", err)
		}
		f.mu.Unlock()
	}
}

// background runs tasks from the start to the stop of the plugin.
type background struct {
	tasks   []func(context.Context)
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (b *background) start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	for _, task := range b.tasks {
		b.running.Go(func() { task(ctx) })
	}
}

func (b *background) stop(ctx context.Context) error {
	if b.cancel == nil {
		return nil
	}
	b.cancel()
	done := make(chan struct{})
	go func() {
		b.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("catalog: background work goes on: %w", ctx.Err())
	}
}
