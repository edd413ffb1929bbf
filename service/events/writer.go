package events

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// writer writes events to the log. What is published while it writes is written together in the next transaction.
type writer struct {
	bus *Bus

	mu      sync.Mutex // guards what follows
	waiting []*write
	busy    bool
}

// write is an event that waits to be stored.
type write struct {
	event storedEvent
	done  chan error
}

// What is written at once, at most, and how long that may take.
const (
	maxWrites    = 1000
	maxBytes     = 4 << 20
	writeTimeout = 30 * time.Second
)

func (w *writer) write(ctx context.Context, log *eventLog, event storedEvent) error {
	own := &write{event: event, done: make(chan error, 1)}
	w.mu.Lock()
	w.waiting = append(w.waiting, own)
	begin := !w.busy
	w.busy = true
	w.mu.Unlock()
	if begin {
		w.bus.running.Go(func() { w.run(log) })
	}
	select {
	case err := <-own.done:
		if err != nil {
			return fmt.Errorf("storing an event of topic %s: %w", event.Topic, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("storing an event of topic %s, which may have succeeded: %w", event.Topic, ctx.Err())
	}
}

// run writes until nobody waits.
func (w *writer) run(log *eventLog) {
	for {
		batch := w.take()
		if len(batch) == 0 {
			return
		}
		events := make([]storedEvent, len(batch))
		for n, own := range batch {
			events[n] = own.event
		}
		// On shutdown what has been published is stored.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.bus.ctx), writeTimeout)
		position, err := log.append(ctx, events)
		cancel()
		if err == nil {
			w.bus.head.advance(position, 0)
		}
		for _, own := range batch {
			own.done <- err
		}
	}
}

// take takes what is written next. When there is nothing, the writer is not busy any more.
func (w *writer) take() []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, bytes := 0, 0
	for n < len(w.waiting) && n < maxWrites {
		if bytes += w.waiting[n].event.Size; bytes > maxBytes && n > 0 {
			break
		}
		n++
	}
	batch := w.waiting[:n:n]
	w.waiting = w.waiting[n:]
	w.busy = n > 0
	return batch
}
