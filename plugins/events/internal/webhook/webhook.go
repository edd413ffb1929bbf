// Package webhook has what the modules for forges have in common: checking shared secrets, and splitting the events of one topic into topics below
// it, as Backstage's SubTopicEventRouter does.
package webhook

import (
	"context"
	"crypto/subtle"
	"encoding/json"

	"github.com/portico-dev/portico/plugins/events"
	"github.com/portico-dev/portico/service"
)

// longest is how long a topic may be below another one.
const longest = 150

// Route publishes each event of the topic once more, as one of the topic below it that of names: "push" makes "github.push" of "github". Events for
// which it names none are passed over. Replicas do it for each other: each event is published once more by one of them.
func Route(bus service.Events, topic string, of func(service.Event) string) error {
	return bus.Subscribe(service.Subscription{
		ID: topic + "-event-router", Topics: []string{topic}, Durable: true,
		OnEvent: func(ctx context.Context, e service.Event) error {
			below := of(e)
			if below == "" || len(below) > longest {
				return nil
			}
			e.Topic = topic + "." + below
			return bus.Publish(ctx, e)
		},
	})
}

// Header is what a header of the request says that the event came with.
func Header(e service.Event, name string) string {
	if values := e.Metadata[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Field is the first of the payload's fields that is a text which is not empty.
func Field(e service.Event, names ...string) string {
	var fields map[string]json.RawMessage
	if err := e.Decode(&fields); err != nil {
		return ""
	}
	for _, name := range names {
		var text string
		if json.Unmarshal(fields[name], &text) == nil && text != "" {
			return text
		}
	}
	return ""
}

// Secret is a check for the secret that a header has to carry. What was checked is not in the metadata of the event.
func Secret(header, secret, refusal string) func(context.Context, *events.Request) error {
	return func(_ context.Context, r *events.Request) error {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(header)), []byte(secret)) == 0 {
			return service.NotAllowedError.Errorf("%s", refusal)
		}
		r.Header.Del(header)
		return nil
	}
}
