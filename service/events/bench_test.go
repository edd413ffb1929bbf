package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/uptrace/bun"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
	"github.com/portico-dev/portico/service/events"
)

// payload has the size of an ordinary webhook's, about a kilobyte.
var payload = []byte(fmt.Sprintf(`{"text":%q}`, fmt.Sprintf("%01000d", 0)))

// BenchmarkInProcess publishes to ten subscribers in the process.
func BenchmarkInProcess(b *testing.B) {
	var got atomic.Int64
	var subscriptions []service.Subscription
	for n := range 10 {
		subscriptions = append(subscriptions, service.Subscription{ID: fmt.Sprint(n), Topics: []string{"push"},
			OnEvent: func(context.Context, service.Event) error { got.Add(1); return nil }})
	}
	r := startReplica(b, events.Options{}, subscriptions...)
	for b.Loop() {
		if err := r.Publish(b.Context(), service.Event{Topic: "push", Payload: payload}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if got.Load() != int64(10*b.N) {
		b.Errorf("%d events were received of %d", got.Load(), 10*b.N)
	}
}

// BenchmarkAcrossReplicas publishes on one replica, from 32 goroutines, and counts what the durable subscriber on another one gets.
func BenchmarkAcrossReplicas(b *testing.B) {
	section := backendtest.PostgreSQL(b)
	const batch, publishers = 2000, 32
	arrived := make(chan struct{})
	count := 0
	startReplica(b, on(openDatabase(b, section)), service.Subscription{ID: "all", Topics: []string{"push"}, Durable: true,
		OnEvent: func(context.Context, service.Event) error {
			if count++; count%batch == 0 {
				arrived <- struct{}{}
			}
			return nil
		}})
	publisher := startReplica(b, on(openDatabase(b, section)))
	for b.Loop() {
		var left atomic.Int64
		left.Store(batch)
		var wait sync.WaitGroup
		for range publishers {
			wait.Go(func() {
				for left.Add(-1) >= 0 {
					if err := publisher.Publish(b.Context(), service.Event{Topic: "push", Payload: payload}); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wait.Wait()
		<-arrived
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
}

// openDatabase opens the database of events with a pool of its own, as a replica does.
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
	db, err := manager.Open(b.Context(), "events")
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}
