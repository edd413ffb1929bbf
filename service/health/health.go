package health

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/fx"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/sync/singleflight"

	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

const (
	// PathPrefix is the path that the health routes are below.
	PathPrefix = "/.backstage/health/v1/"

	livenessPath  = PathPrefix + "liveness"
	readinessPath = PathPrefix + "readiness"

	// checkTimeout is how long readiness waits for the checks. It is below the timeout that probes usually have, so that the answer
	// can name what hangs.
	checkTimeout = 3 * time.Second

	headersKey = "backend.health.headers"
)

//go:embed schema.json
var schema []byte

// Services are the root service [*Health] and the plugin-scoped [service.Health].
func Services() []service.Service {
	return []service.Service{
		service.Root[*Health](newHealth, service.ConfigSchema(schema)),
		service.PerPlugin[service.Health](newPluginHealth),
	}
}

// Health serves the health routes and holds the readiness checks. It is a [service.Health] for root services. Safe for concurrent use.
type Health struct {
	instance service.Instance
	log      *slog.Logger
	headers  http.Header

	mu     sync.Mutex
	checks []*check

	probes  singleflight.Group // probes at the same time share one run of the checks
	running sync.WaitGroup     // checks that have not returned
}

type check struct {
	name string
	run  func(context.Context) error
	busy atomic.Bool
}

func newHealth(config service.Config, instance service.Instance, log service.RootLogger, lifecycle fx.Lifecycle) (*Health, error) {
	h := &Health{instance: instance, log: log.With("service", "health"), headers: http.Header{}}
	var headers map[string]string
	if err := config.Decode(headersKey, &headers); err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	for name, value := range headers {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("health: configuration key %s: %q is not the name of an HTTP header", headersKey, name)
		}
		if value == "" || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("health: configuration key %s.%s: %q is not the value of an HTTP header; it has to be text on one line",
				headersKey, name, value)
		}
		h.headers.Set(name, value)
	}
	lifecycle.Append(fx.Hook{OnStop: h.wait})
	return h, nil
}

// wait returns when the last check has returned.
func (h *Health) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("health: readiness checks have not returned: %w", ctx.Err())
	}
}

// AddCheck adds a readiness check; see [service.Health].
func (h *Health) AddCheck(name string, run func(context.Context) error) {
	if name == "" || run == nil {
		panic("health: AddCheck needs a name and a function")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, &check{name: name, run: run})
}

// pluginHealth puts the id of the plugin before the names of its checks.
type pluginHealth struct {
	plugin string
	health *Health
}

func newPluginHealth(metadata plugin.Metadata, health *Health) service.Health {
	return pluginHealth{plugin: metadata.ID, health: health}
}

func (p pluginHealth) AddCheck(name string, run func(context.Context) error) {
	if name == "" {
		panic("health: AddCheck needs a name and a function")
	}
	p.health.AddCheck(p.plugin+"/"+name, run)
}

// ServeHTTP answers the health routes, and 404 without a body for everything else.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	known := r.URL.Path == livenessPath || r.URL.Path == readinessPath
	if !known || r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	for name, values := range h.headers {
		w.Header()[name] = values
	}
	problem := ""
	if r.URL.Path == readinessPath {
		problem = h.problem(r.Context())
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	answer := struct {
		Message string `json:"message,omitempty"`
		Status  string `json:"status"`
	}{problem, "ok"}
	if problem != "" {
		answer.Status = "error"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		h.log.ErrorContext(r.Context(), "Encoding the answer to a health probe failed", "error", err)
		return
	}
	if _, err := w.Write(body); err != nil {
		h.log.DebugContext(r.Context(), "A health probe went away before its answer", "error", err)
	}
}

// problem tells why the backend is not ready. Empty means that it is.
func (h *Health) problem(ctx context.Context) string {
	switch h.instance.Status().State {
	case service.StateRunning:
	case service.StateStopping, service.StateStopped:
		return "Backend is shutting down"
	case service.StateFailed:
		return "Backend has failed to start"
	default:
		return "Backend has not started yet"
	}
	// The run is shared, so it must not end because the first of the probes has gone away.
	failing, _, _ := h.probes.Do("", func() (any, error) { return h.failing(context.WithoutCancel(ctx)), nil })
	if names := failing.([]string); len(names) > 0 {
		return "Backend is not ready, failing checks: " + strings.Join(names, ", ")
	}
	return ""
}

// failing runs all checks side by side and returns the names of those that fail, in order.
func (h *Health) failing(ctx context.Context) []string {
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]chan error, len(checks))
	for i, c := range checks {
		results[i] = make(chan error, 1)
		if c.busy.Swap(true) {
			results[i] <- errors.New("the check has not returned since an earlier probe")
			continue
		}
		h.running.Go(func() {
			defer c.busy.Store(false)
			results[i] <- c.call(ctx)
		})
	}
	var names []string
	for i, c := range checks {
		var err error
		select {
		case err = <-results[i]:
		case <-ctx.Done():
			select {
			case err = <-results[i]:
			default:
				err = fmt.Errorf("the check has not returned within %s", checkTimeout)
			}
		}
		if err != nil {
			h.log.WarnContext(ctx, "Readiness check failed", panics.Attrs(err, "check", c.name)...)
			names = append(names, c.name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *check) call(ctx context.Context) (err error) {
	defer panics.Recover(&err)
	return c.run(ctx)
}
