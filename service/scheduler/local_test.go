package scheduler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/scheduler"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// local is a scheduler without a database.
func local(log slog.Handler) *scheduler.Scheduler {
	return scheduler.New(scheduler.Options{PluginID: "todo", Log: slog.New(log), Clock: clockwork.NewRealClock()})
}

func start(t *testing.T, s *scheduler.Scheduler) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, s *scheduler.Scheduler) {
	t.Helper()
	if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func schedule(t *testing.T, s *scheduler.Scheduler, tasks ...service.Task) {
	t.Helper()
	for _, task := range tasks {
		if err := s.Schedule(task); err != nil {
			t.Fatal(err)
		}
	}
}

func nothing(context.Context) error { return nil }

func TestTasksRunFromStartToStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := local(slog.DiscardHandler)
		var runs atomic.Int32
		count := func(context.Context) error { runs.Add(1); return nil }
		schedule(t, s, service.Task{ID: "count", Every: time.Minute, InitialDelay: time.Second, Run: count})
		time.Sleep(time.Hour)
		if n := runs.Load(); n != 0 {
			t.Errorf("%d runs before the start", n)
		}
		start(t, s)
		time.Sleep(2*time.Minute + 2*time.Second)
		if n := runs.Load(); n != 3 {
			t.Errorf("%d runs in two minutes, want 3", n)
		}
		stop(t, s)
		time.Sleep(time.Hour)
		if n := runs.Load(); n != 3 {
			t.Errorf("%d runs after the stop", n-3)
		}
		if err := s.Schedule(service.Task{ID: "late", Every: time.Minute, Run: count}); err == nil {
			t.Error("a task was accepted after the stop")
		}
	})
}

func TestTimesOfRuns(t *testing.T) {
	t.Parallel()
	// The clock of synctest begins at midnight.
	for name, c := range map[string]struct {
		task service.Task
		want []string
	}{
		"an interval":             {service.Task{Every: 20 * time.Second}, []string{"0s", "20s", "40s"}},
		"an interval and a delay": {service.Task{Every: 30 * time.Second, InitialDelay: 5 * time.Second}, []string{"5s", "35s"}},
		"a cron line":             {service.Task{Cron: "*/15 * * * * *"}, []string{"15s", "30s", "45s"}},
		"a cron line and a delay": {service.Task{Cron: "*/15 * * * * *", InitialDelay: 20 * time.Second}, []string{"20s", "30s", "45s"}},
		"a trigger":               {service.Task{Manual: true}, nil},
		"a trigger and a delay":   {service.Task{Manual: true, InitialDelay: time.Second}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				midnight := time.Now()
				s := local(slog.DiscardHandler)
				var got []string
				c.task.ID = "clock"
				c.task.Run = func(context.Context) error { got = append(got, time.Since(midnight).String()); return nil }
				schedule(t, s, c.task)
				start(t, s)
				time.Sleep(50 * time.Second)
				stop(t, s)
				if !slices.Equal(got, c.want) {
					t.Errorf("runs at %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestALongRunDelaysTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := local(slog.DiscardHandler)
		began := time.Now()
		var at []time.Duration
		schedule(t, s, service.Task{ID: "slow", Every: time.Minute, Run: func(context.Context) error {
			at = append(at, time.Since(began))
			time.Sleep(90 * time.Second)
			return nil
		}})
		start(t, s)
		time.Sleep(200 * time.Second)
		stop(t, s)
		if want := []time.Duration{0, 90 * time.Second, 180 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("runs at %v, want %v", at, want)
		}
	})
}

func TestTriggerAndCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := local(slog.DiscardHandler)
		var runs, cancelled int
		schedule(t, s, service.Task{ID: "report", Every: time.Hour, InitialDelay: time.Minute, Run: func(ctx context.Context) error {
			runs++
			select {
			case <-ctx.Done():
				cancelled++
				return ctx.Err()
			case <-time.After(10 * time.Minute):
				return nil
			}
		}})
		if err := s.Trigger(t.Context(), "report"); !errors.Is(err, service.ServiceUnavailableError) {
			t.Errorf("triggering before the start: %v", err)
		}
		start(t, s)
		defer stop(t, s)
		if err := s.Trigger(t.Context(), "reprot"); !errors.Is(err, service.NotFoundError) {
			t.Errorf("triggering an unknown task: %v", err)
		}
		if err := s.Cancel(t.Context(), "report"); !errors.Is(err, service.ConflictError) {
			t.Errorf("cancelling a task that isn't running: %v", err)
		}
		if err := s.Trigger(t.Context(), "report"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if runs != 1 {
			t.Fatalf("%d runs after the trigger", runs)
		}
		if err := s.Trigger(t.Context(), "report"); !errors.Is(err, service.ConflictError) {
			t.Errorf("triggering a task that runs: %v", err)
		}
		if err := s.Cancel(t.Context(), "report"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if cancelled != 1 {
			t.Error("the run wasn't cancelled")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if runs != 2 {
			t.Errorf("%d runs in the hour after the trigger, want one more", runs)
		}
	})
}

func TestFailuresAreLoggedAndTheTaskGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := local(slog.NewTextHandler(&log, nil))
		run := 0
		schedule(t, s, service.Task{ID: "moody", Every: time.Minute, Timeout: time.Second, Run: func(ctx context.Context) error {
			switch run++; run {
			case 1:
				return errors.New("not today")
			case 2:
				panic("tomorrow neither")
			default:
				<-ctx.Done()
				return ctx.Err()
			}
		}})
		start(t, s)
		time.Sleep(2*time.Minute + 2*time.Second)
		stop(t, s)
		for _, want := range []string{"not today", "panic: tomorrow neither", "local_test.go", context.DeadlineExceeded.Error()} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, &log)
			}
		}
	})
}

func TestIncompleteTasksAreRefused(t *testing.T) {
	t.Parallel()
	s := local(slog.DiscardHandler)
	schedule(t, s, service.Task{ID: "taken", Every: time.Second, Run: nothing})
	for name, c := range map[string]struct {
		task service.Task
		want string
	}{
		"no id":                        {service.Task{Every: time.Second, Run: nothing}, "ID"},
		"a blank id":                   {service.Task{ID: " ", Every: time.Second, Run: nothing}, "ID"},
		"an endless id":                {service.Task{ID: strings.Repeat("x", 256), Every: time.Second, Run: nothing}, "255"},
		"no run":                       {service.Task{ID: "a", Every: time.Second}, "Run"},
		"no frequency":                 {service.Task{ID: "a", Run: nothing}, "Every, Cron and Manual"},
		"two frequencies":              {service.Task{ID: "a", Every: time.Second, Manual: true, Run: nothing}, "one of"},
		"a frequency of a nanosecond":  {service.Task{ID: "a", Every: 1, Run: nothing}, "1ms"},
		"a broken cron line":           {service.Task{ID: "a", Cron: "1 2 3", Run: nothing}, "five fields"},
		"a cron line that never fires": {service.Task{ID: "a", Cron: "0 0 31 6 *", Run: nothing}, "never fires"},
		"a negative delay":             {service.Task{ID: "a", Every: time.Second, InitialDelay: -1, Run: nothing}, "InitialDelay"},
		"another scope":                {service.Task{ID: "a", Every: time.Second, Scope: "planet", Run: nothing}, "planet"},
		"an id in use":                 {service.Task{ID: "taken", Every: time.Second, Run: nothing}, "already"},
	} {
		if err := s.Schedule(c.task); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want one about %s", name, err, c.want)
		}
	}
}
