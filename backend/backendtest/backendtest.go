package backendtest

import (
	"context"
	"fmt"
	"maps"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/events"
	"github.com/portico-dev/portico/service/logger"
)

// Backend is a backend that runs until the test ends.
type Backend struct {
	*backend.Backend

	// Log has what the backend has logged so far, at all levels.
	Log *Log
	// Clock is the clockwork.Clock service of the backend. It stands still until the test advances it.
	Clock *clockwork.FakeClock

	tasks  tasks
	events *events.Events
	audit  audit
}

// Start starts a backend with the features and stops it when the test ends. The test fails at once if the backend can't be started; see
// [TryStart] for tests of that.
func Start(t testing.TB, features ...backend.Feature) *Backend {
	t.Helper()
	b, err := TryStart(t, features...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TryStart is Start for tests of backends that fail to start. Such a backend has been stopped again when it is returned; its state and log
// can be looked at.
func TryStart(t testing.TB, features ...backend.Feature) (*Backend, error) {
	t.Helper()
	values := map[string]any{
		"backend": map[string]any{
			"listen":   map[string]any{"host": "127.0.0.1", "port": 0},
			"database": map[string]any{"client": "better-sqlite3", "connection": ":memory:"},
			"logger":   map[string]any{"level": "debug"},
		},
	}
	b := &Backend{Log: &Log{}, Clock: clockwork.NewFakeClock()}
	all := standIns(features, values)
	stands := b.services()
	if !slices.ContainsFunc(all, func(f backend.Feature) bool { p, ok := f.(plugin.Plugin); return ok && p.ID() == "catalog" }) {
		stands = append(stands, catalogtest.Service())
	}
	for _, s := range stands {
		if !slices.ContainsFunc(all, func(f backend.Feature) bool { return replaces(f, s) }) {
			all = append(all, s)
		}
	}
	// No files, no environment: a test is what it says.
	b.Backend = backend.New(backend.Options{Config: config.Options{Dir: t.TempDir(), Overrides: values}})
	b.Add(all...)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), startTimeout)
	defer cancel()
	var err error
	label := fmt.Sprintf("%s %p", t.Name(), b)
	// Goroutines inherit labels, so that those of this backend can be told from those of tests that run at the same time.
	pprof.Do(ctx, pprof.Labels(leakLabel, label), func(ctx context.Context) { err = b.Backend.Start(ctx) })
	t.Cleanup(func() {
		stopCtx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := b.Stop(stopCtx); err != nil {
			t.Errorf("stopping the backend: %v", err)
		}
		checkLeaks(t, label)
		if t.Failed() {
			t.Logf("the log of the backend:\n%s", b.Log)
		}
	})
	return b, err
}

const (
	startTimeout = time.Minute
	stopTimeout  = 20 * time.Second
)

// services are those that tests have instead of the default ones.
func (b *Backend) services() []service.Service {
	return append(authServices(),
		service.Root[service.RootLogger](func(cfg service.Config) (service.RootLogger, error) {
			return logger.New(cfg, logger.Options{Writer: b.Log, Format: logger.FormatJSON})
		}),
		service.Root[clockwork.Clock](func() clockwork.Clock { return b.Clock }),
		service.PerPlugin[service.Scheduler](b.scheduler),
		service.PerPlugin[service.Auditor](b.auditor),
		service.Root[*events.Bus](b.newBus, service.Eager()),
	)
}

// replaces tells whether the feature is a service of the same type.
func replaces(f backend.Feature, s service.Service) bool {
	other, ok := f.(service.Service)
	return ok && other.Type() == s.Type() && !other.InGroup()
}

// standIns resolves the features that exist only in tests: extension points become a plugin that provides them, and configuration is added
// to values.
func standIns(features []backend.Feature, values map[string]any) []backend.Feature {
	var all []backend.Feature
	points := map[string][]plugin.Option{}
	for _, f := range features {
		switch f := f.(type) {
		case extensionPoint:
			points[f.plugin] = append(points[f.plugin], f.provide)
		case configuration:
			merge(values, f)
		default:
			all = append(all, f)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(points)) {
		all = append(all, plugin.New(id, points[id]...))
	}
	return all
}

// merge adds the values of src to dst, objects key by key.
func merge(dst, src map[string]any) {
	for k, v := range src {
		from, ok := v.(map[string]any)
		into, also := dst[k].(map[string]any)
		if ok && also {
			merge(into, from)
			continue
		}
		if ok {
			v = maps.Clone(from)
		}
		dst[k] = v
	}
}

type configuration map[string]any

// Config adds values to the configuration of the backend, in the form of an app-config.yaml. Of several, later ones win.
func Config(values map[string]any) backend.Feature { return configuration(values) }

func (configuration) String() string { return "configuration of the test" }
func (configuration) Feature()       {}

type extensionPoint struct {
	id, plugin string
	provide    plugin.Option
}

// ExtensionPoint stands in for the plugin that owns the extension point, so that its modules can be tested without it: they get
// implementation, which is often a recorder of the plugin's public package. That it implements T is checked when the backend starts.
func ExtensionPoint[T, I any](point extension.Point[T], implementation I) backend.Feature {
	id, _, _ := strings.Cut(point.ID(), ".")
	return extensionPoint{id: point.ID(), plugin: id, provide: plugin.Provide(point, func() I { return implementation })}
}

func (p extensionPoint) String() string { return "stand-in for extension point " + p.id }
func (extensionPoint) Feature()         {}
