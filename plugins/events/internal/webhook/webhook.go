// Package webhook has what the modules for forges have in common: checking shared secrets, and splitting the events of one topic into topics below
// it, as Backstage's SubTopicEventRouter does.
package webhook

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
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

// Sender is a forge whose webhooks show a secret in a header.
type Sender struct {
	// ID is that of the module.
	ID string
	// Topic is that of the events, and where the secret is in the configuration: events.modules.<topic>.webhookSecret.
	Topic string
	// Header has the secret, and Refusal is what a request without it is answered.
	Header, Refusal string
	// Below names the topic below, as for [Route].
	Below func(service.Event) string
}

type settings struct {
	WebhookSecret string `schema:"visibility=secret" doc:"The secret that webhooks show. Without it, none are taken."`
}

// Module is the module of the events plugin that receives the sender's webhooks, if there is a secret.
func (s Sender) Module() plugin.Module {
	key := "events.modules." + s.Topic
	return plugin.NewModule("events", s.ID, plugin.ConfigSchema(config.SchemaOf[settings](key)),
		plugin.Init(func(cfg service.Config, bus service.Events, ingresses events.Ingresses) error {
			var read settings
			if err := cfg.Decode(key, &read); err != nil {
				return err
			}
			var opened error
			if read.WebhookSecret != "" {
				opened = ingresses.AddHTTPPostIngress(events.HTTPPostIngress{Topic: s.Topic, Validate: s.shows(read.WebhookSecret)})
			}
			return errors.Join(opened, Route(bus, s.Topic, s.Below))
		}))
}

// shows is a check for the secret. What was checked is not in the metadata of the event.
func (s Sender) shows(secret string) func(context.Context, *events.Request) error {
	return func(_ context.Context, r *events.Request) error {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get(s.Header)), []byte(secret)) == 0 {
			return service.NotAllowedError.Errorf("%s", s.Refusal)
		}
		r.Header.Del(s.Header)
		return nil
	}
}
