// Package gerrit is a module of the events plugin for the webhooks of Gerrit: @backstage/plugin-events-backend-module-gerrit.
//
// Each event of the topic gerrit is published once more as one of a topic below it: gerrit.change-merged. The module does not open the topic to
// webhooks, whose senders it can't tell from others; list it in events.http.topics where only they reach the portal.
package gerrit

import (
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events/internal/webhook"
	"github.com/portico-dev/portico/service"
)

// Module splits the events of Gerrit by what they are.
func Module() plugin.Module {
	return plugin.NewModule("events", "gerrit-event-router", plugin.Init(func(bus service.Events) error {
		return webhook.Route(bus, "gerrit", func(e service.Event) string { return webhook.Field(e, "type") })
	}))
}
