package catalog

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// follower keeps the index at the end of the log.
type follower struct {
	index *index.Index
	store *store.Store
	log   *slog.Logger
	// advanced is called with the number of the last entry of the log that the index has.
	advanced func(seq int64)

	mu  sync.Mutex
	seq int64 // up to which the index has the log
}

const (
	// pollLog is how often the follower looks for what other replicas have written. PostgreSQL tells at once, if nothing stands between.
	pollLog = 500 * time.Millisecond
	// listenAgain is the time after which the follower asks PostgreSQL to tell once more.
	listenAgain = 2 * time.Second
)

// loadBatch is how many entities are indexed at a time when everything is read: their terms take more memory than what is kept of them.
const loadBatch = 5000

// load reads everything.
func (f *follower) load(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload(ctx)
}

func (f *follower) advance(seq int64) {
	f.seq = seq
	f.advanced(seq)
}

// committed takes changes of this process as soon as they are there, if there are none of others before them.
func (f *follower) committed(ctx context.Context, changes []store.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if changes[0].Seq != f.seq+1 {
		if err := f.catchUp(ctx); err != nil {
			f.log.ErrorContext(ctx, "Following the log failed, and is tried again soon", "error", err)
		}
		return
	}
	f.take(ctx, changes)
}

func (f *follower) take(ctx context.Context, changes []store.Change) {
	entries := make([]index.Entry, len(changes))
	for i, c := range changes {
		entries[i] = index.Entry{Ref: c.Ref, UID: c.ID, JSON: c.JSON}
	}
	f.apply(ctx, entries)
	f.advance(changes[len(changes)-1].Seq)
}

func (f *follower) apply(ctx context.Context, entries []index.Entry) {
	if err := f.index.Apply(entries); err != nil {
		f.log.WarnContext(ctx, "Entities are left out", "error", err)
	}
}

// catchUp reads the log to its end. If what follows has been deleted for its age, it loads everything again.
func (f *follower) catchUp(ctx context.Context) error {
	const batch = 500
	head, err := f.store.Head(ctx)
	if err != nil {
		return err
	}
	for f.seq < head {
		changes, err := f.store.Since(ctx, f.seq, batch)
		switch {
		case err != nil:
			return err
		case len(changes) == 0 || changes[0].Seq != f.seq+1:
			return f.reload(ctx)
		}
		f.take(ctx, changes)
	}
	return nil
}

// reload brings the index up to date without the log.
func (f *follower) reload(ctx context.Context) error {
	gone := map[string]bool{}
	for _, ref := range f.index.Refs() {
		gone[ref] = true
	}
	batches := make(chan []index.Entry)
	var indexing sync.WaitGroup
	indexing.Go(func() {
		for entries := range batches {
			f.apply(ctx, entries)
		}
	})
	var entries []index.Entry
	seq, err := f.store.Load(ctx, func(c store.Change) error {
		delete(gone, c.Ref)
		if entries = append(entries, index.Entry{Ref: c.Ref, UID: c.ID, JSON: c.JSON}); len(entries) == loadBatch {
			batches <- entries
			entries = nil
		}
		return nil
	})
	close(batches)
	indexing.Wait()
	if err != nil {
		return err
	}
	for ref := range gone {
		entries = append(entries, index.Entry{Ref: ref})
	}
	f.apply(ctx, entries)
	f.advance(seq)
	return nil
}

// run follows what other replicas write until ctx ends.
func (f *follower) run(ctx context.Context, clock clockwork.Clock) {
	ticker := clock.NewTicker(pollLog)
	defer ticker.Stop()
	news := make(chan struct{}, 1)
	var listening sync.WaitGroup
	defer listening.Wait()
	if f.store.CanListen() {
		listening.Go(func() { f.listen(ctx, clock, news) })
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-news:
			f.mu.Lock()
		case <-ticker.Chan():
			if !f.mu.TryLock() { // changes are being taken, and it looks again soon
				continue
			}
		}
		if err := f.catchUp(ctx); err != nil && ctx.Err() == nil {
			f.log.ErrorContext(ctx, "Following the log failed, and is tried again soon", "error", err)
		}
		f.mu.Unlock()
	}
}

// listen sends when other replicas tell of news.
func (f *follower) listen(ctx context.Context, clock clockwork.Clock, news chan<- struct{}) {
	for ctx.Err() == nil {
		err := f.store.Listen(ctx, func() {
			select {
			case news <- struct{}{}:
			default: // it is about to look
			}
		})
		if err == nil {
			return
		}
		f.log.WarnContext(ctx, "Changes by other replicas are looked for, as the connection that told of them was lost", "error", err)
		select {
		case <-ctx.Done():
		case <-clock.After(listenAgain):
		}
	}
}
