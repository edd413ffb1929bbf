package ingest

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

const (
	batch = 500
	// poll is how often an idle engine looks for work that other replicas have left.
	poll = time.Second
	// orphanInterval is how often orphans are deleted.
	orphanInterval = 30 * time.Second
	// stitchAfter is the time after which final entities are made even if there is still something to process. Until then they wait,
	// so that one with many relations is not made again and again.
	stitchAfter = 2 * time.Second
)

// Engine processes entities when they are due.
type Engine struct {
	Store    *store.Store
	Pipeline *Pipeline
	Clock    clockwork.Clock
	Log      *slog.Logger
	// Interval is the least time between two times that an entity is processed; the most is half as much again. Zero: entities are
	// processed when they are new or changed only.
	Interval time.Duration
	// KeepOrphans leaves entities that nobody brings any more.
	KeepOrphans bool

	once sync.Once
	wake chan struct{}
}

func (e *Engine) waker() chan struct{} {
	e.once.Do(func() { e.wake = make(chan struct{}, 1) })
	return e.wake
}

// Wake has the engine look for work at once.
func (e *Engine) Wake() {
	select {
	case e.waker() <- struct{}{}:
	default: // it is about to look
	}
}

// Run processes entities until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	ticker := e.Clock.NewTicker(poll)
	defer ticker.Stop()
	var cleaned time.Time
	for ctx.Err() == nil {
		if err := e.Drain(ctx); err != nil && ctx.Err() == nil {
			e.Log.ErrorContext(ctx, "Processing entities failed, and is tried again soon", "error", err)
		}
		if now := e.Clock.Now(); !e.KeepOrphans && now.Sub(cleaned) >= orphanInterval {
			cleaned = now
			if err := e.Store.DeleteOrphans(ctx); err != nil && ctx.Err() == nil {
				e.Log.ErrorContext(ctx, "Deleting orphans failed, and is tried again soon", "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-e.waker():
		case <-ticker.Chan():
		}
	}
}

// Drain processes what is due and makes the final entities that are affected, until nothing is left.
func (e *Engine) Drain(ctx context.Context) error {
	stitched := e.Clock.Now()
	for {
		work, err := e.Store.Claim(ctx, batch, e.next())
		if err != nil {
			return err
		}
		if len(work) > 0 {
			if err := e.process(ctx, work); err != nil {
				return err
			}
			if e.Clock.Since(stitched) < stitchAfter {
				continue
			}
		}
		for more := true; more; {
			if more, err = e.Store.Stitch(ctx, batch); err != nil {
				return err
			}
		}
		stitched = e.Clock.Now()
		if len(work) == 0 {
			return nil
		}
	}
}

// next is when entities that are processed now are due again. Those of one batch stay together.
func (e *Engine) next() time.Time {
	if e.Interval == 0 {
		return e.Clock.Now().AddDate(1000, 0, 0)
	}
	return e.Clock.Now().Add(e.Interval + rand.N(e.Interval/2+1)) //nolint:gosec // spreads load
}

// process processes entities on all cores and stores the results.
func (e *Engine) process(ctx context.Context, work []store.Work) error {
	results := make([]store.Result, len(work))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(work)) {
		workers.Go(func() {
			for i := range next {
				results[i] = e.Pipeline.Process(ctx, work[i])
			}
		})
	}
	for i := range work {
		next <- i
	}
	close(next)
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	conflicts, err := e.Store.Save(ctx, results)
	for _, c := range conflicts {
		e.Log.WarnContext(ctx, "An entity is declared at two locations; the first one counts", "entity", c.Ref, "location", c.Key, "first", c.Existing)
	}
	return err
}
