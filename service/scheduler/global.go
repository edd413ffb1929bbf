package scheduler

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/portico-dev/portico/service"
)

// global runs those of the plugin's global tasks that this replica gets. One goroutine looks after all of them: it asks the database which
// are due soon, and waits until then.
type global struct {
	scheduler *Scheduler
	owner     string        // names this process in the database
	wake      chan struct{} // has a value when there may be something to do
	interval  time.Duration // between looks into the database, at most

	renewed time.Time // when the leases were renewed last
	failing bool      // whether the database was out of reach the last time

	mu      sync.Mutex // guards what follows, and the fields of the tasks
	store   *store     // nil before the database is open
	tasks   map[string]*globalTask
	added   []*globalTask   // not in the database yet
	unknown map[string]bool // left to other replicas
}

// globalTask is a worker.
type globalTask struct {
	global    *global
	task      *task
	notBefore time.Time
	run       *run // nil when this process doesn't run the task
}

// run is a run of a task in this process.
type run struct {
	end      context.CancelCauseFunc
	guard    *time.Timer // ends the run before its lease does
	overdue  time.Time   // when it should have ended, if there is a timeout
	warned   bool        // that it goes on after that
	returned bool
}

var (
	errLost        = errors.New("another replica has taken over, as the lease has ended")
	errUnreachable = errors.New("the lease can't be renewed, so that another replica may take over")
)

// patience is how long a run may go on after its context has ended before that is logged.
const patience = 10 * time.Second

func newGlobal(s *Scheduler) *global {
	return &global{
		scheduler: s,
		owner:     rand.Text(),
		wake:      make(chan struct{}, 1),
		interval:  s.options.Lease / 6,
		tasks:     map[string]*globalTask{},
		unknown:   map[string]bool{},
	}
}

// add adds a task, which gets into the database with the next look into it.
func (g *global) add(t *task) *globalTask {
	g.mu.Lock()
	defer g.mu.Unlock()
	added := &globalTask{global: g, task: t, notBefore: time.Now().Add(t.InitialDelay)}
	g.tasks[t.ID] = added
	g.added = append(g.added, added)
	g.look()
	return added
}

// look has the goroutine look into the database soon.
func (g *global) look() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// open opens the database and registers the tasks that have been added.
func (g *global) open(ctx context.Context) error {
	g.mu.Lock()
	isOpen := g.store != nil
	g.mu.Unlock()
	if !isOpen {
		db, err := g.scheduler.options.Database(ctx)
		if err != nil {
			return fmt.Errorf("global tasks need the database of the plugin: %w", err)
		}
		g.mu.Lock()
		g.store = &store{db: db}
		g.mu.Unlock()
	}
	g.mu.Lock()
	added := g.added
	g.mu.Unlock()
	if len(added) == 0 {
		return nil
	}
	registrations := make([]registration, len(added))
	for n, a := range added {
		registrations[n] = registration{id: a.task.ID, settings: a.task.settings.String(), plan: a.task.plan, delay: a.task.InitialDelay}
	}
	if err := g.store.register(ctx, registrations); err != nil {
		return fmt.Errorf("registering tasks: %w", err)
	}
	g.mu.Lock()
	g.added = g.added[len(added):]
	g.mu.Unlock()
	return nil
}

// run looks after the tasks until the scheduler stops and no run is left.
func (g *global) run() {
	if !g.scheduler.ready() {
		return
	}
	stopping := g.scheduler.ctx.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-g.wake:
		case <-stopping:
			stopping = nil
		}
		if stopping == nil && len(g.running()) == 0 {
			return
		}
		wait, err := g.attend(stopping == nil)
		if err != nil {
			wait = g.interval / 2
		}
		if failed := err != nil; failed != g.failing {
			g.failing = failed
			if failed {
				g.scheduler.options.Log.Warn("global tasks wait for the database", "error", err)
			} else {
				g.scheduler.options.Log.Info("global tasks go on, the database answers again")
			}
		}
		timer.Reset(wait)
	}
}

// attend renews leases, and claims and starts what is due. It returns how long nothing else will be.
func (g *global) attend(stopping bool) (wait time.Duration, err error) {
	if err := g.open(g.scheduler.ctx); err != nil && !stopping {
		return 0, err
	}
	// What has begun is finished on shutdown too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.scheduler.ctx), g.interval)
	defer cancel()
	if time.Since(g.renewed) >= g.interval {
		if err := g.renew(ctx); err != nil {
			return 0, fmt.Errorf("renewing leases: %w", err)
		}
	}
	if stopping {
		return g.interval, nil
	}
	upcoming, err := g.store.upcoming(ctx, g.interval)
	if err != nil {
		return 0, fmt.Errorf("looking for tasks that are due: %w", err)
	}
	due, wait := g.due(upcoming)
	if len(due) == 0 {
		return wait, nil
	}
	at := time.Now()
	claims, err := g.store.claim(ctx, due, g.owner, g.scheduler.options.Lease, g.leave)
	for _, c := range claims {
		g.start(c, at)
	}
	if err != nil {
		return 0, fmt.Errorf("claiming tasks: %w", err)
	}
	if len(claims) < len(due) {
		// Others are about to take them.
		return min(wait, g.interval, 50*time.Millisecond), nil
	}
	return wait, nil
}

// due are the tasks that can be claimed now, and how long the next one takes.
func (g *global) due(upcoming []upcoming) (ids []string, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait = g.interval
	for _, u := range upcoming {
		t := g.tasks[u.ID]
		if t == nil || t.run != nil || g.unknown[u.ID] {
			continue
		}
		in := max(time.Duration(u.DueIn)*time.Millisecond, time.Until(t.notBefore))
		if in <= 0 {
			ids = append(ids, u.ID)
		} else {
			wait = min(wait, in)
		}
	}
	return ids, wait
}

// leave leaves a task to other replicas.
func (g *global) leave(id string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unknown[id] = true
	g.scheduler.options.Log.Warn(fmt.Sprintf("task %s is left to other replicas: a newer version has settings that this one doesn't understand", id),
		"task", id, "error", err)
}

// running are the ids of the tasks that this process runs.
func (g *global) running() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []string
	for id, t := range g.tasks {
		if t.run != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids) // so that statements of different replicas lock rows in the same order
	return ids
}

// renew renews the leases of the tasks that this process runs, and ends runs that were cancelled or whose lease is lost.
func (g *global) renew(ctx context.Context) error {
	at := time.Now()
	ids := g.running()
	if len(ids) == 0 {
		g.renewed = at
		return nil
	}
	cancelled, err := g.store.renew(ctx, ids, g.owner, g.scheduler.options.Lease)
	if err != nil {
		return err
	}
	g.renewed = at
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		r := g.tasks[id].run
		if r == nil || r.returned {
			continue
		}
		cancel, held := cancelled[id]
		switch {
		case !held:
			r.end(errLost)
		case cancel:
			r.end(errCancelled)
		}
		if held {
			r.guard.Reset(time.Until(at.Add(g.guardTime())))
		}
		if !r.warned && !r.overdue.IsZero() && time.Now().After(r.overdue.Add(patience)) {
			r.warned = true
			g.scheduler.options.Log.Warn(fmt.Sprintf("task %s goes on although its timeout has ended; it doesn't run again before it returns", id),
				"task", id)
		}
	}
	return nil
}

// guardTime is how long after the renewal of a lease a run is ended if the lease can't be renewed again. It leaves the run some time to end
// before another replica takes over.
func (g *global) guardTime() time.Duration { return g.scheduler.options.Lease * 2 / 3 }

// start runs a task that was claimed no earlier than at.
func (g *global) start(c claim, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tasks[c.id]
	ctx, end := context.WithCancelCause(g.scheduler.ctx)
	r := &run{end: end}
	r.guard = time.AfterFunc(time.Until(at.Add(g.guardTime())), func() { end(errUnreachable) })
	if c.plan.timeout > 0 {
		r.overdue = at.Add(c.plan.timeout)
	}
	t.run = r
	g.scheduler.running.Go(func() { g.perform(ctx, t, r, c.plan.timeout) })
}

// perform runs a task and gives it back.
func (g *global) perform(ctx context.Context, t *globalTask, r *run, timeout time.Duration) {
	s := g.scheduler
	err := s.execute(ctx, t.task, timeout)
	if cause := context.Cause(ctx); err != nil && cause != nil && cause != errStopping {
		err = cause
	}
	s.logRun(t.task, err)
	g.mu.Lock()
	r.returned = true
	g.mu.Unlock()
	g.release(t.task.ID, err)
	r.guard.Stop()
	r.end(nil)
	g.mu.Lock()
	t.run = nil
	g.mu.Unlock()
	g.look()
}

// release gives a task back, as soon as the database can be reached.
func (g *global) release(id string, failure error) {
	s := g.scheduler
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, g.interval) {
		again := failure != nil && s.ctx.Err() != nil && !errors.Is(failure, errCancelled)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), g.interval)
		err := g.store.release(ctx, id, g.owner, failure, again)
		cancel()
		if err == nil {
			return
		}
		if s.ctx.Err() != nil {
			s.options.Log.Warn(fmt.Sprintf("task %s can't be given back, others take it over when its lease ends", id), "task", id, "error", err)
			return
		}
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
		}
	}
}

func (t *globalTask) trigger(ctx context.Context) error {
	g := t.global
	g.mu.Lock()
	store := g.store
	g.mu.Unlock()
	if store == nil {
		return service.ServiceUnavailableError.Errorf("Task %s waits for the database", t.task.ID)
	}
	if err := store.trigger(ctx, t.task.ID); err != nil {
		return err
	}
	g.mu.Lock()
	t.notBefore = time.Time{}
	g.mu.Unlock()
	g.look()
	return nil
}

func (t *globalTask) cancel(ctx context.Context) error {
	g := t.global
	g.mu.Lock()
	store, here := g.store, t.run != nil && !t.run.returned
	if here {
		t.run.end(errCancelled)
	}
	g.mu.Unlock()
	switch {
	case here:
		return nil
	case store == nil:
		return errNotRunning(t.task.ID)
	}
	return store.cancel(ctx, t.task.ID)
}

func (t *globalTask) status() workerStatus {
	t.global.mu.Lock()
	defer t.global.mu.Unlock()
	switch {
	case t.run != nil:
		return workerRuns
	case time.Now().Before(t.notBefore):
		return workerWaits
	}
	return workerIdle
}

func (g *global) states(ctx context.Context) (map[string]*taskState, error) {
	g.mu.Lock()
	store := g.store
	g.mu.Unlock()
	if store == nil {
		return nil, nil
	}
	return store.states(ctx)
}
