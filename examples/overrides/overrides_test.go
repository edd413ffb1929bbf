// Package overrides shows how an adopter tests against a real backend with some services replaced.
package overrides

import (
	"bytes"
	"log/slog"
	"net/http"
	"testing"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"

	"github.com/portico-dev/portico/examples/entityprovider/cmdb"
	"github.com/portico-dev/portico/examples/overrides/todo"
)

// A backend in one line: in-memory database and cache, free port, everything stopped and checked for leaks at the end of the test.
func TestPlugin(t *testing.T) {
	b := backendtest.Start(t, todo.Plugin())
	res := b.As(t, "user:default/guest").Get("/api/todo/items")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
}

// A service override is one more feature: its type says which service it replaces. Two overrides of one service are a wiring error.
func TestOverrideLogger(t *testing.T) {
	var log bytes.Buffer
	backendtest.Start(t, todo.Plugin(),
		service.Root[service.RootLogger](func() service.RootLogger {
			return service.RootLogger{Logger: slog.New(slog.NewJSONHandler(&log, nil))}
		}),
	)
	if log.Len() == 0 {
		t.Fatal("nothing was logged through the override")
	}
}

// The same test on every database that is available here.
func TestDatabases(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		backendtest.Start(t, todo.Plugin(), service.PerPlugin[*bun.DB](func() *bun.DB { return db }))
	})
}

// A module is tested against its plugin's extension point alone.
func TestModule(t *testing.T) {
	var got catalog.EntityProviderRecorder
	backendtest.Start(t, cmdb.Module(),
		backendtest.ExtensionPoint(catalog.EntityProvidersPoint, &got),
		backendtest.Config(map[string]any{"catalog": map[string]any{"providers": map[string]any{"cmdb": map[string]any{"url": "http://cmdb.example.com", "every": "5m"}}}}),
	)
	if len(got.Providers) != 1 {
		t.Fatalf("%d providers", len(got.Providers))
	}
}
