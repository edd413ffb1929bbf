package backend_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// ping is a plugin that answers at /api/<id>/ping.
func ping(id string, options ...plugin.Option) plugin.Plugin {
	return plugin.New(id, append(options, plugin.Init(func(g *echo.Group) {
		g.GET("/ping", func(c echo.Context) error { return c.String(http.StatusOK, "pong") })
	}))...)
}

func fails(err error) plugin.Option { return plugin.Init(func() error { return err }) }

func startup(section map[string]any) backend.Feature {
	return backendtest.Config(map[string]any{"backend": map[string]any{"startup": section}})
}

func TestAPluginServesItsRoutes(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, ping("todo"))
	if got := b.As(t, "user:default/guest").Get("/api/todo/ping").StatusCode; got != http.StatusOK {
		t.Errorf("with credentials: status %d", got)
	}
	if got := b.Anonymous(t).Get("/api/todo/ping").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("without credentials: status %d", got)
	}
	if got := b.As(t, "user:default/guest").Get("/api/absent/ping").StatusCode; got != http.StatusNotFound {
		t.Errorf("a plugin that isn't there: status %d", got)
	}
}

func TestAFailedStartReportsEveryFailureAndStopsAll(t *testing.T) {
	t.Parallel()
	var stopped atomic.Bool
	b, err := backendtest.TryStart(t,
		ping("good", plugin.Init(func(l fx.Lifecycle) { l.Append(fx.StopHook(func() { stopped.Store(true) })) })),
		ping("bad", fails(errors.New("no luck"))),
		ping("worse", plugin.Init(func() { panic("oh no") })),
		plugin.NewModule("good", "broken", fails(errors.New("out of order"))),
	)
	var start *backend.StartError
	if !errors.As(err, &start) || len(start.Plugins) != 3 {
		t.Fatalf("error is %v, want a StartError with three plugins", err)
	}
	for _, want := range []string{"plugin bad: no luck", "plugin worse: panic: oh no", "module good/broken: out of order"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if !stopped.Load() {
		t.Error("the plugin that had acquired something was not stopped")
	}
	if state := b.Status().State; state != service.StateFailed {
		t.Errorf("the backend is %s", state)
	}
	if !strings.Contains(b.Log.String(), "backend_test.go") {
		t.Error("the log has no stack of the panic")
	}
}

func TestFailuresThatAreAllowed(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t,
		ping("good"), ping("bad", fails(errors.New("no luck"))),
		plugin.NewModule("good", "broken", fails(errors.New("out of order"))),
		plugin.NewModule("good", "fine"),
		startup(map[string]any{
			"default": map[string]any{"onPluginBootFailure": "continue"},
			"plugins": map[string]any{"good": map[string]any{"onPluginBootFailure": "abort", "modules": map[string]any{
				"broken": map[string]any{"onPluginModuleBootFailure": "continue"},
			}}},
		}),
	)
	guest := b.As(t, "user:default/guest")
	if got := guest.Get("/api/good/ping").StatusCode; got != http.StatusOK {
		t.Errorf("the good plugin answers %d", got)
	}
	if got := guest.Get("/api/bad/ping").StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("the failed plugin answers %d", got)
	}
	var states []string
	for _, p := range b.Plugins() {
		states = append(states, fmt.Sprintf("%s %s %v", p.ID, p.State, p.Err))
		for _, m := range p.Modules {
			states = append(states, fmt.Sprintf("%s/%s %s %v", p.ID, m.ID, m.State, m.Err))
		}
	}
	want := []string{"bad failed no luck", "good running <nil>", "good/broken failed out of order", "good/fine running <nil>"}
	if got := strings.Join(states, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the states are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if got := guest.Get("/.backstage/health/v1/readiness").StatusCode; got != http.StatusOK {
		t.Errorf("readiness is %d", got)
	}
}

func TestStartOrder(t *testing.T) {
	t.Parallel()
	type names interface{ Add(string) }
	point := extension.NewPoint[names]("todo.names")
	var order []string
	note := func(what string) { order = append(order, what) }
	b := backendtest.Start(t,
		plugin.NewModule("todo", "m", plugin.Init(func(l fx.Lifecycle, n names) {
			note("module")
			n.Add("m")
			l.Append(fx.StartStopHook(func() { note("module started") }, func() { note("module stopped") }))
		})),
		plugin.New("todo", plugin.Provide(point, func() *list { return &list{} }), plugin.Init(func(l fx.Lifecycle, n *list, r service.RootLifecycle) {
			note("plugin with " + strings.Join(n.all, " "))
			l.Append(fx.StartStopHook(func() { note("plugin started") }, func() { note("plugin stopped") }))
			r.OnStarted(func(context.Context) error { note("all started"); return nil })
			r.BeforeShutdown(func(context.Context) error { note("before shutdown"); return nil })
			r.OnShutdown(func(context.Context) error { note("shutdown"); return nil })
		})),
	)
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "module, plugin with m, module started, plugin started, all started, before shutdown, plugin stopped, module stopped, shutdown"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("the order is\n%s\nwant\n%s", got, want)
	}
}

type list struct{ all []string }

func (l *list) Add(n string) { l.all = append(l.all, n) }

// A slow plugin must not hold up the others, and requests to it wait.
func TestPluginsStartSideBySide(t *testing.T) {
	t.Parallel()
	meet := make(chan struct{})
	backendtest.Start(t,
		plugin.New("a", plugin.Init(func() { meet <- struct{}{} })),
		plugin.New("b", plugin.Init(func() { <-meet })),
	)
}

func TestStatusPageGivesWayToFrontend(t *testing.T) {
	t.Parallel()
	get := func(b *backendtest.Backend, path string) string {
		body, err := io.ReadAll(b.Anonymous(t).Get(path).Body)
		if err != nil {
			t.Error(err)
		}
		return string(body)
	}
	if got := get(backendtest.Start(t, plugin.New("hello", plugin.Init(func() {}))), "/"); !strings.Contains(got, "<td>hello") {
		t.Errorf("the status page doesn't tell of the plugin: %s", got)
	}
	b := backendtest.Start(t, plugin.New("app", plugin.Init(func(g *echo.Group, policies service.AuthPolicies) {
		policies.AllowUnauthenticated("/")
		g.GET("/*", func(c echo.Context) error { return c.String(http.StatusOK, "frontend at /"+c.Param("*")) })
	})))
	for _, path := range []string{"/", "/catalog"} {
		if got, want := get(b, path), "frontend at "+path; got != want {
			t.Errorf("GET %s: %s, want %s", path, got, want)
		}
	}
}

func TestStopFailsReadinessFirstAndLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	var readiness func() int
	b := backendtest.Start(t, plugin.New("slow", plugin.Init(func(g *echo.Group, l fx.Lifecycle, r service.RootLifecycle) {
		g.GET("/", func(c echo.Context) error {
			close(reached)
			<-release
			return c.String(http.StatusOK, "done")
		})
		r.BeforeShutdown(func(context.Context) error {
			if got := readiness(); got != http.StatusServiceUnavailable {
				t.Errorf("readiness while stopping is %d", got)
			}
			close(release)
			return nil
		})
		l.Append(fx.StopHook(func() {
			select {
			case <-release:
			default:
				t.Error("the plugin was stopped while a request was under way")
			}
		}))
	})))
	guest, anonymous := b.As(t, "user:default/guest"), b.Anonymous(t)
	readiness = func() int { return anonymous.Get("/.backstage/health/v1/readiness").StatusCode }
	answer := make(chan int, 1)
	go func() { answer <- guest.Get("/api/slow/").StatusCode }()
	<-reached
	if err := b.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != http.StatusOK {
		t.Errorf("the request that was under way got %d", got)
	}
}

func TestWiringMistakesStartNothing(t *testing.T) {
	t.Parallel()
	started := false
	_, err := backendtest.TryStart(t,
		plugin.New("a", plugin.Init(func(fmt.Stringer) {})),
		plugin.New("b", plugin.Init(func() { started = true })),
		plugin.NewModule("c", "m"),
	)
	if err == nil || !strings.Contains(err.Error(), "plugin a asks for fmt.Stringer") || !strings.Contains(err.Error(), "module c/m extends plugin c") {
		t.Errorf("error is %v", err)
	}
	if started {
		t.Error("a plugin was started all the same")
	}
}

func TestALoaderAddsFeaturesByConfiguration(t *testing.T) {
	t.Parallel()
	inner := backend.Loader(func(context.Context, service.Config) ([]backend.Feature, error) {
		return []backend.Feature{ping("inner")}, nil
	})
	b := backendtest.Start(t, backend.Loader(func(_ context.Context, cfg service.Config) ([]backend.Feature, error) {
		if !cfg.Has("todo.enabled") {
			return nil, errors.New("not configured")
		}
		return []backend.Feature{ping("outer"), inner}, nil
	}), backendtest.Config(map[string]any{"todo": map[string]any{"enabled": true}}))
	if n := len(b.Plugins()); n != 2 {
		t.Errorf("%d plugins run, want 2", n)
	}
}

func TestALoaderThatPanicsOrLoopsIsAnError(t *testing.T) {
	t.Parallel()
	var loop backend.Loader
	loop = func(context.Context, service.Config) ([]backend.Feature, error) { return []backend.Feature{loop}, nil }
	for _, l := range []backend.Loader{loop, func(context.Context, service.Config) ([]backend.Feature, error) { panic("oh no") }} {
		if _, err := backendtest.TryStart(t, l); err == nil {
			t.Error("the backend started")
		}
	}
}

func TestOwnConfiguration(t *testing.T) {
	t.Parallel()
	own := config.Static(map[string]any{"greeting": "Moin", "backend": map[string]any{"listen": "127.0.0.1:0"}})
	var greeting string
	backendtest.Start(t, service.Root[service.Config](func() service.Config { return own }),
		plugin.New("hello", plugin.Init(func(cfg service.Config) error { return cfg.Decode("greeting", &greeting) })))
	if greeting != "Moin" {
		t.Errorf("the plugin read %q", greeting)
	}
}

func TestABackendStartsOnce(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t)
	if err := b.Start(t.Context()); err == nil {
		t.Error("a second start was no error")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Add after Start did not panic")
			}
		}()
		b.Add(ping("late"))
	}()
	for range 2 {
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := b.Start(t.Context()); err == nil {
		t.Error("a start after the stop was no error")
	}
}

func TestAStartCanBeGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := backend.New(backend.Options{Config: config.Options{Dir: t.TempDir(), Overrides: map[string]any{"backend": map[string]any{"listen": "127.0.0.1:0"}}}})
	b.Add(plugin.New("slow", plugin.Init(func(l fx.Lifecycle) {
		l.Append(fx.StartHook(func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }))
	})))
	if err := b.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// The tests of signals send them to this very process, so they can't run beside others.
func TestRunStopsAtASignal(t *testing.T) {
	started := make(chan struct{})
	b := backend.New(backend.Options{Config: config.Options{Dir: t.TempDir(), Overrides: map[string]any{"backend": map[string]any{"listen": "127.0.0.1:0"}}}})
	b.Add(plugin.New("a", plugin.Init(func(r service.RootLifecycle) {
		r.OnStarted(func(context.Context) error { close(started); return nil })
	})))
	done := make(chan error)
	go func() { done <- b.Run(t.Context()) }()
	<-started
	signalSelf(t)
	if err := <-done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	if state := b.Status().State; state != service.StateStopped {
		t.Errorf("the backend is %s", state)
	}
}

func TestASecondSignalReturnsAtOnce(t *testing.T) {
	started, release, stopping := make(chan struct{}), make(chan struct{}), make(chan struct{})
	b := backend.New(backend.Options{Config: config.Options{Dir: t.TempDir(), Overrides: map[string]any{"backend": map[string]any{"listen": "127.0.0.1:0"}}}})
	b.Add(plugin.New("a", plugin.Init(func(r service.RootLifecycle, l fx.Lifecycle) {
		r.OnStarted(func(context.Context) error { close(started); return nil })
		l.Append(fx.StopHook(func() { close(stopping); <-release }))
	})))
	done := make(chan error)
	go func() { done <- b.Run(t.Context()) }()
	<-started
	signalSelf(t)
	<-stopping
	signalSelf(t)
	if err := <-done; err == nil || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("Run returned %v", err)
	}
	close(release)
	for b.Status().State != service.StateStopped {
		time.Sleep(time.Millisecond)
	}
}

func signalSelf(t *testing.T) {
	t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func TestTwoBackendsInOneProcess(t *testing.T) {
	t.Parallel()
	a, b := backendtest.Start(t, ping("todo")), backendtest.Start(t, ping("other"))
	if got := a.As(t, "user:default/guest").Get("/api/other/ping").StatusCode; got != http.StatusNotFound {
		t.Errorf("the plugin of the other backend answers %d", got)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := b.As(t, "user:default/guest").Get("/api/other/ping").StatusCode; got != http.StatusOK {
		t.Errorf("after the stop of the first backend, the second answers %d", got)
	}
}

func TestAPanicInAHandlerIsContained(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, plugin.New("bad", plugin.Init(func(g *echo.Group) {
		g.GET("/", func(echo.Context) error { panic("oh no") })
	})))
	guest := b.As(t, "user:default/guest")
	for range 2 {
		if got := guest.Get("/api/bad/").StatusCode; got != http.StatusInternalServerError {
			t.Errorf("status %d", got)
		}
	}
	found := false
	for _, e := range b.Log.Entries() {
		found = found || e.Plugin == "bad" && e.Level == "error"
	}
	if !found {
		t.Error("the log has no error of the plugin")
	}
}

func TestNothingRunsOnADatabaseWhoseMigrationsFail(t *testing.T) {
	t.Parallel()
	_, err := backendtest.TryStart(t,
		plugin.New("todo", plugin.Migrations(fstest.MapFS{"1_create.sql": {Data: []byte("CREATE TABEL items (id integer)")}}),
			plugin.Init(func() { t.Error("the plugin ran") })),
		plugin.NewModule("todo", "m", plugin.Init(func() { t.Error("the module ran") })),
	)
	if err == nil || !strings.Contains(err.Error(), "1_create") || strings.Count(err.Error(), "plugin todo") != 1 {
		t.Errorf("error is %v", err)
	}
}
