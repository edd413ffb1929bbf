package httprouter_test

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/health"
	"github.com/portico-dev/portico/service/httprouter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is a configuration that a test can change. Values are those that YAML gives: maps, lists, strings, numbers, booleans.
type config struct {
	mu          sync.Mutex
	root        map[string]any
	subscribers []func()
}

func (c *config) get(key string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var v any = c.root
	for name := range strings.SplitSeq(key, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

func (c *config) Has(key string) bool {
	_, ok := c.get(key)
	return ok
}

func (c *config) Decode(key string, dst any) error {
	v, ok := c.get(key)
	if !ok {
		return nil
	}
	if d, isDuration := dst.(*time.Duration); isDuration {
		text, _ := v.(string)
		parsed, err := time.ParseDuration(text)
		if err == nil {
			*d = parsed
		}
		return err
	}
	if text, takesText := dst.(encoding.TextUnmarshaler); takesText {
		switch v.(type) {
		case map[string]any:
			return nil
		case []any, []string:
			return fmt.Errorf("app-config.yaml:1: %s: must be a string, is an array", key)
		}
		if err := text.UnmarshalText(fmt.Append(nil, v)); err != nil {
			return fmt.Errorf("app-config.yaml:1: %s: %w", key, err)
		}
		return nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, dst)
}

func (c *config) Subscribe(changed func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribers = append(c.subscribers, changed)
	i := len(c.subscribers) - 1
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.subscribers[i] = func() {}
	}
}

func (c *config) change(backend map[string]any) {
	c.mu.Lock()
	c.root = map[string]any{"backend": backend}
	subscribers := slices.Clone(c.subscribers)
	c.mu.Unlock()
	for _, changed := range subscribers {
		changed()
	}
}

// instance is a backend whose states a test sets.
type instance struct {
	mu      sync.Mutex
	state   service.State
	plugins map[string]service.State
	changed chan struct{}
}

func (i *instance) set(id string, state service.State) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if id == "" {
		i.state = state
	} else {
		i.plugins[id] = state
	}
	close(i.changed)
	i.changed = make(chan struct{})
}

func (i *instance) Status() service.Status {
	i.mu.Lock()
	defer i.mu.Unlock()
	return service.Status{State: i.state}
}

func (i *instance) Plugins() []service.Status { return nil }

func (i *instance) Plugin(id string) (service.Status, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	state, ok := i.plugins[id]
	return service.Status{ID: id, State: state}, ok
}

func (i *instance) Await(ctx context.Context, id string) (service.State, error) {
	for {
		i.mu.Lock()
		state, changed := i.plugins[id], i.changed
		i.mu.Unlock()
		if state != service.StateStarting {
			return state, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// httpAuth knows one user, who says so in a header, with a full or with a limited token.
type httpAuth struct{}

func (httpAuth) Credentials(r *http.Request, allow ...service.PrincipalKind) (service.Credentials, error) {
	limited := r.Header.Get("Authorization") == "Bearer limited" && slices.Contains(allow, service.AllowLimitedUser)
	if r.Header.Get("Authorization") != "Bearer guest" && !limited {
		return service.Credentials{}, service.AuthenticationError.Errorf("Missing credentials")
	}
	return service.Credentials{Kind: service.AllowUser, Subject: "user:default/guest"}, nil
}

func (httpAuth) IssueUserCookie(http.ResponseWriter, *http.Request, service.Credentials) (time.Time, error) {
	return time.Time{}, nil
}

// rootLifecycle keeps the hooks for the test.
type rootLifecycle struct{ beforeShutdown []func(context.Context) error }

func (*rootLifecycle) OnStarted(func(context.Context) error)  {}
func (*rootLifecycle) OnShutdown(func(context.Context) error) {}
func (l *rootLifecycle) BeforeShutdown(hook func(context.Context) error) {
	l.beforeShutdown = append(l.beforeShutdown, hook)
}

// logBuffer holds log lines as JSON.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) lines(t testing.TB) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []map[string]any
	for line := range bytes.Lines(l.buf.Bytes()) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fields)
	}
	return lines
}

// backend is a server with all that it needs.
type backend struct {
	t         testing.TB
	server    *httprouter.Server
	echo      *echo.Echo
	health    *health.Health
	config    *config
	instance  *instance
	lifecycle *rootLifecycle
	log       *logBuffer
	root      *fxtest.App
	client    *http.Client
}

// newBackend makes a backend with the configuration below "backend", which listens on a free port unless that says otherwise. It has
// not started.
func newBackend(t testing.TB, settings map[string]any, options ...fx.Option) *backend {
	t.Helper()
	b := prepare(t, settings)
	b.root = fxtest.New(t, append(b.options(), options...)...)
	return b
}

func prepare(t testing.TB, settings map[string]any) *backend {
	if settings == nil {
		settings = map[string]any{}
	}
	if settings["listen"] == nil {
		settings["listen"] = "127.0.0.1:0"
	}
	return &backend{
		t:         t,
		config:    &config{root: map[string]any{"backend": settings}},
		instance:  &instance{state: service.StateRunning, plugins: map[string]service.State{}, changed: make(chan struct{})},
		lifecycle: &rootLifecycle{},
		log:       &logBuffer{},
		client:    &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

func (b *backend) options() []fx.Option {
	options := []fx.Option{
		fx.NopLogger,
		fx.Provide(
			func() service.Config { return b.config },
			func() service.Instance { return b.instance },
			func() service.RootLifecycle { return b.lifecycle },
			func() service.RootLogger { return service.RootLogger{Logger: b.logger()} },
		),
		fx.Populate(&b.server, &b.echo, &b.health),
	}
	for _, s := range slices.Concat(httprouter.Services(), health.Services()) {
		if s.Scope() == service.ScopeRoot {
			options = append(options, fx.Provide(s.Constructor()))
		}
	}
	return options
}

func (b *backend) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(b.log, nil)) }

// start starts the backend, and stops it at the end of the test.
func (b *backend) start() *backend {
	b.t.Helper()
	b.root.RequireStart()
	b.t.Cleanup(func() {
		b.client.CloseIdleConnections()
		if b.root != nil {
			b.root.RequireStop()
		}
	})
	return b
}

// plugin gives a plugin its services. It runs, unless its state was set before.
func (b *backend) plugin(id string) (*echo.Group, service.AuthPolicies) {
	b.t.Helper()
	var group *echo.Group
	var policies service.AuthPolicies
	options := []fx.Option{
		fx.NopLogger,
		fx.Supply(plugin.Metadata{ID: id}, b.server, b.health),
		fx.Provide(func() service.HTTPAuth { return httpAuth{} }, func() *slog.Logger { return b.logger().With("plugin", id) }),
		fx.Populate(&group, &policies),
	}
	for _, s := range httprouter.Services() {
		if s.Scope() == service.ScopePlugin {
			options = append(options, fx.Provide(s.Constructor()))
		}
	}
	if err := fx.New(options...).Err(); err != nil {
		b.t.Fatal(err)
	}
	if _, known := b.instance.Plugin(id); !known {
		b.instance.set(id, service.StateRunning)
	}
	return group, policies
}

// answer is a response that has been read.
type answer struct {
	*http.Response
	body string
}

func (b *backend) do(req *http.Request) answer {
	b.t.Helper()
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res, string(body)}
}

// request makes a request, as a user. Headers are "Name: value"; an empty Authorization makes it anonymous.
func (b *backend) request(method, path string, body io.Reader, headers ...string) *http.Request {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.server.BaseURL()+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer guest")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return req
}

func (b *backend) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.do(b.request(http.MethodGet, path, nil, headers...))
}

func hello(c echo.Context) error { return c.String(http.StatusOK, "hello") }
