package events

import (
	"context"
	"sync"
	"time"

	"github.com/portico-dev/portico/service/database"
)

// head is how far the log goes, as far as this process knows.
type head struct {
	mu      sync.Mutex // guards what follows
	last    int64
	dropped int64
	changed chan struct{} // is closed when last grows
}

func (h *head) advance(position, dropped int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropped = max(h.dropped, dropped)
	if position <= h.last {
		return
	}
	h.last = position
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *head) position() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// after waits until the log goes further than a position. It returns how far, and up to where events were dropped; an error is the end of
// the context.
func (h *head) after(ctx context.Context, position int64) (last, dropped int64, err error) {
	for {
		h.mu.Lock()
		last, dropped, changed := h.last, h.dropped, h.changed
		h.mu.Unlock()
		if err := ctx.Err(); err != nil || last > position {
			return last, dropped, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// How often the log is looked into, where nothing tells of other replicas' events, and where something does but may fail.
const (
	pollOften  = 200 * time.Millisecond
	pollSeldom = 5 * time.Second
	pollFailed = time.Second
)

// watch follows how far the log goes, until the bus stops.
func (b *Bus) watch(log *eventLog) {
	failing := false
	report := func(err error) {
		if failed := err != nil; failed != failing && b.ctx.Err() == nil {
			failing = failed
			if failed {
				b.options.Log.Warn("events of other replicas wait for the database", "error", err)
			} else {
				b.options.Log.Info("events of other replicas go on, the database answers again")
			}
		}
	}
	canListen := database.CanListen(log.db)
	for b.ctx.Err() == nil {
		var err error
		switch {
		case canListen:
			err = b.listen(log, func() { report(nil) })
		case log.shared():
			err = b.poll(log, pollOften)
		default: // only this process writes
			err = b.poll(log, pollSeldom)
		}
		report(err)
		if err != nil {
			sleep(b.ctx, pollFailed)
		}
	}
}

// poll waits, and looks how far the log goes.
func (b *Bus) poll(log *eventLog, wait time.Duration) error {
	if !sleep(b.ctx, wait) {
		return nil
	}
	return b.look(log)
}

func (b *Bus) look(log *eventLog) error {
	ctx, cancel := context.WithTimeout(b.ctx, pollSeldom)
	defer cancel()
	position, dropped, err := log.head(ctx)
	if err == nil {
		b.head.advance(position, dropped)
	}
	return err
}

// listen looks how far the log goes whenever PostgreSQL notifies. It returns when the connection is lost, or the bus stops.
func (b *Bus) listen(log *eventLog, listening func()) error {
	return database.Listen(b.ctx, log.db, channel, func(string) error {
		err := b.look(log)
		if err == nil {
			listening()
		}
		return err
	})
}

// sleep waits. It answers false when the context ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
