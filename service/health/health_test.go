package health_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	live  = "/.backstage/health/v1/liveness"
	ready = "/.backstage/health/v1/readiness"
)

// config has headers and nothing else.
type config map[string]any

func (c config) Has(key string) bool { return key == "backend.health.headers" && c != nil }

func (c config) Decode(key string, dst any) error {
	if !c.Has(key) {
		return nil
	}
	data, err := json.Marshal(map[string]any(c))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, dst)
}

func (config) Subscribe(func()) func() { return func() {} }

// instance is in the state that the test gives it.
type instance struct{ state atomic.Value }

func (i *instance) Status() service.Status {
	return service.Status{State: i.state.Load().(service.State)}
}
func (*instance) Plugins() []service.Status                            { return nil }
func (*instance) Plugin(string) (service.Status, bool)                 { return service.Status{}, false }
func (*instance) Await(context.Context, string) (service.State, error) { return "", nil }

type backend struct {
	health   *health.Health
	todo     service.Health // that of plugin todo
	instance *instance
	app      *fxtest.App
	log      *bytes.Buffer
}

func newBackend(t *testing.T, headers config) (*backend, error) {
	b := &backend{instance: &instance{}, log: &bytes.Buffer{}}
	b.instance.state.Store(service.StateRunning)
	options := []fx.Option{
		fx.NopLogger,
		fx.Supply(plugin.Metadata{ID: "todo"}),
		fx.Provide(func() service.Config { return headers }, func() service.Instance { return b.instance },
			func() service.RootLogger {
				return service.RootLogger{Logger: slog.New(slog.NewJSONHandler(b.log, nil))}
			}),
		fx.Populate(&b.health, &b.todo),
	}
	for _, s := range health.Services() {
		options = append(options, fx.Provide(s.Constructor()))
	}
	if err := fx.New(options...).Err(); err != nil {
		return nil, err
	}
	b.app = fxtest.New(t, options...).RequireStart()
	return b, nil
}

func start(t *testing.T) *backend {
	t.Helper()
	b, err := newBackend(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *backend) probe(ctx context.Context, method, path string) (int, string) {
	rec := httptest.NewRecorder()
	b.health.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, method, path, nil))
	return rec.Code, rec.Body.String()
}

func TestStates(t *testing.T) {
	t.Parallel()
	b := start(t)
	defer b.app.RequireStop()
	const ok = `{"status":"ok"}`
	for state, want := range map[service.State]string{
		service.StateRunning:  ok,
		service.StateStarting: `{"message":"Backend has not started yet","status":"error"}`,
		service.StateFailed:   `{"message":"Backend has failed to start","status":"error"}`,
		service.StateStopping: `{"message":"Backend is shutting down","status":"error"}`,
		service.StateStopped:  `{"message":"Backend is shutting down","status":"error"}`,
	} {
		b.instance.state.Store(state)
		status := http.StatusServiceUnavailable
		if want == ok {
			status = http.StatusOK
		}
		if code, body := b.probe(t.Context(), http.MethodGet, ready); code != status || body != want {
			t.Errorf("%s: %d %s", state, code, body)
		}
		if code, body := b.probe(t.Context(), http.MethodGet, live); code != http.StatusOK || body != ok {
			t.Errorf("%s: %d %s", state, code, body)
		}
	}
	for _, other := range []string{"POST " + ready, "GET " + ready + "/", "GET /.backstage/health/v1/"} {
		method, path, _ := strings.Cut(other, " ")
		if code, body := b.probe(t.Context(), method, path); code != http.StatusNotFound || body != "" {
			t.Errorf("%s: %d %s", other, code, body)
		}
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	b := start(t)
	defer b.app.RequireStop()
	var broken atomic.Bool
	b.health.AddCheck("disk", func(context.Context) error {
		if broken.Load() {
			panic("disk is full of secrets")
		}
		return nil
	})
	b.todo.AddCheck("database", func(context.Context) error {
		if broken.Load() {
			return errors.New("password=hunter2")
		}
		return nil
	})
	if code, body := b.probe(t.Context(), http.MethodGet, ready); code != http.StatusOK || body != `{"status":"ok"}` {
		t.Errorf("%d %s", code, body)
	}
	broken.Store(true)
	want := `{"message":"Backend is not ready, failing checks: disk, todo/database","status":"error"}`
	if code, body := b.probe(t.Context(), http.MethodGet, ready); code != http.StatusServiceUnavailable || body != want {
		t.Errorf("%d %s", code, body)
	}
	for _, part := range []string{`"check":"todo/database","error":"password=hunter2"`, `"check":"disk","error":"panic: disk is full of secrets`} {
		if !strings.Contains(b.log.String(), part) {
			t.Errorf("%s is not in %s", part, b.log)
		}
	}
	if code, _ := b.probe(t.Context(), http.MethodGet, live); code != http.StatusOK {
		t.Errorf("liveness: %d", code)
	}
}

// A check that hangs makes the backend unready in time, and is not started again while it hangs.
func TestHangingCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		var runs atomic.Int64
		release := make(chan struct{})
		b.todo.AddCheck("slow", func(context.Context) error {
			runs.Add(1)
			<-release
			return nil
		})
		for _, wait := range []time.Duration{3 * time.Second, 0, 0} {
			begin := time.Now()
			if code, body := b.probe(t.Context(), http.MethodGet, ready); code != http.StatusServiceUnavailable || !strings.Contains(body, "todo/slow") {
				t.Errorf("%d %s", code, body)
			}
			if waited := time.Since(begin); waited != wait {
				t.Errorf("waited %s, want %s", waited, wait)
			}
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("%d runs", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.app.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stopped while a check runs: %v", err)
		}
		close(release)
		synctest.Wait()
		if code, _ := b.probe(t.Context(), http.MethodGet, ready); code != http.StatusOK {
			t.Errorf("%d", code)
		}
	})
}

// Probes at the same time share one run, which goes on if the first of them goes away.
func TestSharedRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := start(t)
		defer b.app.RequireStop()
		var runs atomic.Int64
		release := make(chan struct{})
		b.health.AddCheck("counted", func(ctx context.Context) error {
			runs.Add(1)
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		gone, cancel := context.WithCancel(t.Context())
		var probes sync.WaitGroup
		probes.Go(func() { b.probe(gone, http.MethodGet, ready) })
		synctest.Wait()
		for range 10 {
			probes.Go(func() {
				if code, body := b.probe(t.Context(), http.MethodGet, ready); code != http.StatusOK {
					t.Errorf("%d %s", code, body)
				}
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		probes.Wait()
		if n := runs.Load(); n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	b, err := newBackend(t, config{"x-envoy-upstream-healthchecked-cluster": "portal"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.app.RequireStop()
	for _, path := range []string{live, ready} {
		rec := httptest.NewRecorder()
		b.health.ServeHTTP(rec, httptest.NewRequest(http.MethodHead, path, nil))
		if rec.Header().Get("X-Envoy-Upstream-Healthchecked-Cluster") != "portal" || rec.Header().Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %v", path, rec.Header())
		}
	}
	for want, headers := range map[string]config{
		`backend.health.headers: "a b" is not the name of an HTTP header`:     {"a b": "c"},
		`backend.health.headers.x: "" is not the value of an HTTP header`:     {"x": ""},
		`backend.health.headers.x: "a\nb" is not the value of an HTTP header`: {"x": "a\nb"},
	} {
		if _, err := newBackend(t, headers); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestBadCheck(t *testing.T) {
	t.Parallel()
	b := start(t)
	defer b.app.RequireStop()
	pass := func(context.Context) error { return nil }
	for name, add := range map[string]func(){
		"no name":          func() { b.health.AddCheck("", pass) },
		"no name (plugin)": func() { b.todo.AddCheck("", pass) },
		"no function":      func() { b.todo.AddCheck("x", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			add()
		}()
	}
}
