package scheduler_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/scheduler"
)

// The context of a task with a timeout must answer at once, whatever clock measures the timeout.
func TestATaskAsksItsContextOnAFakeClock(t *testing.T) {
	t.Parallel()
	s := scheduler.New(scheduler.Options{PluginID: "todo", Log: slog.New(slog.DiscardHandler), Clock: clockwork.NewFakeClock()})
	asked := make(chan error, 1)
	err := s.Schedule(service.Task{ID: "ask", Every: time.Minute, Timeout: time.Minute, Scope: service.TaskLocal, Run: func(ctx context.Context) error {
		asked <- ctx.Err()
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-asked:
		if err != nil {
			t.Errorf("the context has ended: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the context does not answer")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
