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

	mu  sync.Mutex
	seq int64 // up to which the index has the log
}

// pollLog is how often the follower looks for what other replicas have written.
const pollLog = 500 * time.Millisecond

func (f *follower) load(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var entries []index.Entry
	seq, err := f.store.Load(ctx, func(c store.Change) error {
		entries = append(entries, index.Entry{Ref: c.Ref, UID: c.ID, JSON: c.JSON})
		return nil
	})
	if err != nil {
		return err
	}
	f.seq = seq
	f.apply(ctx, entries)
	return nil
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
		f.seq = c.Seq
	}
	f.apply(ctx, entries)
}

func (f *follower) apply(ctx context.Context, entries []index.Entry) {
	if err := f.index.Apply(entries); err != nil {
		f.log.WarnContext(ctx, "Entities are left out", "error", err)
	}
}

// catchUp reads the log to its end.
func (f *follower) catchUp(ctx context.Context) error {
	const batch = 500
	for {
		changes, err := f.store.Since(ctx, f.seq, batch)
		if err != nil || len(changes) == 0 {
			return err
		}
		f.take(ctx, changes)
	}
}

// run follows what other replicas write until ctx ends.
func (f *follower) run(ctx context.Context, clock clockwork.Clock) {
	ticker := clock.NewTicker(pollLog)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.Chan():
		}
		f.mu.Lock()
		if err := f.catchUp(ctx); err != nil && ctx.Err() == nil {
			f.log.ErrorContext(ctx, "Following the log failed, and is tried again soon", "error", err)
		}
		f.mu.Unlock()
	}
}
