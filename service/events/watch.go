package events

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun/dialect"
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
	// Listening takes a connection for good.
	canListen := log.db.Dialect().Name() == dialect.PG && log.db.Stats().MaxOpenConnections != 1
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
	conn, err := log.db.DB.Conn(b.ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var failure error
	err = conn.Raw(func(c any) error {
		pg, ok := c.(*stdlib.Conn)
		if !ok {
			failure = fmt.Errorf("a connection of type %T can't listen", c)
			return nil
		}
		failure = func() error {
			if _, err := pg.Conn().Exec(b.ctx, "LISTEN "+channel); err != nil {
				return err
			}
			for first := true; ; first = false {
				if err := b.look(log); err != nil {
					return err
				}
				if first {
					listening()
				}
				ctx, cancel := context.WithTimeout(b.ctx, pollSeldom)
				_, err := pg.Conn().WaitForNotification(ctx)
				timedOut := ctx.Err() != nil
				cancel()
				if b.ctx.Err() != nil || err != nil && !timedOut {
					return err
				}
			}
		}()
		// It listens, so it is of no use for others.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), pollFailed)
		defer cancel()
		_ = pg.Conn().Close(ctx) // the reason is known already, if there is one
		return driver.ErrBadConn
	})
	if failure == nil && err != nil && err != driver.ErrBadConn {
		failure = err
	}
	if b.ctx.Err() != nil {
		return nil
	}
	return failure
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
