package feed

import (
	"context"
	"sync"
	"time"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// Feed answers changes. It is safe for concurrent use.
type Feed struct {
	log    *store.Store
	oldest func() time.Time

	tail sync.Mutex // held by who reads what is behind recent

	mu     sync.Mutex // guards what follows
	recent []*entry   // the last entries that were read, without gaps
	size   int        // of recent
	head   Cursor     // up to which the log is known to go
	moved  chan struct{}
}

// Bounds of what is kept and of what is read at once.
const (
	mostRecent = 16 << 20 // bytes
	pageSize   = 100      // entries
	// mostScanned is the number of entries after which Read answers even if it has found fewer changes than wanted.
	mostScanned = 5000
)

// New returns a feed of a log, in which what is from before oldest may be deleted.
func New(log *store.Store, oldest func() time.Time) *Feed {
	return &Feed{log: log, oldest: oldest, moved: make(chan struct{})}
}

// Advance tells that the log goes up to seq at least.
func (f *Feed) Advance(seq int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if Cursor(seq) <= f.head {
		return
	}
	f.head = Cursor(seq)
	close(f.moved)
	f.moved = make(chan struct{})
}

// Beyond returns a channel that is closed when there is something beyond a place.
func (f *Feed) Beyond(at Cursor) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head > at {
		ready := make(chan struct{})
		close(ready)
		return ready
	}
	return f.moved
}

// Now is the place behind everything that has changed.
func (f *Feed) Now(ctx context.Context) (Cursor, error) {
	seq, err := f.log.Head(ctx)
	return Cursor(seq), err
}

// Earliest is the first place that is left.
func (f *Feed) Earliest(ctx context.Context) (Cursor, error) {
	seq, err := f.log.Start(ctx)
	return Cursor(seq), err
}

// Page is a part of the changes.
type Page struct {
	Changes []Change
	// Next is the place from which to go on.
	Next Cursor
	// More tells that there is something behind that place already.
	More bool
}

// Read answers up to limit changes behind a place for which the condition, if there is one, holds before or after. There may be more even
// if it answers fewer, or none. If the log does not go back to the place any more, the error is store.ErrForgotten; if it has never got there, a
// NotFoundError.
func (f *Feed) Read(ctx context.Context, at Cursor, limit int, where query.Predicate) (Page, error) {
	page := Page{Next: at}
	for scanned := 0; ; {
		entries, err := f.entries(ctx, page.Next, min(pageSize, limit-len(page.Changes)))
		if err != nil {
			return page, err
		}
		for _, e := range entries {
			page.Next = Cursor(e.Seq)
			if c, ok := e.seen(where); ok {
				page.Changes = append(page.Changes, c)
			}
		}
		scanned += len(entries)
		if len(entries) == 0 {
			return page, nil
		}
		if len(page.Changes) >= limit || scanned >= mostScanned {
			page.More = f.beyond(page.Next)
			return page, nil
		}
	}
}

// beyond tells whether the log is known to go beyond a place.
func (f *Feed) beyond(at Cursor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head > at
}

// entries answers up to limit entries behind a place.
func (f *Feed) entries(ctx context.Context, at Cursor, limit int) ([]*entry, error) {
	if kept, ok := f.kept(at, limit); ok {
		return kept, nil
	}
	f.mu.Lock()
	last := f.last()
	f.mu.Unlock()
	if at < last { // far behind the others
		return f.read(ctx, at, limit)
	}
	f.tail.Lock()
	defer f.tail.Unlock()
	if kept, ok := f.kept(at, limit); ok { // somebody else has read it in the meantime
		return kept, nil
	}
	entries, err := f.read(ctx, at, pageSize)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	f.keep(entries)
	return entries[:min(limit, len(entries))], nil
}

func (f *Feed) read(ctx context.Context, at Cursor, limit int) ([]*entry, error) {
	stored, err := f.log.Entries(ctx, int64(at), limit)
	if err != nil {
		return nil, err
	}
	entries := make([]*entry, len(stored))
	for i, e := range stored {
		entries[i] = newEntry(e)
	}
	return entries, nil
}

// last is the place behind the entries that are kept.
func (f *Feed) last() Cursor {
	if len(f.recent) == 0 {
		return 0
	}
	return Cursor(f.recent[len(f.recent)-1].Seq)
}

// kept answers what is kept of the entries behind a place.
func (f *Feed) kept(at Cursor, limit int) ([]*entry, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.recent) == 0 || at >= f.last() {
		return nil, false
	}
	from := int64(at) - (f.recent[0].Seq - 1)
	if from < 0 || f.recent[from].At.Before(f.oldest()) {
		return nil, false
	}
	return f.recent[from:min(int(from)+limit, len(f.recent))], true
}

// keep keeps entries for others.
func (f *Feed) keep(entries []*entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.recent
	if len(kept) > 0 && entries[0].Seq != int64(f.last())+1 {
		kept, f.size = nil, 0
	}
	for _, e := range entries {
		f.size += e.size()
	}
	// A new slice: those who were answered parts of the old one still read them.
	kept = append(kept[:len(kept):len(kept)], entries...)
	for len(kept) > 0 && f.size > mostRecent {
		f.size -= kept[0].size()
		kept = kept[1:]
	}
	f.recent = kept
}
