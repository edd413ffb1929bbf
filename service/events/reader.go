package events

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// follow passes events that other processes have published to a subscriber.
func (b *Bus) follow(log *eventLog, s *subscriber, position int64) {
	for {
		head, _, err := b.head.after(s.ctx, position)
		if err != nil {
			return
		}
		events, read, err := log.read(s.ctx, position, head, s.Topics, log.origin)
		if err != nil {
			if s.ctx.Err() == nil {
				s.log.Warn("reading events of other replicas, trying again", "subscription", s.id, "error", err)
			}
			sleep(s.ctx, pollFailed)
			continue
		}
		for _, stored := range events {
			event, err := stored.event()
			if err == nil {
				err = s.handle(s.ctx, event)
			}
			if err != nil {
				s.logFailure("a subscriber failed", stored.Topic, err)
			}
			if s.ctx.Err() != nil {
				return
			}
		}
		position = read
	}
}

// How often an event is told to a durable subscriber that fails, and how long it gets between: about a minute in all.
const (
	maxAttempts = 10
	firstPause  = 100 * time.Millisecond
	longPause   = 20 * time.Second
)

// ackEvery is how long handled events may be without being acknowledged.
const ackEvery = time.Second

// deliver passes events to a durable subscriber, from a position on, as long as this replica has the lease.
func (b *Bus) deliver(ctx context.Context, log *eventLog, s *subscriber, position int64) error {
	warned := false
	for {
		head, dropped, err := b.head.after(ctx, position)
		if err != nil {
			return err
		}
		if position < dropped && !warned {
			warned = true
			s.log.Warn(fmt.Sprintf("subscription %s was too far behind: events were dropped before it could handle them (see events.bus)", s.id),
				"subscription", s.id, "events", dropped-position)
		}
		events, read, err := log.read(ctx, position, head, s.Topics, "")
		if err != nil {
			return err
		}
		acknowledged := time.Now()
		for _, stored := range events {
			if err := s.insist(ctx, stored); err != nil {
				return errors.Join(err, b.acknowledge(ctx, log, s, stored.ID-1))
			}
			if time.Since(acknowledged) > ackEvery {
				if err := b.acknowledge(ctx, log, s, stored.ID); err != nil {
					return err
				}
				acknowledged = time.Now()
			}
		}
		if err := b.acknowledge(ctx, log, s, read); err != nil {
			return err
		}
		position = read
	}
}

// acknowledge moves the subscription forward, also when the replica is stopping: what was handled need not come again.
func (b *Bus) acknowledge(ctx context.Context, log *eventLog, s *subscriber, position int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.options.Lease/3)
	defer cancel()
	return log.acknowledge(ctx, s.id, position)
}

// insist tells the subscriber of an event until it succeeds. The error is the end of the context.
func (s *subscriber) insist(ctx context.Context, stored storedEvent) error {
	event, err := stored.event()
	if err != nil {
		s.logFailure("an event can't be read and is skipped", stored.Topic, err)
		return nil
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := s.handle(ctx, event)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case attempt == maxAttempts:
			s.logFailure(fmt.Sprintf("a durable subscriber has failed %d times, event %d is skipped", attempt, stored.ID), stored.Topic, err)
			return nil
		}
		s.logFailure("a durable subscriber failed, trying again", stored.Topic, err)
		sleep(ctx, pause)
		pause = min(2*pause, longPause)
	}
}
