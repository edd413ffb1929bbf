package events

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// held is a durable subscription that this replica delivers.
type held struct {
	subscriber *subscriber
	cancel     context.CancelFunc
	done       chan struct{} // is closed when the delivery has ended
	guard      *time.Timer   // ends the delivery before its lease ends
}

// keep holds leases on durable subscriptions and delivers them, until the bus stops. It cleans the log as well.
func (b *Bus) keep(log *eventLog) {
	interval := min(b.options.Lease/3, time.Second)
	holds := map[string]*held{}
	var renewed, cleaned time.Time
	failing := false
	for {
		select {
		case <-b.ctx.Done():
			for _, h := range holds {
				h.stop(b, log)
			}
			return
		case <-b.wake:
		case <-time.After(interval):
		}
		err := b.attend(log, holds, &renewed)
		if failed := err != nil; failed != failing && b.ctx.Err() == nil {
			failing = failed
			if failed {
				b.options.Log.Warn("durable subscriptions wait for the database", "error", err)
			} else {
				b.options.Log.Info("durable subscriptions go on, the database answers again")
			}
		}
		if err == nil && time.Since(cleaned) > cleanEvery {
			cleaned = time.Now()
			ctx, cancel := context.WithTimeout(b.ctx, cleanEvery)
			if err := log.clean(ctx, b.options.MaxEvents, b.options.MaxAge); err != nil && b.ctx.Err() == nil {
				b.options.Log.Warn("cleaning the log of events", "error", err)
			}
			cancel()
		}
	}
}

// attend renews leases, and takes what nobody holds.
func (b *Bus) attend(log *eventLog, holds map[string]*held, renewed *time.Time) error {
	b.mu.RLock()
	wanted := maps.Clone(b.durable)
	b.mu.RUnlock()
	for id, h := range holds {
		if wanted[id] != h.subscriber {
			h.stop(b, log)
			delete(holds, id)
			continue
		}
		select {
		case <-h.done: // it has failed, or lost the lease
			h.guard.Stop()
			delete(holds, id)
		default:
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.options.Lease/3)
	defer cancel()
	if at := time.Now(); len(holds) > 0 && at.Sub(*renewed) >= b.options.Lease/3 {
		if err := log.renew(ctx, slices.Sorted(maps.Keys(holds)), b.options.Lease); err != nil {
			return err
		}
		*renewed = at
		for _, h := range holds {
			h.guard.Reset(time.Until(at.Add(b.guardTime())))
		}
	}
	if len(holds) == len(wanted) {
		return nil
	}
	return b.take(ctx, log, wanted, holds)
}

// guardTime is how long after the renewal of a lease a delivery is ended if the lease can't be renewed again.
func (b *Bus) guardTime() time.Duration { return b.options.Lease * 2 / 3 }

// take takes the subscriptions that this replica wants and nobody holds.
func (b *Bus) take(ctx context.Context, log *eventLog, wanted map[string]*subscriber, holds map[string]*held) error {
	at := time.Now()
	found, err := log.subscriptions(ctx, slices.Sorted(maps.Keys(wanted)))
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, stored := range found {
		known[stored.ID] = true
		s := wanted[stored.ID]
		topics := topicList(s.Topics)
		mine := stored.Owner == log.origin && stored.Topics == topics && !stored.Free
		if holds[stored.ID] != nil || !mine && !stored.Free {
			continue
		}
		if !mine {
			ok, err := log.take(ctx, stored.ID, topics, b.options.Lease)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
		}
		h := &held{subscriber: s, done: make(chan struct{})}
		holds[stored.ID] = h
		b.hold(log, h, stored.Position, at)
	}
	for id, s := range wanted {
		if known[id] {
			continue
		}
		// It was deleted, as no replica was there for long: perhaps this one was cut off.
		if err := log.register(ctx, id, topicList(s.Topics), b.options.Lease); err != nil {
			return err
		}
	}
	return nil
}

// hold begins to deliver a subscription on which this replica has had a lease since at.
func (b *Bus) hold(log *eventLog, h *held, position int64, at time.Time) {
	s := h.subscriber
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(s.ctx)
	h.guard = time.AfterFunc(time.Until(at.Add(b.guardTime())), h.cancel)
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.durable[s.id] != s { // it has ended meanwhile: the next look gives the lease back
		close(h.done)
		return
	}
	s.active.Go(func() {
		defer close(h.done)
		defer h.cancel()
		err := b.deliver(ctx, log, s, position)
		if s.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			s.log.Warn("the delivery of a durable subscription was interrupted", "subscription", s.id, "error", err)
		}
	})
}

// stop ends a delivery and gives the subscription back, for another replica to go on at once.
func (h *held) stop(b *Bus, log *eventLog) {
	h.cancel()
	<-h.done
	h.guard.Stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), b.options.Lease/3)
	defer cancel()
	if err := log.release(ctx, h.subscriber.id); err != nil {
		b.options.Log.Warn("a durable subscription can't be given back, others take it over when its lease ends",
			"subscription", h.subscriber.id, "error", err)
	}
}
