//go:build unix

package scheduler_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/uptrace/bun"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
	"github.com/portico-dev/portico/service/scheduler"
)

// BenchmarkIdle measures how much of a core a thousand global tasks take that are not due, with the default lease. One operation is ten
// seconds, in which the scheduler looks into the database twice.
func BenchmarkIdle(b *testing.B) {
	for name, section := range map[string]map[string]any{
		"SQLite":     {"client": "better-sqlite3", "connection": map[string]any{"directory": b.TempDir()}},
		"PostgreSQL": backendtest.PostgreSQL(b),
	} {
		b.Run(name, func(b *testing.B) {
			db := openDatabase(b, section)
			s := scheduler.New(scheduler.Options{
				PluginID: "todo", Log: slog.New(slog.DiscardHandler), Clock: clockwork.NewRealClock(),
				Database: func(ctx context.Context) (*bun.DB, error) {
					return db, scheduler.Migrate(ctx, db, "todo", slog.New(slog.DiscardHandler))
				},
			})
			var first sync.WaitGroup
			for n := range 1000 {
				first.Add(1)
				err := s.Schedule(service.Task{ID: fmt.Sprint(n), Every: time.Hour, Run: func(context.Context) error { first.Done(); return nil }})
				if err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := s.Stop(context.WithoutCancel(b.Context())); err != nil {
					b.Error(err)
				}
			}()
			first.Wait()
			for running := 1; running > 0; {
				if err := db.NewRaw("SELECT count(*) FROM portico_scheduler_tasks WHERE owner IS NOT NULL").Scan(b.Context(), &running); err != nil {
					b.Fatal(err)
				}
			}
			before := processorTime(b)
			for b.Loop() {
				time.Sleep(10 * time.Second)
			}
			b.ReportMetric(100*(processorTime(b)-before).Seconds()/b.Elapsed().Seconds(), "%core")
		})
	}
}

// processorTime is what this process has taken so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func openDatabase(b *testing.B, section map[string]any) *bun.DB {
	b.Helper()
	lifecycle := fxtest.NewLifecycle(quiet{b})
	manager, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": section}}),
		service.RootLogger{Logger: slog.New(slog.DiscardHandler)}, lifecycle)
	if err != nil {
		b.Fatal(err)
	}
	lifecycle.RequireStart()
	b.Cleanup(func() { lifecycle.RequireStop() })
	db, err := manager.Open(b.Context(), "todo")
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}
