package cache

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// patience is how long a call may take, and how long a server that failed is left alone.
const patience = time.Second

// outage keeps a server that is down from slowing everybody down, and from filling the log. Safe for concurrent use.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time // zero: the server is up
	retry time.Time
}

func newOutage(log *slog.Logger, store string) *outage {
	return &outage{log: log.With("store", store)}
}

// mayTry tells whether the server is worth a try. During an outage that is so for one call at a time.
func (o *outage) mayTry() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return true
	}
	now := time.Now()
	if now.Before(o.retry) {
		return false
	}
	o.retry = now.Add(patience)
	return true
}

// report tells how a call went.
func (o *outage) report(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil && !o.since.IsZero():
		o.log.InfoContext(ctx, "the cache is back", "after", now.Sub(o.since).Round(time.Millisecond))
		o.since = time.Time{}
	case err != nil && o.since.IsZero():
		o.log.WarnContext(ctx, "the cache doesn't answer; going on without it (see backend.cache)", "error", err)
		o.since = now
		fallthrough
	case err != nil:
		o.retry = now.Add(patience)
	}
}
