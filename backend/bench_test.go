package backend_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// BenchmarkStart starts a backend of 50 plugins that each take a logger, a router and an in-memory database which they use once. The floor
// is what nobody can do without: opening 50 in-memory databases with the bare driver and using each once.
func BenchmarkStart(b *testing.B) {
	const plugins = 50
	use := func(ctx context.Context, db *bun.DB, g *echo.Group, log *slog.Logger) error {
		g.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
		log.Debug("ready")
		_, err := db.ExecContext(ctx, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
		return err
	}
	var took, floor time.Duration
	for b.Loop() {
		began := time.Now()
		portal := backend.New(backend.Options{Config: config.Options{Dir: b.TempDir(), Overrides: map[string]any{"backend": map[string]any{
			"listen":   "127.0.0.1:0",
			"database": map[string]any{"client": "better-sqlite3", "connection": ":memory:"},
		}}}})
		portal.Add(service.Root[service.RootLogger](func() service.RootLogger {
			return service.RootLogger{Logger: slog.New(slog.DiscardHandler)}
		}))
		for n := range plugins {
			portal.Add(plugin.New(fmt.Sprintf("p%d", n), plugin.Init(use)))
		}
		if err := portal.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
		if err := portal.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
		floor += openBare(b, plugins)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds()*1000/float64(b.N), "ms/start")
	b.ReportMetric(took.Seconds()/floor.Seconds(), "x-floor")
}

func openBare(b *testing.B, n int) time.Duration {
	b.Helper()
	began := time.Now()
	for range n {
		db, err := sql.Open("sqlite", ":memory:")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := db.ExecContext(b.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY)"); err != nil {
			b.Fatal(err)
		}
		defer db.Close()
	}
	return time.Since(began)
}
