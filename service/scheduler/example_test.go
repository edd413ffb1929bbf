package scheduler_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/scheduler"
)

// A plugin asks for the service.Scheduler and schedules tasks when it starts. The scheduler itself is made by the backend; here it stands
// alone.
func Example() {
	done := make(chan struct{})
	start := func(s service.Scheduler) error {
		return s.Schedule(service.Task{
			ID:      "remove-done",
			Every:   time.Hour,
			Timeout: time.Minute,
			Run: func(context.Context) error {
				fmt.Println("removed what is done")
				close(done)
				return nil
			},
		})
	}

	ctx := context.Background()
	s := scheduler.New(scheduler.Options{PluginID: "todo", Log: slog.Default(), Clock: clockwork.NewRealClock()})
	if err := start(s); err != nil {
		fmt.Println(err)
	}
	if err := s.Start(ctx); err != nil {
		fmt.Println(err)
	}
	<-done
	if err := s.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: removed what is done
}
