package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// Services are the default services of this package.
func Services() []service.Service {
	return []service.Service{
		service.PerPlugin[service.Scheduler](New),
		service.Root[clockwork.Clock](clockwork.NewRealClock),
	}
}

// Scheduler runs the tasks of one plugin, each in a goroutine of its own. It implements service.Scheduler.
type Scheduler struct {
	log     *slog.Logger
	clock   clockwork.Clock
	started func(context.Context) bool // waits until the plugin has started, or has failed to

	mu      sync.Mutex
	ids     map[string]bool
	waiting []service.Task // added before the start
	ctx     context.Context
	cancel  context.CancelFunc
	running bool
	stopped bool
	tasks   sync.WaitGroup
}

// New returns a scheduler whose tasks begin when the plugin has started, and have ended when the shutdown hooks of lifecycle have run.
func New(log *slog.Logger, clock clockwork.Clock, instance service.Instance, meta plugin.Metadata, lifecycle fx.Lifecycle) *Scheduler {
	s := &Scheduler{log: log, clock: clock, started: func(ctx context.Context) bool {
		state, err := instance.Await(ctx, meta.ID)
		return err == nil && state == service.StateRunning
	}, ids: map[string]bool{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	lifecycle.Append(fx.Hook{OnStart: s.start, OnStop: s.stop})
	return s
}

// Schedule implements service.Scheduler.
func (s *Scheduler) Schedule(task service.Task) error {
	switch {
	case task.ID == "":
		return fmt.Errorf("scheduler: a task needs an ID")
	case task.Run == nil:
		return fmt.Errorf("scheduler: task %s needs a Run function", task.ID)
	case task.Every < time.Millisecond:
		return fmt.Errorf("scheduler: task %s has Every: %s, which must be at least 1ms", task.ID, task.Every)
	case task.InitialDelay < 0 || task.Timeout < 0:
		return fmt.Errorf("scheduler: task %s has a negative InitialDelay or Timeout", task.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[task.ID] {
		return fmt.Errorf("scheduler: there is a task %s already", task.ID)
	}
	if s.stopped {
		return fmt.Errorf("scheduler: task %s comes too late, the plugin is stopping", task.ID)
	}
	s.ids[task.ID] = true
	if s.running {
		s.run(task)
	} else {
		s.waiting = append(s.waiting, task)
	}
	return nil
}

func (s *Scheduler) start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
	for _, task := range s.waiting {
		s.run(task)
	}
	s.waiting = nil
	return nil
}

func (s *Scheduler) stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("scheduler: tasks are still running: %w", ctx.Err())
	}
}

// run begins the task. The next run is due Every after the last one began, at once if that took longer.
func (s *Scheduler) run(task service.Task) {
	s.tasks.Go(func() {
		if !s.started(s.ctx) {
			return
		}
		timer := s.clock.NewTimer(task.InitialDelay)
		defer timer.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-timer.Chan():
			}
			began := s.clock.Now()
			if err := once(s.ctx, task); err != nil && s.ctx.Err() == nil {
				s.log.Error(fmt.Sprintf("task %s failed", task.ID), "task", task.ID, "error", err)
			}
			timer.Reset(max(0, task.Every-s.clock.Since(began)))
		}
	})
}

func once(ctx context.Context, task service.Task) (err error) {
	if task.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, task.Timeout)
		defer cancel()
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return task.Run(ctx)
}
