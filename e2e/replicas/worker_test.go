package replicas_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

const (
	taskCount    = 12
	taskInterval = 300 * time.Millisecond
	workLease    = 2 * time.Second
)

// worker is a program with a plugin that writes down what its tasks and its durable subscriber do.
func worker(name string, config object) []backend.Feature {
	config["backend"].(object)["scheduler"] = object{"lease": workLease.String()}
	config["events"] = object{"bus": object{"lease": workLease.String()}}
	return []backend.Feature{plugin.New("worker", plugin.Init(func(db *bun.DB, s service.Scheduler, events service.Events, lifecycle fx.Lifecycle, log *slog.Logger) error {
		for n := range taskCount {
			id := fmt.Sprintf("task-%d", n)
			err := s.Schedule(service.Task{ID: id, Every: taskInterval, Timeout: 10 * time.Second, Run: func(ctx context.Context) error {
				var run int64
				noting := context.WithoutCancel(ctx)
				err := db.NewRaw("INSERT INTO runs (task, replica, began) VALUES (?, ?, "+milliseconds+") RETURNING id", id, name).Scan(noting, &run)
				if err != nil {
					return err
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(50+rand.IntN(150)) * time.Millisecond):
				}
				_, err = db.ExecContext(noting, "UPDATE runs SET ended = "+milliseconds+" WHERE id = ?", run)
				return err
			}})
			if err != nil {
				return err
			}
		}
		err := events.Subscribe(service.Subscription{ID: "collector", Topics: []string{"work"}, Durable: true,
			OnEvent: func(ctx context.Context, e service.Event) error {
				var number string
				if err := e.Decode(&number); err != nil {
					return err
				}
				_, err := db.ExecContext(ctx, "INSERT INTO received (number) VALUES (?)", number)
				return err
			}})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		lifecycle.Append(fx.StartStopHook(func() {
			go func() {
				defer close(done)
				publish(ctx, name, db, events, log)
			}()
		}, func() {
			cancel()
			<-done
		}))
		return nil
	}))}
}

// publish publishes events, and writes down which have been published.
func publish(ctx context.Context, name string, db *bun.DB, events service.Events, log *slog.Logger) {
	for n := 0; ctx.Err() == nil; n++ {
		number := fmt.Sprintf("%s-%d", name, n)
		e, err := service.NewEvent("work", number)
		if err == nil {
			err = events.Publish(ctx, e)
		}
		if err == nil {
			_, err = db.ExecContext(ctx, "INSERT INTO published (number) VALUES (?)", number)
		}
		if err != nil && ctx.Err() == nil {
			log.Error("publishing", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestKilledWorkers kills replicas that work. Every task must go on, no task may run twice at once, and no event may get lost.
func TestKilledWorkers(t *testing.T) {
	t.Parallel()
	section := backendtest.PostgreSQL(t)
	db := open(t, section, "worker",
		"runs (id bigserial PRIMARY KEY, task text, replica text, began bigint, ended bigint)",
		"published (number text PRIMARY KEY)",
		"received (number text)",
		"kills (replica text PRIMARY KEY, at bigint)",
	)
	fleet := startFleet(t, "workers", section)
	fleet.kill(func(victim *process) {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO kills (replica, at) VALUES (?, "+milliseconds+")", victim.name); err != nil {
			t.Fatal(err)
		}
	})
	count := func(query string, args ...any) int {
		t.Helper()
		return count(t, db, query, args...)
	}
	await(t, "every task to run since the last kill", func() bool {
		return count("SELECT count(DISTINCT task) FROM runs WHERE began > (SELECT max(at) FROM kills) AND ended IS NOT NULL") == taskCount
	})
	for _, r := range fleet.alive[1:] {
		r.stop(t)
	}
	last := fleet.alive[0] // which goes on publishing, and receives what the others have published
	await(t, "every event to be received", func() bool {
		return count("SELECT count(*) FROM published p WHERE number NOT LIKE ? AND NOT EXISTS (SELECT FROM received r WHERE r.number = p.number)",
			last.name+"-%") == 0
	})
	last.stop(t)

	if _, err := db.ExecContext(t.Context(), "UPDATE runs SET ended = kills.at FROM kills WHERE kills.replica = runs.replica AND ended IS NULL"); err != nil {
		t.Fatal(err)
	}
	if n := count("SELECT count(*) FROM runs WHERE ended IS NULL"); n > 0 {
		t.Errorf("%d runs have not ended although their replica was not killed", n)
	}
	overlaps := count("SELECT count(*) FROM runs a JOIN runs b ON a.task = b.task AND a.id < b.id AND a.began < b.ended AND b.began < a.ended")
	if overlaps > 0 {
		t.Errorf("%d times a task ran twice at once", overlaps)
	}
	t.Logf("%d kills; %d runs of %d tasks, %d of them interrupted, the longest pause of a task %dms; %d events published, %d received, %d of them twice",
		count("SELECT count(*) FROM kills"), count("SELECT count(*) FROM runs"), taskCount,
		count("SELECT count(*) FROM runs JOIN kills ON kills.replica = runs.replica AND ended = at"),
		count("SELECT max(pause) FROM (SELECT began - lag(ended) OVER (PARTITION BY task ORDER BY began) AS pause FROM runs) AS pauses"),
		count("SELECT count(*) FROM published"), count("SELECT count(DISTINCT number) FROM received"),
		count("SELECT count(*) - count(DISTINCT number) FROM received"))
}
