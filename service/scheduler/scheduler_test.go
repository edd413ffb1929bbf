package scheduler_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/scheduler"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is an instance all of whose plugins have started.
type running struct{ service.Instance }

func (running) Await(context.Context, string) (service.State, error) {
	return service.StateRunning, nil
}

func start(t *testing.T, log *slog.Logger) (*scheduler.Scheduler, *fxtest.Lifecycle) {
	t.Helper()
	lifecycle := fxtest.NewLifecycle(t)
	return scheduler.New(log, clockwork.NewRealClock(), running{}, plugin.Metadata{ID: "todo"}, lifecycle), lifecycle
}

func TestTasksRunFromStartToStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, lifecycle := start(t, slog.New(slog.DiscardHandler))
		var runs atomic.Int32
		count := func(context.Context) error { runs.Add(1); return nil }
		if err := s.Schedule(service.Task{ID: "count", Every: time.Minute, InitialDelay: time.Second, Run: count}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := runs.Load(); n != 0 {
			t.Errorf("%d runs before the start", n)
		}
		lifecycle.RequireStart()
		time.Sleep(time.Second + 2*time.Minute + time.Millisecond)
		lifecycle.RequireStop()
		if n := runs.Load(); n != 3 {
			t.Errorf("%d runs in two minutes, want 3: at once, after one and after two", n)
		}
		time.Sleep(time.Hour)
		if n := runs.Load(); n != 3 {
			t.Errorf("%d runs after the stop", n-3)
		}
		if err := s.Schedule(service.Task{ID: "late", Every: time.Minute, Run: count}); err == nil {
			t.Error("a task was accepted after the stop")
		}
	})
}

func TestFailuresAreLoggedAndTheTaskGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, lifecycle := start(t, slog.New(slog.NewTextHandler(&log, nil)))
		run := 0
		err := s.Schedule(service.Task{ID: "moody", Every: time.Minute, Timeout: time.Second, Run: func(ctx context.Context) error {
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
		if err != nil {
			t.Fatal(err)
		}
		lifecycle.RequireStart()
		time.Sleep(2*time.Minute + 2*time.Second)
		lifecycle.RequireStop()
		for _, want := range []string{"not today", "panic: tomorrow neither", context.DeadlineExceeded.Error()} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, &log)
			}
		}
	})
}

func TestIncompleteTasksAreRefused(t *testing.T) {
	t.Parallel()
	s := scheduler.New(slog.New(slog.DiscardHandler), clockwork.NewRealClock(), running{}, plugin.Metadata{ID: "todo"}, fx.Lifecycle(fxtest.NewLifecycle(t)))
	run := func(context.Context) error { return nil }
	if err := s.Schedule(service.Task{ID: "taken", Every: time.Second, Run: run}); err != nil {
		t.Fatal(err)
	}
	for name, task := range map[string]service.Task{
		"no id":          {Every: time.Second, Run: run},
		"no run":         {ID: "a", Every: time.Second},
		"no frequency":   {ID: "a", Run: run},
		"negative delay": {ID: "a", Every: time.Second, InitialDelay: -1, Run: run},
		"id in use":      {ID: "taken", Every: time.Second, Run: run},
	} {
		if err := s.Schedule(task); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
