package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/service"
)

// DefaultLease is how long the task of a replica that was killed waits until another replica takes it over, unless the configuration says
// otherwise.
const DefaultLease = 30 * time.Second

// Options are what a [Scheduler] is made of.
type Options struct {
	// PluginID is the plugin whose tasks these are.
	PluginID string
	// Log is the logger of the plugin.
	Log *slog.Logger
	// Clock is the time by which local tasks run.
	Clock clockwork.Clock
	// Database opens the database in which replicas settle who runs a global task, with its tables made by [Migrate]. It is called when the
	// first global task is scheduled. Without it there are no other replicas: global tasks run in this process, by its clock.
	Database func(context.Context) (*bun.DB, error)
	// Lease is how long a global task stays with a replica that was killed. Default: [DefaultLease].
	Lease time.Duration
	// Overrides are changes of tasks, by their ids.
	Overrides map[string]Override
	// Ready waits until tasks may run: what they depend on may be made by start-up hooks that come after that of the scheduler. It answers
	// false if they never may. Without it they run as soon as the scheduler has started.
	Ready func(context.Context) bool
}

// Override is what the configuration says of a task instead of the code. What is nil or empty stays as it is.
type Override struct {
	Frequency    *service.Frequency
	Timeout      *time.Duration
	InitialDelay *time.Duration
	Scope        service.TaskScope `schema:"enum=global|local"`
}

func (o Override) apply(t service.Task) service.Task {
	if f := o.Frequency; f != nil {
		t.Every, t.Cron, t.Manual = f.Every, f.Cron, f.Manual
	}
	if o.Timeout != nil {
		t.Timeout = *o.Timeout
	}
	if o.InitialDelay != nil {
		t.InitialDelay = *o.InitialDelay
	}
	if o.Scope != "" {
		t.Scope = o.Scope
	}
	return t
}

// Scheduler runs the tasks of one plugin. It implements service.Scheduler.
type Scheduler struct {
	options  Options
	observer *observer // nil if nobody wants to know

	mu      sync.Mutex // guards what follows
	tasks   []*task    // in the order in which they were scheduled
	byID    map[string]*task
	global  *global // nil without global tasks, and before the start
	started bool
	stopped bool

	ctx     context.Context // ends with the stop
	cancel  context.CancelCauseFunc
	running sync.WaitGroup // all goroutines
}

// task is a task that was scheduled.
type task struct {
	service.Task
	settings settings
	plan     plan
	worker   worker // nil before the start
}

// worker runs a task.
type worker interface {
	trigger(ctx context.Context) error
	cancel(ctx context.Context) error
	// status is what this process is doing about the task.
	status() workerStatus
}

type workerStatus string

const (
	workerWaits workerStatus = "initial-wait"
	workerIdle  workerStatus = "idle"
	workerRuns  workerStatus = "running"
)

var (
	errCancelled = errors.New("Task was cancelled")
	errStopping  = errors.New("the backend is stopping")
)

// New returns a scheduler whose tasks run between [Scheduler.Start] and [Scheduler.Stop].
func New(options Options) *Scheduler {
	if options.Lease == 0 {
		options.Lease = DefaultLease
	}
	s := &Scheduler{options: options, byID: map[string]*task{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Schedule implements service.Scheduler.
func (s *Scheduler) Schedule(t service.Task) error {
	if err := t.Validate(); err != nil {
		return fmt.Errorf("scheduler: %w", err)
	}
	if t.Scope == "" {
		t.Scope = service.TaskGlobal
	}
	if o, ok := s.options.Overrides[t.ID]; ok {
		t = o.apply(t)
		if err := t.Validate(); err != nil {
			return fmt.Errorf("scheduler: %w (see backend.scheduler.tasks.%s.%s)", err, s.options.PluginID, t.ID)
		}
	}
	added := &task{Task: t, settings: settingsOf(t)}
	var err error
	if added.plan, err = added.settings.plan(); err != nil {
		return fmt.Errorf("scheduler: task %s: %w", t.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.byID[t.ID] != nil:
		return fmt.Errorf("scheduler: there is a task %s already", t.ID)
	case s.stopped:
		return fmt.Errorf("scheduler: task %s comes too late, the plugin is stopping", t.ID)
	}
	s.byID[t.ID] = added
	s.tasks = append(s.tasks, added)
	if s.started {
		s.begin(added)
	}
	return nil
}

// Start starts the tasks. If some are global, it opens the database first.
func (s *Scheduler) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.tasks, s.isShared) {
		g := newGlobal(s)
		for _, t := range s.tasks {
			if s.isShared(t) {
				t.worker = g.add(t)
			}
		}
		if err := g.open(ctx); err != nil {
			return fmt.Errorf("scheduler: %w", err)
		}
		s.global = g
		s.running.Go(g.run)
	}
	s.started = true
	for _, t := range s.tasks {
		if t.worker == nil {
			t.worker = startLocal(s, t)
		}
	}
	for id := range s.options.Overrides {
		if s.byID[id] == nil {
			s.options.Log.Warn(fmt.Sprintf("backend.scheduler.tasks.%s has a task %s, which the plugin hasn't scheduled", s.options.PluginID, id))
		}
	}
	return nil
}

// ready waits until tasks may run.
func (s *Scheduler) ready() bool {
	return s.options.Ready == nil || s.options.Ready(s.ctx)
}

// isShared tells whether replicas must agree on who runs the task.
func (s *Scheduler) isShared(t *task) bool {
	return t.Scope == service.TaskGlobal && s.options.Database != nil
}

// begin has a worker run a task that was scheduled after the start.
func (s *Scheduler) begin(t *task) {
	if !s.isShared(t) {
		t.worker = startLocal(s, t)
		return
	}
	if s.global == nil {
		s.global = newGlobal(s)
		s.running.Go(s.global.run)
	}
	t.worker = s.global.add(t)
}

// Stop ends the contexts of all runs and returns when they have ended.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel(errStopping)
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("scheduler: tasks are still running: %w", ctx.Err())
	}
}

// Trigger implements service.Scheduler.
func (s *Scheduler) Trigger(ctx context.Context, id string) error {
	w, err := s.worker(id)
	if err != nil {
		return err
	}
	return w.trigger(ctx)
}

// Cancel implements service.Scheduler.
func (s *Scheduler) Cancel(ctx context.Context, id string) error {
	w, err := s.worker(id)
	if err != nil {
		return err
	}
	return w.cancel(ctx)
}

func (s *Scheduler) worker(id string) (worker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.byID[id]
	switch {
	case t == nil:
		return nil, service.NotFoundError.Errorf("Task %s does not exist", id)
	case t.worker == nil:
		return nil, service.ServiceUnavailableError.Errorf("Task %s has not started yet", id)
	}
	return t.worker, nil
}

func errRunning(id string) error {
	return service.ConflictError.Errorf("Task %s is currently running", id)
}

func errNotRunning(id string) error {
	return service.ConflictError.Errorf("Task %s is not running", id)
}

// execute runs a task once.
func (s *Scheduler) execute(ctx context.Context, t *task, timeout time.Duration) (err error) {
	if s.observer != nil {
		var ended func(error)
		ctx, ended = s.observer.begin(ctx, t)
		defer func() { ended(err) }()
	}
	if timeout > 0 {
		// Not clockwork.WithTimeout: with a fake clock, Err of its contexts blocks until they end.
		inner, cancel := context.WithCancelCause(ctx)
		timer := s.options.Clock.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
		defer func() {
			timer.Stop()
			if err != nil && context.Cause(inner) == context.DeadlineExceeded {
				err = fmt.Errorf("%w: it took longer than %s (%w)", context.DeadlineExceeded, timeout, err)
			}
			cancel(nil)
		}()
		ctx = inner
	}
	defer panics.Recover(&err)
	return t.Run(ctx)
}

// logRun logs how a run ended, unless it was ended on purpose.
func (s *Scheduler) logRun(t *task, err error) {
	if err == nil || errors.Is(err, errCancelled) || s.ctx.Err() != nil {
		return
	}
	s.options.Log.Error(fmt.Sprintf("task %s failed", t.ID), panics.Attrs(err, "task", t.ID)...)
}
