package ingest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

const (
	batch = 2000
	// stitchBatch is smaller, as final entities are large.
	stitchBatch = 1000
	// maxInFlight is how many entities are processed at a time. Most of them wait, for files to arrive.
	maxInFlight = 4000
	// linger is how long results wait for others, to be stored together.
	linger = 20 * time.Millisecond
	// patience is how long final entities wait for results when none have come for a while: a machine may be busy, or a source slow.
	patience = 200 * time.Millisecond
	// poll is how often an idle engine looks for work that other replicas have left.
	poll = time.Second
	// orphanInterval is how often orphans are deleted.
	orphanInterval = 30 * time.Second
	// stitchAfter is the time after which final entities are made even if there is still something to process, most of which waits for files.
	// Until then they wait, so that one with many relations is not made again and again.
	stitchAfter = 2 * time.Second
	// stitchInBurst is that time while as much is due as can be claimed: final entities that are made then are likely to be made again.
	stitchInBurst = 20 * time.Second
	// stitchShare bounds the part of the time that is spent on final entities while there is still something to process: one in so many.
	stitchShare = 10
	// maxProcessing is how long processing one entity may take.
	maxProcessing = 2 * time.Minute
	// lease is the time after which an entity is processed by somebody else if it is not known when it would be due.
	lease = time.Minute
	// farewell is how long an engine that stops may take to give back what it has claimed.
	farewell = 5 * time.Second
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
	// Waited is told for how long entities have been due when they are claimed.
	Waited func(context.Context, []time.Duration)
	// Took is told how long processing an entity took, and what came of it.
	Took func(context.Context, time.Duration, store.Result)
	// Processed is told of results that differ from those before, after they are stored.
	Processed func(context.Context, []store.Result)
	// Refused is told of entities that could not be taken because somebody else has brought them.
	Refused func(context.Context, []store.Conflict)

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

// flight is what an engine has claimed and not stored yet.
type flight struct {
	running map[string]bool // by ref
	again   map[string]bool // what became due again before its result was stored
	results chan store.Result
	done    []store.Result
	workers sync.WaitGroup
	// stitched is when the last final entities were made, and stitching how long that took.
	stitched  time.Time
	stitching time.Duration
	// moved is when something was last claimed, done or stored, by the machine's clock.
	moved time.Time
}

// Run processes entities until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	f := &flight{running: map[string]bool{}, again: map[string]bool{}, results: make(chan store.Result, batch), stitched: e.Clock.Now()}
	defer e.giveBack(ctx, f)
	defer f.workers.Wait()
	ticker := e.Clock.NewTicker(poll)
	defer ticker.Stop()
	var cleaned time.Time
	for ctx.Err() == nil {
		if err := e.drain(ctx, f); err != nil && ctx.Err() == nil {
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
		case result := <-f.results:
			f.land(result)
		case <-e.waker():
		case <-ticker.Chan():
		}
	}
}

// drain processes what is due and makes the final entities that are affected, until there is nothing left but what takes its time. While
// results are stored, the next entities are processed already.
func (e *Engine) drain(ctx context.Context, f *flight) error {
	for {
		saved, claimed, err := e.exchange(ctx, f)
		if err != nil {
			return err
		}
		e.gather(ctx, f)
		moved := claimed+saved+len(f.done) > 0 // what was saved may have made others due
		if moved {
			f.moved = time.Now()
		}
		idle := !moved && (len(f.running) == 0 || time.Since(f.moved) >= patience)
		pause := stitchAfter
		if claimed == batch {
			pause = stitchInBurst
		}
		if !idle && e.Clock.Since(f.stitched) < max(pause, (stitchShare-1)*f.stitching) {
			continue
		}
		begin := time.Now()
		if err := e.Store.Stitch(ctx, stitchBatch); err != nil {
			return err
		}
		f.stitched, f.stitching = e.Clock.Now(), time.Since(begin)
		if idle {
			return nil
		}
	}
}

// exchange stores the results that are there, and claims new work meanwhile. It answers how many that were.
func (e *Engine) exchange(ctx context.Context, f *flight) (saved, claimed int, err error) {
	var saving sync.WaitGroup
	var failure error
	saved = len(f.done)
	saving.Go(func() { failure = e.save(ctx, f.done) })
	claimed, err = e.claim(ctx, f)
	if saving.Wait(); failure == nil {
		f.done = nil
		failure = e.repeat(ctx, f)
	}
	return saved, claimed, errors.Join(err, failure)
}

// repeat makes due what became due again before its result was stored.
func (e *Engine) repeat(ctx context.Context, f *flight) error {
	var refs []string
	for ref := range f.again {
		if !f.running[ref] {
			refs = append(refs, ref)
		}
	}
	if err := e.Store.Due(ctx, refs); err != nil {
		return err
	}
	for _, ref := range refs {
		delete(f.again, ref)
	}
	return nil
}

// claim begins to process what is due, and answers how many entities that are.
func (e *Engine) claim(ctx context.Context, f *flight) (int, error) {
	if len(f.running) >= maxInFlight {
		return 0, nil
	}
	settled := e.Pipeline.Settled
	if e.Interval == 0 {
		settled = nil // what is due was asked for
	}
	work, waited, err := e.Store.Claim(ctx, batch, e.next(), settled)
	e.Waited(ctx, waited)
	done := make(map[string]bool, len(f.done))
	for _, result := range f.done {
		done[result.Work.Ref] = true
	}
	for _, w := range work {
		if f.running[w.Ref] || done[w.Ref] { // it has been read before that result was stored
			f.again[w.Ref] = true
			continue
		}
		e.launch(ctx, f, w)
	}
	return len(waited), err
}

// launch processes an entity in the background.
func (e *Engine) launch(ctx context.Context, f *flight, w store.Work) {
	f.running[w.Ref] = true
	f.workers.Go(func() {
		limited, cancel := context.WithTimeout(ctx, maxProcessing)
		defer cancel()
		begin := time.Now()
		result := e.Pipeline.Process(limited, w)
		e.Took(ctx, time.Since(begin), result)
		if ctx.Err() != nil { // what was cut short says nothing
			return
		}
		select {
		case f.results <- result:
		case <-ctx.Done():
		}
	})
}

// land takes a result.
func (f *flight) land(result store.Result) {
	f.done = append(f.done, result)
	delete(f.running, result.Work.Ref)
}

// gather takes the results that come soon.
func (e *Engine) gather(ctx context.Context, f *flight) {
	if len(f.running) == 0 {
		return
	}
	enough := time.NewTimer(linger)
	defer enough.Stop()
	for len(f.running) > 0 && len(f.done) < batch {
		select {
		case result := <-f.results:
			f.land(result)
		case <-enough.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// save stores results.
func (e *Engine) save(ctx context.Context, results []store.Result) error {
	if len(results) == 0 {
		return nil
	}
	var next time.Time
	if e.Interval == 0 {
		next = e.Clock.Now().AddDate(1000, 0, 0)
	}
	different, refused, err := e.Store.Save(ctx, results, next)
	if err != nil {
		return err
	}
	e.Refused(ctx, refused)
	e.Processed(ctx, different)
	return nil
}

// next is when entities that are processed now are due again, or taken over. Those of one batch stay together.
func (e *Engine) next() time.Time {
	if e.Interval == 0 {
		return e.Clock.Now().Add(lease)
	}
	return e.Clock.Now().Add(e.Interval + rand.N(e.Interval/2+1)) //nolint:gosec // spreads load
}

// giveBack makes due what was claimed and is not stored, or is to be processed again, so that the next to come need not wait for it.
func (e *Engine) giveBack(ctx context.Context, f *flight) {
	refs := slices.AppendSeq(slices.Collect(maps.Keys(f.running)), maps.Keys(f.again))
	for _, result := range f.done {
		refs = append(refs, result.Work.Ref)
	}
	if len(refs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := e.Store.Due(ctx, refs); err != nil {
		e.Log.WarnContext(ctx, "What was being processed could not be given back; it is taken up later", "error", err)
	}
}
