package events_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
)

func TestEachReplicaGetsEachEventOnce(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		if db.Dialect().Name() == dialect.SQLite {
			t.Skip("there are no other replicas")
		}
		here, there := newRecorder(), newRecorder()
		a := startReplica(t, on(db), here.subscription("all", false, "push"))
		b := startReplica(t, on(db), there.subscription("all", false, "push", "merge"))
		for n := range 3 {
			a.publish(t, "push", n)
		}
		expect(t, there.await(t, 3), "push 0", "push 1", "push 2")
		b.publish(t, "merge", 3)
		b.publish(t, "push", 4)
		expect(t, here.await(t, 4), "push 0", "push 1", "push 2", "push 4")
		expect(t, there.await(t, 5), "push 0", "push 1", "push 2", "merge 3", "push 4")
	})
}

func TestEventsCrossComplete(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		got := make(chan service.Event, 1)
		r := startReplica(t, on(db), service.Subscription{ID: "all", Topics: []string{"push"}, Durable: true,
			OnEvent: func(_ context.Context, e service.Event) error { got <- e; return nil }})
		payload := `{"text":"'\\\" ? $1 \u0000 … 🙂","big":"` + strings.Repeat(`\\`, 2_000_000) + `"}`
		sent := service.Event{Topic: "push", Payload: []byte(payload), Metadata: map[string][]string{"x-github-event": {"push", "?"}}}
		if err := r.Publish(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
		e := <-got
		if e.Topic != "push" || string(e.Payload) != payload || !slices.Equal(e.Metadata["x-github-event"], []string{"push", "?"}) {
			t.Errorf("the event has changed: topic %q, %d bytes instead of %d, metadata %v", e.Topic, len(e.Payload), len(payload), e.Metadata)
		}
		if err := r.Publish(t.Context(), service.Event{Topic: "push"}); err != nil {
			t.Fatal(err)
		}
		if e := <-got; string(e.Payload) != "null" || e.Metadata != nil {
			t.Errorf("an empty event has become %s, %v", e.Payload, e.Metadata)
		}
	})
}

func TestDurableSubscribersMissNothing(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		if db.Dialect().Name() == dialect.SQLite {
			t.Skip("there are no other replicas")
		}
		all := newRecorder()
		first := startReplica(t, on(db), all.subscription("all", true, "push"))
		first.publish(t, "push", 0)
		all.await(t, 1)
		second := startReplica(t, on(db), all.subscription("all", true, "push"), newRecorder().subscription("other", true, "merge"))
		second.publish(t, "push", 1)
		second.publish(t, "merge", "nothing")
		second.publish(t, "push", 2)
		expect(t, all.await(t, 3), "push 0", "push 1", "push 2")

		first.stop(t)
		second.publish(t, "push", 3)
		all.await(t, 4)
		second.stop(t)
		publisher := startReplica(t, on(db), newRecorder().subscription("other", true, "push"))
		publisher.publish(t, "push", 4)
		startReplica(t, on(db), all.subscription("all", true, "push"))
		expect(t, all.await(t, 5), "push 0", "push 1", "push 2", "push 3", "push 4")
	})
}

func TestDurableSubscribersGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		all := newRecorder()
		for n := range 3 {
			r := startReplica(t, on(db), all.subscription("all", true, "push"), newRecorder().subscription("other", true, "push"))
			r.publish(t, "push", n)
			all.await(t, n+1)
			r.stop(t)
		}
		expect(t, all.await(t, 3), "push 0", "push 1", "push 2")
	})
}

func TestManyPublishersAndNothingIsMissed(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		all := newRecorder()
		replicas := []*replica{startReplica(t, on(db), all.subscription("all", true, "push"))}
		if db.Dialect().Name() != dialect.SQLite {
			for range 2 {
				replicas = append(replicas, startReplica(t, on(db)))
			}
		}
		const publishers, each = 8, 25
		var wait sync.WaitGroup
		for _, r := range replicas {
			for p := range publishers {
				wait.Go(func() {
					for n := range each {
						r.publish(t, "push", fmt.Sprintf("%p %d %d", r, p, n))
					}
				})
			}
		}
		wait.Wait()
		got := all.await(t, len(replicas)*publishers*each)
		slices.Sort(got)
		if distinct := slices.Compact(got); len(distinct) != len(replicas)*publishers*each {
			t.Errorf("got %d different events of %d", len(distinct), len(replicas)*publishers*each)
		}
	})
}

func TestEventsAreToldAgainAfterFailures(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		all := newRecorder()
		attempts := 0
		r := startReplica(t, on(db), service.Subscription{ID: "moody", Topics: []string{"push"}, Durable: true,
			OnEvent: func(ctx context.Context, e service.Event) error {
				switch attempts++; attempts {
				case 1:
					return errors.New("not today")
				case 2:
					panic("nor tomorrow")
				}
				return all.onEvent(ctx, e)
			}})
		r.publish(t, "push", 1)
		r.publish(t, "push", 2)
		expect(t, all.await(t, 2), "push 1", "push 2")
	})
}

func TestSubscriptionsOfADeadReplicaAreTakenOver(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		all := newRecorder()
		r := startReplica(t, on(db), all.subscription("all", true, "push"))
		r.publish(t, "push", 1)
		all.await(t, 1)
		// Another replica has taken it, and dies.
		exec(t, db, "UPDATE portico_event_subscriptions SET owner = 'dead', lease_until = lease_until + 500")
		r.publish(t, "push", 2)
		if got := all.await(t, 2); got[len(got)-1] != "push 2" {
			t.Errorf("got %v", got)
		}
		var owner string
		for owner == "" || owner == "dead" {
			if err := db.NewRaw("SELECT owner FROM portico_event_subscriptions").Scan(t.Context(), &owner); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		r.publish(t, "push", 3)
		for n := 3; ; n++ {
			if got := all.await(t, n); got[len(got)-1] == "push 3" {
				break
			}
		}
	})
}

func TestTheReplicaThatStartedLastSetsTheTopics(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		older, newer := newRecorder(), newRecorder()
		a := startReplica(t, on(db), older.subscription("all", true, "push"))
		a.publish(t, "push", 1)
		older.await(t, 1)
		b := startReplica(t, on(db), newer.subscription("all", true, "push", "merge"))
		b.publish(t, "merge", 2)
		b.publish(t, "push", 3)
		for n := 2; ; n++ { // the first event may come again
			if got := newer.await(t, n); slices.Contains(got, "merge 2") && slices.Contains(got, "push 3") {
				break
			}
		}
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		count := func() (n int) {
			if err := db.NewRaw("SELECT count(*) FROM portico_events").Scan(t.Context(), &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		all, busy := newRecorder(), newRecorder()
		away := startReplica(t, on(db), all.subscription("away", true, "push"))
		away.publish(t, "push", "first")
		all.await(t, 1)
		away.stop(t)
		publisher := startReplica(t, on(db), busy.subscription("busy", true, "push"))
		for n := range 30 {
			publisher.publish(t, "push", n)
		}
		busy.await(t, 30)
		publisher.stop(t)
		if n := count(); n != 31 {
			t.Fatalf("%d events are kept before anything is cleaned", n)
		}

		exec(t, db, "UPDATE portico_event_head SET cleaned_at = 0")
		options := on(db)
		options.MaxEvents = 10
		cleaner := startReplica(t, options, newRecorder().subscription("other", true, "push"))
		for count() != 10 {
			time.Sleep(5 * time.Millisecond)
		}
		cleaner.stop(t)

		var log bytes.Buffer
		options.Log = slog.New(slog.NewTextHandler(&log, nil))
		all = newRecorder()
		back := startReplica(t, options, all.subscription("away", true, "push"))
		if got := all.await(t, 10); got[0] != "push 20" {
			t.Errorf("the first event that is left is %s", got[0])
		}
		back.stop(t)
		if !strings.Contains(log.String(), "too far behind") {
			t.Errorf("it is not logged that events were dropped:\n%s", &log)
		}

		// What all have handled goes after a minute, and who isn't there any more after MaxAge.
		exec(t, db, "UPDATE portico_event_head SET cleaned_at = 0")
		exec(t, db, "UPDATE portico_events SET created_at = created_at - 61000")
		exec(t, db, "UPDATE portico_event_subscriptions SET seen_at = 0 WHERE id <> 'todo.away'")
		startReplica(t, on(db), all.subscription("away", true, "push"))
		for count() != 0 {
			time.Sleep(5 * time.Millisecond)
		}
	})
}

func TestOnlyWhatIsNeededIsStoredWithoutReplicas(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		if db.Dialect().Name() != dialect.SQLite {
			t.Skip("there may be other replicas")
		}
		r := startReplica(t, on(db), newRecorder().subscription("durable", true, "push"), newRecorder().subscription("other", false, "merge"))
		r.publish(t, "push", 1)
		r.publish(t, "merge", 2)
		var topics []string
		if err := db.NewRaw("SELECT topic FROM portico_events").Scan(t.Context(), &topics); err != nil {
			t.Fatal(err)
		}
		expect(t, topics, "push")
	})
}

func TestReplicasWithOneConnection(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		db.SetMaxOpenConns(1)
		all := newRecorder()
		startReplica(t, on(db), all.subscription("all", true, "push"))
		publisher := startReplica(t, on(db), newRecorder().subscription("other", true, "push"))
		if db.Dialect().Name() == dialect.SQLite {
			t.Skip("there are no other replicas")
		}
		publisher.publish(t, "push", 1)
		expect(t, all.await(t, 1), "push 1")
	})
}
