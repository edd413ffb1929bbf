package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// replica is the bus of a plugin on one replica, which is stopped when the test ends.
type replica struct {
	*events.Events
	bus *events.Bus
}

func startReplica(t testing.TB, options events.Options, subscriptions ...service.Subscription) *replica {
	t.Helper()
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	r := &replica{bus: events.New(options)}
	r.Events = r.bus.ForPlugin("todo", options.Log)
	for _, s := range subscriptions {
		if err := r.Subscribe(s); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { r.stop(t) })
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replica) stop(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := r.bus.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// on are the options for a database.
func on(db *bun.DB) events.Options {
	return events.Options{Lease: 1200 * time.Millisecond, Database: func(ctx context.Context) (*bun.DB, error) {
		return db, events.Migrate(ctx, db, slog.New(slog.DiscardHandler))
	}}
}

func (r *replica) publish(t testing.TB, topic string, payload any) {
	t.Helper()
	e, err := service.NewEvent(topic, payload)
	if err == nil {
		err = r.Publish(t.Context(), e)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// recorder is a subscriber that keeps what it gets.
type recorder struct {
	mu      sync.Mutex
	got     []string // <topic> <payload>
	changed chan struct{}
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) onEvent(_ context.Context, e service.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, fmt.Sprintf("%s %s", e.Topic, e.Payload))
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

// await waits until the recorder has as many events, and returns them.
func (r *recorder) await(t testing.TB, n int) []string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		got, changed := slices.Clone(r.got), r.changed
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("got %d events, want %d: %s", len(got), n, strings.Join(got, ", "))
		}
	}
}

func (r *recorder) subscription(id string, durable bool, topics ...string) service.Subscription {
	return service.Subscription{ID: id, Topics: topics, OnEvent: r.onEvent, Durable: durable}
}

func expect(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

func exec(t testing.TB, db *bun.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}
