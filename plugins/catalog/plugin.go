package catalog

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/plugins/catalog/internal/access"
	"github.com/portico-dev/portico/plugins/catalog/internal/api"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/telemetry"
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
		plugin.Provide(ProcessingPoint, newProcessing),
		plugin.Provide(SCMEventsPoint, newSCMEvents),
		plugin.Provide(AnalysisPoint, newAnalysis),
		plugin.Provide(PermissionsPoint, newPermissions),
		plugin.Init(start),
	)
}

type deps struct {
	fx.In

	Config        service.Config
	Router        *echo.Group
	DB            *bun.DB
	Log           *slog.Logger
	Clock         clockwork.Clock
	Lifecycle     fx.Lifecycle
	RootLifecycle service.RootLifecycle
	Auth          service.HTTPAuth
	Permissions   service.Permissions
	Registry      service.PermissionsRegistry
	Auditor       service.Auditor
	Meter         metric.Meter
	Telemetry     telemetry.Providers
	Actions       service.ActionsRegistry
	Client        *catalogclient.Client
	Scheduler     service.Scheduler
	URLs          service.URLReader
	Integrations  *integration.Integrations
	Events        service.Events
	Providers     *entityProviders
	Processing    *processing
	SCMEvents     *scmEvents
	Analysis      *analysis
	Rules         *permissions
}

func start(d deps) error {
	settings, err := readSettings(d.Config)
	if err != nil {
		return err
	}
	if d.Config.Has("catalog.stitchingStrategy") {
		d.Log.Info("catalog.stitchingStrategy has no effect: final entities are made as soon as what they are made of is stored")
	}
	registry, err := newRegistry(d)
	if err != nil {
		return err
	}
	pipeline, err := newPipeline(d, settings, registry)
	if err != nil {
		return err
	}
	router, err := api.NewRouter(d.Router)
	if err != nil {
		return err
	}
	router = api.Audited(router, d.Auditor)
	entities := index.New()
	followed := &follower{index: entities, log: d.Log}
	s := store.New(d.DB, d.Clock.Now, followed.committed)
	followed.store = s
	allowed := access.New(d.Auth, d.Permissions, d.Rules.rules)
	if err := allowed.Declare(d.Registry, func(refs []string) [][]byte { return index.JSON(entities.ByRef(refs, nil)) }); err != nil {
		return err
	}
	if err := d.tellChanges(router, s, followed, allowed); err != nil {
		return err
	}
	measured, err := newMetrics(d.Meter, entities, s)
	if err != nil {
		return err
	}
	s.Stitched = measured.stitched
	news := &publisher{events: d.Events, clock: d.Clock, log: d.Log, conflicts: measured.conflicts, failed: d.Processing.failed}
	engine := &ingest.Engine{
		Store: s, Pipeline: pipeline, Clock: d.Clock, Log: d.Log,
		Interval: settings.interval, KeepOrphans: settings.keepOrphans,
		Waited: measured.waited, Took: measured.took, Processed: news.processed, Refused: news.refused,
	}
	scm := &scmFollower{want: settings.scm, store: s, entities: entities, messages: measured.scmMessages, actions: measured.scmActions, wake: engine.Wake, log: d.Log}
	if err := scm.follow(d.Events, d.SCMEvents.sources); err != nil {
		return err
	}
	if err := (actions{client: d.Client, model: describeModel(registry.Kinds())}).register(d.Actions); err != nil {
		return err
	}
	register(router, d, settings, allowed, entities, s, pipeline, engine)
	providers := []EntityProvider{&configuredLocations{locations: settings.locations}, &registeredLocations{store: s, wake: engine.Wake}}
	for _, p := range d.Providers.Providers {
		if !settings.disabled[p.Name()] {
			providers = append(providers, p)
		}
	}
	run := background{tasks: []func(context.Context){engine.Run, func(ctx context.Context) { followed.run(ctx, d.Clock) }}}
	d.Lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			if err := followed.load(ctx); err != nil {
				return err
			}
			if err := connect(ctx, providers, s, engine, news, d.Log); err != nil {
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

func newRegistry(d deps) (*catalogmodel.Registry, error) {
	registry, err := catalogmodel.NewRegistry(catalogmodel.Config{Kinds: d.Processing.kinds, Formats: d.Processing.formats})
	if err != nil {
		return nil, fmt.Errorf("catalog: the kinds that modules add: %w", err)
	}
	return registry, nil
}

func newPipeline(d deps, s settings, registry *catalogmodel.Registry) (*ingest.Pipeline, error) {
	if err := errors.Join(append(d.Processing.mistakes, d.Analysis.mistakes...)...); err != nil {
		return nil, err
	}
	return ingest.New(ingest.Options{
		Rules: s.rules, Registry: registry, URLs: d.URLs, Integrations: d.Integrations,
		Processors: d.Processing.processors, Resolvers: d.Processing.resolvers, Parse: d.Processing.parser, Settings: s.processors, Log: d.Log,
	})
}

// register adds the routes of the REST API.
func register(router api.Router, d deps, settings settings, allowed *access.Control, entities *index.Index, s *store.Store,
	pipeline *ingest.Pipeline, engine *ingest.Engine) {
	read := api.New(entities, s.Parents, newPast(s, entities), allowed)
	registerBulk(router, d, s, engine, allowed)
	read.Register(router)
	api.RegisterDocument(router)
	api.History{Store: s, Visible: allowed.Visible}.Register(router)
	api.Ingestion{
		Refresh: func(ctx context.Context, ref string) error {
			defer engine.Wake()
			return s.Refresh(ctx, ref)
		},
		Delete: func(ctx context.Context, uid string) error {
			defer engine.Wake()
			return s.DeleteByUID(ctx, uid)
		},
		Process: pipeline.Process, Entity: entities.ByUID, Access: allowed,
	}.Register(router)
	locations := api.Locations{
		Store: s, Process: pipeline.Process, Changed: engine.Wake, Origin: read.OriginOf,
		Types: d.Processing.locationTypes, Readonly: settings.readonly, RefreshExisting: settings.refreshExisting,
		Access: allowed,
	}
	locations.Register(router)
	api.Analysis{Analyze: d.analyzer(locations.Explore).AnalyzeLocation, Access: allowed}.Register(router)
}

// forget takes away what providers have brought that are not there any more.
func forget(ctx context.Context, s *store.Store, providers []EntityProvider, log *slog.Logger) error {
	names := make([]string, len(providers))
	for i, p := range providers {
		names[i] = p.Name()
	}
	imported, err := s.Providers(ctx, importedPrefix)
	if err != nil {
		return err
	}
	forgotten, err := s.Forget(ctx, append(names, imported...))
	for _, name := range forgotten {
		log.InfoContext(ctx, "Removed the entities of an entity provider that is not there any more (see catalog.orphanProviderStrategy)", "provider", name)
	}
	return err
}
