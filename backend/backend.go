package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/httprouter"
)

// Options are the settings of a backend that its configuration can't hold. The zero value is ready for use.
type Options struct {
	// Config says where the configuration comes from: by default, from app-config.yaml and app-config.local.yaml in the working directory and
	// from APP_CONFIG_… variables.
	Config config.Options
}

// Backend is a developer-portal backend. Make one with [New]; it can be started once. Its methods are safe for concurrent use.
type Backend struct {
	options  Options
	quiet    bool // for commands whose output a log would spoil
	instance *instance
	hooks    *rootLifecycle

	mu       sync.Mutex // guards features, and serialises Start and Stop
	features []Feature
	phase    phase

	// What Start made and Stop takes down.
	log       *slog.Logger                // discards until there is a logger
	reloadLog atomic.Pointer[slog.Logger] // the same, for the goroutine that watches the configuration
	config    service.Config
	server    *httprouter.Server
	cancel    context.CancelFunc
	root      *wiring.Container
	plugins   []*runningPlugin
}

type phase int

const (
	phaseNew phase = iota
	phaseStarted
	phaseStopped
)

// Deadlines of the stop. Orchestrators kill after 30 seconds by default, so the whole stays below that.
const (
	stopTimeout  = 25 * time.Second
	drainTimeout = 12 * time.Second // for requests that are under way
	hookTimeout  = 10 * time.Second // for each shutdown hook
)

// New returns a backend without features. Nothing happens before Start.
func New(options Options) *Backend {
	return &Backend{options: options, instance: newInstance(), hooks: &rootLifecycle{}, log: slog.New(slog.DiscardHandler)}
}

// Add adds features, in any order. It panics after Start, as such a feature would silently be missing.
func (b *Backend) Add(features ...Feature) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.phase != phaseNew {
		panic("backend: Add after Start")
	}
	b.features = append(b.features, features...)
}

// Status tells how the start of the backend went, and its present state.
func (b *Backend) Status() service.Status { return b.instance.Status() }

// Plugins tells the same of each plugin and its modules, ordered by id.
func (b *Backend) Plugins() []service.Status { return b.instance.Plugins() }

// URL is the base URL under which the backend answers on this machine, with the port that it really listens on. It is empty before Start.
func (b *Backend) URL() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return ""
	}
	return b.server.LocalURL()
}

// Start starts the backend and returns when it is ready, or has failed; then everything is stopped again. It gives up when ctx ends; ctx has
// no meaning for the backend afterwards. The error is a [*StartError] if plugins or modules failed.
func (b *Backend) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.phase {
	case phaseStarted:
		return errors.New("backend: it has been started already")
	case phaseStopped:
		return errors.New("backend: it has been stopped, and can't be started again")
	}
	b.phase = phaseStarted
	if err := b.start(ctx); err != nil {
		b.phase = phaseStopped
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if stopErr := b.stop(stopCtx); stopErr != nil {
			b.log.Error("stopping after the failed start", "error", stopErr)
		}
		b.instance.setRoot(err)
		return fmt.Errorf("backend: %w", err)
	}
	b.instance.setRoot(nil)
	b.log.Info(fmt.Sprintf("backend started in %s", b.instance.Status().Duration.Round(time.Millisecond/10)), "plugins", len(b.plugins))
	return nil
}

func (b *Backend) start(ctx context.Context) error {
	lifetime, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b.cancel = cancel
	plan, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	err = b.makeRoot(lifetime, plan)
	if root, ok := wiring.Value[service.RootLogger](b.root); ok && root.Logger != nil {
		b.log = root.Logger
	}
	if err != nil {
		return err
	}
	b.reloadLog.Store(b.log)
	b.server, _ = wiring.Value[*httprouter.Server](b.root)
	b.warn()
	if err := b.addStatusPage(); err != nil {
		return err
	}
	if err := b.root.Start(ctx); err != nil {
		return err
	}
	if err := b.startPlugins(ctx, plan); err != nil {
		return err
	}
	return b.hooks.runStarted(ctx)
}

// makeRoot makes the root services.
func (b *Backend) makeRoot(lifetime context.Context, plan *wiring.Plan) (err error) {
	b.instance.expect(plan.Plugins)
	values := wiring.Values{}
	b.rootValues(lifetime, values)
	b.root, err = plan.Root(values, wiring.Lifecycle{Owner: "the root services", StopTimeout: hookTimeout}, rootTypes...)
	return err
}

// rootTypes are the root services that the backend itself uses.
var rootTypes = []reflect.Type{reflect.TypeFor[service.RootLogger](), reflect.TypeFor[*httprouter.Server](), reflect.TypeFor[*echo.Echo]()}

// prepare reads the configuration, calls the loaders and checks everything that can be checked before anything is made.
func (b *Backend) prepare(ctx context.Context) (*wiring.Plan, error) {
	plan, err := b.plan(ctx)
	if err != nil {
		return nil, err
	}
	return plan, b.validate(plan)
}

// plan reads the configuration, calls the loaders and checks the wiring.
func (b *Backend) plan(ctx context.Context) (*wiring.Plan, error) {
	cfg, features, err := b.loadConfig(ctx)
	if err != nil {
		return nil, err
	}
	b.config = cfg
	sorted, err := expand(ctx, cfg, features)
	if err != nil {
		return nil, err
	}
	sorted.Defaults = b.defaultServices(sorted.Services)
	sorted.Migrate = migrate
	sorted.RootValues, sorted.PluginValues = valueTypes()
	return wiring.NewPlan(sorted)
}

// validate checks the configuration against the schemas of all features.
func (b *Backend) validate(plan *wiring.Plan) error {
	v, ok := b.config.(interface {
		Validate(service.ConfigSchemas) error
	})
	if !ok {
		return nil
	}
	return v.Validate(schemasOf(plan))
}

// schemasOf are the schemas of all features and of the backend itself.
func schemasOf(plan *wiring.Plan) service.ConfigSchemas {
	return append(service.ConfigSchemas{{Feature: "backend", Schema: configSchema}}, plan.ConfigSchemas()...)
}

// loadConfig makes the configuration, by the service that was added for it or from files, and returns it with all other features.
func (b *Backend) loadConfig(ctx context.Context) (service.Config, []Feature, error) {
	var own []service.Service
	var others []Feature
	for _, f := range b.features {
		if s, ok := f.(service.Service); ok && s.Type() == reflect.TypeFor[service.Config]() {
			own = append(own, s)
			continue
		}
		others = append(others, f)
	}
	switch len(own) {
	case 0:
		options := b.options.Config
		if options.OnReloadError == nil {
			options.OnReloadError = b.reloadFailed
		}
		store, err := config.Load(ctx, options)
		if err != nil {
			return nil, nil, err
		}
		return store, others, nil
	case 1:
		values := wiring.Values{}
		wiring.Set(values, ctx)
		made, err := wiring.Make(own[0], values)
		if err != nil {
			return nil, nil, err
		}
		return made.(service.Config), others, nil
	}
	return nil, nil, fmt.Errorf("%s is added %d times: add it once", own[0], len(own))
}

// reloadFailed tells that the configuration could not be read again. It is called while the backend runs.
func (b *Backend) reloadFailed(err error) {
	if log := b.reloadLog.Load(); log != nil {
		log.Error("the changed configuration is not used, the one before stays in force", "error", err)
	}
}

// warn says what is odd about the configuration, and loudly what is dangerous.
func (b *Backend) warn() {
	if store, ok := b.config.(*config.Store); ok {
		for _, w := range store.Warnings() {
			b.log.Warn("configuration: " + w.String())
		}
	}
	var off bool
	if err := b.config.Decode("backend.auth.dangerouslyDisableDefaultAuthPolicy", &off); err == nil && off {
		b.log.Warn("AUTHENTICATION IS OFF: backend.auth.dangerouslyDisableDefaultAuthPolicy is true, so anyone who can reach this backend can " +
			"read and change everything in it, without signing in. Remove the setting before others can reach it")
	}
}

// Stop stops the backend and returns when nothing of it is left, or ctx has ended. It returns all errors of hooks. Stopping a backend that
// does not run is no error.
func (b *Backend) Stop(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.phase != phaseStarted {
		b.phase = phaseStopped
		return nil
	}
	b.phase = phaseStopped
	began := time.Now()
	b.log.Info("backend is stopping")
	err := b.stop(ctx)
	if err != nil {
		b.log.Error("errors while stopping", "error", err)
	}
	b.log.Info(fmt.Sprintf("backend stopped in %s", time.Since(began).Round(time.Millisecond/10)))
	return err
}

// stop takes down whatever there is, from a start that came to any point.
func (b *Backend) stop(ctx context.Context) error {
	b.instance.setState(service.StateStopping, false)
	errs := []error{b.hooks.runBeforeShutdown(ctx)}
	if b.server != nil {
		drainCtx, cancel := context.WithTimeout(ctx, drainTimeout)
		errs = append(errs, b.server.Shutdown(drainCtx))
		cancel()
	}
	b.instance.setState(service.StateStopping, true)
	b.cancel()
	errs = append(errs, b.stopPlugins(ctx), b.hooks.runShutdown(ctx))
	b.instance.setState(service.StateStopped, true)
	if b.root != nil {
		errs = append(errs, b.root.Stop(ctx), b.root.Abandon(ctx))
	}
	if closer, ok := b.config.(interface{ Close() error }); ok {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

// Run starts the backend, serves until ctx ends or the process gets SIGINT or SIGTERM, and stops it. A second signal returns at once, with an
// error, leaving the rest to the end of the process. A backend that stopped in good order is no error.
func (b *Backend) Run(ctx context.Context) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	done := make(chan error, 1)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() { done <- b.serve(ctx) }()
	select {
	case err := <-done:
		return err
	case s := <-signals:
		stop(fmt.Errorf("got signal %q", s))
	}
	select {
	case err := <-done:
		return err
	case s := <-signals:
		return fmt.Errorf("backend: got signal %q while stopping, and gave up", s)
	}
}

func (b *Backend) serve(ctx context.Context) error {
	if err := b.Start(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("%w (%w)", err, cause)
		}
		return err
	}
	<-ctx.Done()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return b.Stop(stopCtx)
}

// StartError tells which plugins and modules failed to start.
type StartError struct {
	// Plugins are those that failed, or of which a module did.
	Plugins []service.Status
}

// Error lists the failures.
func (e *StartError) Error() string {
	var lines []string
	for _, p := range e.Plugins {
		for _, m := range p.Modules {
			if m.Err != nil {
				lines = append(lines, fmt.Sprintf("\n  - module %s/%s: %v", p.ID, m.ID, m.Err))
			}
		}
		if p.Err != nil {
			lines = append(lines, fmt.Sprintf("\n  - plugin %s: %v", p.ID, p.Err))
		}
	}
	return "failed to start:" + strings.Join(slices.Compact(lines), "")
}

// Unwrap is all the failures.
func (e *StartError) Unwrap() []error {
	var errs []error
	for _, p := range e.Plugins {
		for _, s := range append(slices.Clone(p.Modules), p) {
			if s.Err != nil {
				errs = append(errs, s.Err)
			}
		}
	}
	return errs
}
