package catalog

import (
	"context"
	"time"

	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// past answers what was, from what is and the log.
type past struct {
	*store.Store
	index *index.Index
	slots chan struct{} // has a value for each index of the past that is being made
}

// mostRewinds is how many indices of the past are made at once: each takes memory.
const mostRewinds = 2

func newPast(s *store.Store, x *index.Index) *past {
	return &past{Store: s, index: x, slots: make(chan struct{}, mostRewinds)}
}

// Rewind implements api.Past.
func (p *past) Rewind(ctx context.Context, at time.Time) (*index.Index, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// First: what changes in between is undone too.
	x := p.index.Clone()
	err := p.Store.Rewind(ctx, at, func(changes []store.Change) error {
		entries := make([]index.Entry, len(changes))
		for i, c := range changes {
			entries[i] = index.Entry{Ref: c.Ref, UID: c.ID, JSON: c.JSON}
		}
		return x.Apply(entries)
	})
	return x, err
}
