package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// local runs one task in this process, by its clock.
type local struct {
	scheduler *Scheduler
	task      *task
	wake      chan struct{} // has a value when the task was triggered

	mu        sync.Mutex // guards what follows
	waits     bool       // for the first run
	due       time.Time
	began     time.Time
	end       context.CancelCauseFunc // of the run, nil when there is none
	lastEnded time.Time
	lastError error
}

func startLocal(s *Scheduler, t *task) *local {
	l := &local{scheduler: s, task: t, wake: make(chan struct{}, 1), waits: t.InitialDelay > 0}
	l.due = t.plan.first(s.options.Clock.Now(), t.InitialDelay)
	s.running.Go(l.run)
	return l
}

func (l *local) run() {
	s := l.scheduler
	if !s.ready() {
		return
	}
	for l.await(s.ctx, s.options.Clock) {
		ctx := l.begin(s.ctx)
		err := s.execute(ctx, l.task, l.task.plan.timeout)
		if err != nil && context.Cause(ctx) == errCancelled {
			err = errCancelled
		}
		l.finish(err)
		s.logRun(l.task, err)
	}
}

// await waits for the next run. It answers false when the scheduler stops.
func (l *local) await(ctx context.Context, clock clockwork.Clock) bool {
	var due <-chan time.Time
	if !l.due.IsZero() {
		timer := clock.NewTimer(clock.Until(l.due))
		defer timer.Stop()
		due = timer.Chan()
	}
	select {
	case <-due:
	case <-l.wake:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (l *local) begin(ctx context.Context) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waits = false
	l.began = l.scheduler.options.Clock.Now()
	ctx, l.end = context.WithCancelCause(ctx)
	select {
	case <-l.wake: // triggered at the moment when it was due
	default:
	}
	return ctx
}

func (l *local) finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(nil)
	l.end = nil
	l.lastEnded, l.lastError = l.scheduler.options.Clock.Now(), err
	l.due = l.task.plan.next(l.began, l.lastEnded)
}

func (l *local) trigger(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return errRunning(l.task.ID)
	}
	select {
	case l.wake <- struct{}{}:
	default: // it has been triggered already
	}
	return nil
}

func (l *local) cancel(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end == nil {
		return errNotRunning(l.task.ID)
	}
	l.end(errCancelled)
	return nil
}

func (l *local) status() workerStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.end != nil:
		return workerRuns
	case l.waits:
		return workerWaits
	}
	return workerIdle
}

// state is the state of the task as it is listed.
func (l *local) state() *taskState {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := &taskState{Status: "idle", LastRunEndedAt: isoTime(l.lastEnded)}
	if l.lastError != nil {
		state.LastRunError = errorJSON(l.lastError)
	}
	if l.end == nil {
		state.StartsAt = isoTime(l.due)
		return state
	}
	state.running(l.began, l.task.plan.timeout)
	return state
}
