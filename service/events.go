package service

import (
	"context"
	"encoding/json"
	"fmt"
)

// Events passes events between plugins, and between the replicas of a backend: Backstage's events service. Safe for concurrent use.
type Events interface {
	// Publish passes an event to the subscribers in this process, at once and side by side, and returns when they have returned and the
	// event is stored for all others. Their errors are logged. An event without a topic, whose payload is not JSON or that is too large
	// (5 MiB) is an InputError. After any other error, the event has reached subscribers in this process at most.
	Publish(ctx context.Context, event Event) error
	// Subscribe has events passed to a subscriber from the plugin's start-up hooks, or from now on when those have run, until the plugin
	// stops. An incomplete subscription and one whose id the plugin has used already are errors.
	Subscribe(subscription Subscription) error
}

// Event is something that has happened. Subscribers share it, and must not change it.
type Event struct {
	// Topic is what the event is about ("github.push"). Required, at most 255 characters.
	Topic string
	// Payload is JSON. Empty stands for null.
	Payload json.RawMessage
	// Metadata has, for events from outside, the headers that they came with, by their names in lower case.
	Metadata map[string][]string
}

// NewEvent is an event with the payload as JSON.
func NewEvent(topic string, payload any) (Event, error) {
	encoded, err := json.Marshal(payload)
	if err != nil {
		return Event{}, fmt.Errorf("payload of an event of topic %s: %w", topic, err)
	}
	return Event{Topic: topic, Payload: encoded}, nil
}

// Decode decodes the payload into the variable that dst points to.
func (e Event) Decode(dst any) error {
	if err := json.Unmarshal(e.Payload, dst); err != nil {
		return fmt.Errorf("payload of an event of topic %s: %w", e.Topic, err)
	}
	return nil
}

// Subscription is what a subscriber asks for.
type Subscription struct {
	// ID names the subscriber; it is unique within the plugin. Required, at most 150 characters.
	ID string
	// Topics are what it is told about. At least one.
	Topics []string
	// OnEvent gets the events. It must return soon after its context ends. It may be called several times at once, unless the
	// subscription is durable. A panic counts as an error. Required.
	OnEvent func(context.Context, Event) error
	// Durable is for subscribers that must not miss anything. Each event goes to one replica, in the order of publishing, one at a time,
	// and is told again until OnEvent returns nil: it may come twice. An event for which OnEvent keeps failing is logged and skipped after
	// about a minute. The subscription begins with the first start of a replica that has it, goes on while no replica is there, and
	// ends a day after the last one was.
	//
	// Otherwise each replica gets each event that is published while it runs, once at most. Errors are logged.
	Durable bool
}
