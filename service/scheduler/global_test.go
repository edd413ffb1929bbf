package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/scheduler"
)

const lease = 1200 * time.Millisecond

// replica is a scheduler whose own clock is far ahead and stands still: it must not matter. It is stopped when the test ends.
func replica(t testing.TB, db *bun.DB, log slog.Handler) *scheduler.Scheduler {
	t.Helper()
	s := scheduler.New(scheduler.Options{
		PluginID: "todo",
		Log:      slog.New(log),
		Clock:    clockwork.NewFakeClockAt(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)),
		Lease:    lease,
		Database: func(ctx context.Context) (*bun.DB, error) {
			return db, scheduler.Migrate(ctx, db, "todo", slog.New(slog.DiscardHandler))
		},
	})
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ticks is a task that tells when it runs.
func ticks(id string, every time.Duration) (service.Task, chan string) {
	c := make(chan string, 1000)
	return service.Task{ID: id, Every: every, Run: func(context.Context) error { c <- id; return nil }}, c
}

// hangs is a task that runs until its context ends, and then tells why.
func hangs(id string) (task service.Task, began chan string, ended chan error) {
	began, ended = make(chan string, 100), make(chan error, 100)
	return service.Task{ID: id, Every: time.Hour, Run: func(ctx context.Context) error {
		began <- id
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	}}, began, ended
}

// receive waits for a value.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no sign of %s", what)
		panic("unreachable")
	}
}

// isRunning waits until the database says that the task is running, or not.
func awaitRunning(t *testing.T, db *bun.DB, id string, running bool) {
	t.Helper()
	for {
		var owner string
		err := db.NewRaw("SELECT coalesce(owner, '') FROM portico_scheduler_tasks WHERE id = ?", id).Scan(t.Context(), &owner)
		if err != nil {
			t.Fatal(err)
		}
		if (owner != "") == running {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func exec(t *testing.T, db *bun.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestOneReplicaRunsEachTask(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		var runs [5]atomic.Int32
		var inside [5]atomic.Int32
		enough := make(chan struct{}, 1000)
		for range 3 {
			s := replica(t, db, slog.DiscardHandler)
			for n := range runs {
				schedule(t, s, service.Task{ID: string(rune('a' + n)), Every: 60 * time.Millisecond, Run: func(context.Context) error {
					if inside[n].Add(1) > 1 {
						t.Error("a task runs twice at once")
					}
					defer inside[n].Add(-1)
					if runs[n].Add(1) == 6 {
						enough <- struct{}{}
					}
					time.Sleep(3 * time.Millisecond)
					return nil
				}})
			}
			start(t, s)
		}
		began := time.Now()
		for range runs {
			receive(t, "six runs of each task", enough)
		}
		if took := time.Since(began); took < 4*60*time.Millisecond {
			t.Errorf("six runs at intervals of 60ms took %s: replicas run tasks on their own", took)
		}
	})
}

func TestTasksOfADeadReplicaAreTakenOver(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		task, ran := ticks("import", time.Hour)
		first := replica(t, db, slog.DiscardHandler)
		schedule(t, first, task)
		start(t, first)
		receive(t, "the first run", ran)
		awaitRunning(t, db, "import", false)
		stop(t, first)
		exec(t, db, "UPDATE portico_scheduler_tasks SET owner = 'dead', started_at = last_ended_at, ready_at = last_ended_at + 800")
		died := time.Now()

		second := replica(t, db, slog.DiscardHandler)
		schedule(t, second, task)
		start(t, second)
		receive(t, "the run of the second replica", ran)
		if after := time.Since(died); after < 500*time.Millisecond {
			t.Errorf("the task was taken over after %s, before its lease ended", after)
		}
	})
}

func TestLostLeasesEndRuns(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		task, began, ended := hangs("import")
		s := replica(t, db, slog.DiscardHandler)
		schedule(t, s, task)
		start(t, s)
		receive(t, "the run", began)
		exec(t, db, "UPDATE portico_scheduler_tasks SET owner = 'another'")
		if err := receive(t, "the end of the run", ended); err == nil || !strings.Contains(err.Error(), "another replica") {
			t.Errorf("the run ended for: %v", err)
		}
	})
}

func TestRunsEndBeforeTheirLeaseIfTheDatabaseIsGone(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		task, began, ended := hangs("import")
		s := replica(t, db, slog.DiscardHandler)
		schedule(t, s, task)
		start(t, s)
		receive(t, "the run", began)
		at := time.Now()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, "the end of the run", ended); err == nil || !strings.Contains(err.Error(), "can't be renewed") {
			t.Errorf("the run ended for: %v", err)
		}
		if after := time.Since(at); after >= lease {
			t.Errorf("the run ended after %s, when its lease had", after)
		}
	})
}

func TestReplicasTriggerAndCancelForEachOther(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		task, began, ended := hangs("report")
		task.Every, task.Manual = 0, true
		worker := replica(t, db, slog.DiscardHandler)
		schedule(t, worker, task)
		start(t, worker)
		other := replica(t, db, slog.DiscardHandler)
		task.InitialDelay = time.Hour // the other one doesn't run it itself
		schedule(t, other, task)
		start(t, other)

		if err := other.Cancel(t.Context(), "report"); !errors.Is(err, service.ConflictError) {
			t.Errorf("cancelling a task that isn't running: %v", err)
		}
		if err := worker.Trigger(t.Context(), "report"); err != nil {
			t.Fatal(err)
		}
		receive(t, "the run", began)
		if err := other.Trigger(t.Context(), "report"); !errors.Is(err, service.ConflictError) {
			t.Errorf("triggering a task that runs: %v", err)
		}
		if err := other.Cancel(t.Context(), "report"); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, "the end of the run", ended); err == nil || !strings.Contains(err.Error(), "cancelled") {
			t.Errorf("the run ended for: %v", err)
		}
		awaitRunning(t, db, "report", false)
		exec(t, db, "UPDATE portico_scheduler_tasks SET next_run_at = NULL, ready_at = NULL")
		if err := worker.Trigger(t.Context(), "report"); err != nil {
			t.Fatal(err)
		}
		receive(t, "another run", began)
	})
}

func TestNewerReplicasSetTheSchedule(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		task, ran := ticks("import", time.Hour)
		older := replica(t, db, slog.DiscardHandler)
		schedule(t, older, task)
		start(t, older)
		receive(t, "the first run", ran)

		newer := replica(t, db, slog.DiscardHandler)
		schedule(t, newer, service.Task{ID: "import", Every: 50 * time.Millisecond, InitialDelay: time.Hour, Run: nothing})
		start(t, newer)
		for range 3 {
			receive(t, "a run of the older replica", ran)
		}
	})
}

func TestInterruptedRunsAreDueAgain(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		task, began, _ := hangs("import")
		for range 2 {
			s := replica(t, db, slog.DiscardHandler)
			schedule(t, s, task)
			start(t, s)
			receive(t, "the run", began)
			stop(t, s)
			awaitRunning(t, db, "import", false)
		}
	})
}

func TestTasksAreListed(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		s := replica(t, db, slog.DiscardHandler)
		hanging, began, _ := hangs("hanging")
		hanging.Timeout = 3 * time.Minute
		schedule(t, s, hanging,
			service.Task{ID: "nightly", Cron: "0 3 * * *", Timeout: time.Minute, Run: nothing},
			service.Task{ID: "printing", Manual: true, Run: func(context.Context) error { return errors.New("no paper") }},
			service.Task{ID: "later", Every: 36 * time.Hour, InitialDelay: 90 * time.Second, Run: nothing},
			service.Task{ID: "mine", Every: time.Hour, InitialDelay: time.Hour, Scope: service.TaskLocal, Run: nothing},
		)
		start(t, s)
		receive(t, "the run", began)
		e := echo.New()
		s.AddRoutes(e.Group("/api/todo"), nil)
		call := func(method, path string) *httptest.ResponseRecorder {
			res := httptest.NewRecorder()
			e.ServeHTTP(res, httptest.NewRequest(method, "/api/todo/.backstage/scheduler/v1/tasks"+path, nil))
			return res
		}
		if res := call(http.MethodPost, "/printing/trigger"); res.Code != http.StatusOK || res.Body.Len() > 0 {
			t.Errorf("triggering answers %d %s", res.Code, res.Body)
		}
		var list struct{ Tasks []map[string]any }
		state := func(n int) map[string]any { state, _ := list.Tasks[n]["taskState"].(map[string]any); return state }
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if err := json.Unmarshal(call(http.MethodGet, "").Body.Bytes(), &list); err != nil {
				t.Fatal(err)
			}
			if len(list.Tasks) != 5 {
				t.Fatalf("%d tasks are listed", len(list.Tasks))
			}
			if worker, _ := list.Tasks[2]["workerState"].(map[string]any); state(2)["lastRunEndedAt"] != nil && worker["status"] == "idle" {
				break
			}
		}
		for n, want := range []string{
			`{"taskId":"hanging","pluginId":"todo","scope":"global","settings":{"version":2,"cadence":"PT1H","timeoutAfterDuration":"PT3M"},` +
				`"taskState":{"status":"running","startedAt":"T","timesOutAt":"T"},"workerState":{"status":"running"}}`,
			`{"taskId":"nightly","pluginId":"todo","scope":"global","settings":{"version":2,"cadence":"0 3 * * *","timeoutAfterDuration":"PT1M"},` +
				`"taskState":{"status":"idle","startsAt":"T"},"workerState":{"status":"idle"}}`,
			`{"taskId":"printing","pluginId":"todo","scope":"global","settings":{"version":2,"cadence":"manual"},"taskState":{"status":"idle",` +
				`"lastRunEndedAt":"T","lastRunError":"{\"name\":\"Error\",\"message\":\"no paper\"}"},"workerState":{"status":"idle"}}`,
			`{"taskId":"later","pluginId":"todo","scope":"global","settings":{"version":2,"cadence":"PT36H","initialDelayDuration":"PT1M30S"},` +
				`"taskState":{"status":"idle","startsAt":"T"},"workerState":{"status":"initial-wait"}}`,
			`{"taskId":"mine","pluginId":"todo","scope":"local","settings":{"version":2,"cadence":"PT1H","initialDelayDuration":"PT1H"},` +
				`"taskState":{"status":"idle","startsAt":"T"},"workerState":{"status":"initial-wait"}}`,
		} {
			for key, value := range state(n) {
				if at, ok := value.(string); ok && strings.HasSuffix(key, "At") {
					if _, err := time.Parse(time.RFC3339, at); err != nil {
						t.Error(err)
					}
					state(n)[key] = "T"
				}
			}
			var wanted map[string]any
			if err := json.Unmarshal([]byte(want), &wanted); err != nil {
				t.Fatal(err)
			}
			got, _ := json.Marshal(list.Tasks[n])
			canonical, _ := json.Marshal(wanted)
			if string(got) != string(canonical) {
				t.Errorf("task %d is listed as\n%s, want\n%s", n, got, canonical)
			}
		}
		if res := call(http.MethodPost, "/hanging/cancel"); res.Code != http.StatusOK {
			t.Errorf("cancelling answers %d %s", res.Code, res.Body)
		}
		awaitRunning(t, db, "hanging", false)
	})
}

func TestLocalTasksNeedNoDatabase(t *testing.T) {
	t.Parallel()
	s := scheduler.New(scheduler.Options{PluginID: "todo", Log: slog.New(slog.DiscardHandler), Clock: clockwork.NewRealClock(),
		Database: func(context.Context) (*bun.DB, error) { return nil, errors.New("there is none") }})
	task, ran := ticks("mine", time.Hour)
	task.Scope = service.TaskLocal
	schedule(t, s, task)
	start(t, s)
	receive(t, "the run", ran)
	stop(t, s)

	s = scheduler.New(scheduler.Options{PluginID: "todo", Log: slog.New(slog.DiscardHandler), Clock: clockwork.NewRealClock(),
		Database: func(context.Context) (*bun.DB, error) { return nil, errors.New("there is none") }})
	schedule(t, s, service.Task{ID: "ours", Every: time.Hour, Run: nothing})
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("starting global tasks without a database: %v", err)
	}
	stop(t, s)
}
