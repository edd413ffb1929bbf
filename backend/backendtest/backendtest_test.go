package backendtest_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// recorder is a test that may fail without the real one failing.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (r *recorder) Failed() bool            { return len(r.failures) > 0 }
func (r *recorder) Cleanup(f func())        { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Logf(f string, a ...any) {}

func (r *recorder) end() {
	for n := len(r.cleanups) - 1; n >= 0; n-- {
		r.cleanups[n]()
	}
}

func TestALeakFailsTheTest(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	r := &recorder{TB: t}
	backendtest.Start(r, plugin.New("leaky", plugin.Init(func() {
		go func() { <-release }()
	})))
	backendtest.Start(t, todo()) // runs at the same time, and is not taken for a leak
	r.end()
	close(release)
	if len(r.failures) != 1 || !strings.Contains(r.failures[0], "1 goroutines of the backend are left") || !strings.Contains(r.failures[0], "backendtest_test.go") {
		t.Errorf("the test failed with %q", r.failures)
	}
}

func TestClientsCallAsSomebody(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, plugin.New("who", plugin.Init(func(g *echo.Group, auth service.HTTPAuth) {
		g.Any("/*", func(c echo.Context) error {
			cred, err := auth.Credentials(c.Request(), service.AllowUser)
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, cred.Subject)
		})
	})))
	for who, c := range map[string]struct {
		client *backendtest.Client
		status int
	}{
		"a user":    {b.As(t, "user:default/guest"), http.StatusOK},
		"a service": {b.AsService(t, "plugin:search"), http.StatusForbidden},
		"nobody":    {b.Anonymous(t), http.StatusUnauthorized},
	} {
		if got := c.client.Get("/api/who/").StatusCode; got != c.status {
			t.Errorf("%s: status %d, want %d", who, got, c.status)
		}
	}
}

func TestTheLogAndTheClockAreTheTests(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, plugin.New("a", plugin.Init(func(log *slog.Logger, clock clockwork.Clock) {
		log.Debug("the time", "now", clock.Now().Format(time.RFC3339))
	})))
	for _, e := range b.Log.Entries() {
		if e.Message == "the time" {
			if e.Plugin != "a" || e.Level != "debug" || e.Fields["now"] != b.Clock.Now().Format(time.RFC3339) {
				t.Errorf("the entry is %+v", e)
			}
			return
		}
	}
	t.Error("the log has no such entry")
}

func TestAnExtensionPointStandsInForItsPlugin(t *testing.T) {
	t.Parallel()
	type names interface{ Add(string) }
	point := extension.NewPoint[names]("todo.names")
	var got list
	backendtest.Start(t, backendtest.ExtensionPoint(point, &got),
		plugin.NewModule("todo", "m", plugin.Init(func(n names) { n.Add("m") })))
	if fmt.Sprint(got.all) != "[m]" {
		t.Errorf("the module added %v", got.all)
	}
	if _, err := backendtest.TryStart(t, backendtest.ExtensionPoint(point, "a string")); err == nil {
		t.Error("a stand-in that isn't one was accepted")
	}
}

type list struct{ all []string }

func (l *list) Add(n string) { l.all = append(l.all, n) }
