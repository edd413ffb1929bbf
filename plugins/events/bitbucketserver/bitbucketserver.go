// Package bitbucketserver is a module of the events plugin for the webhooks of Bitbucket Server and Data Center: @backstage/plugin-events-backend-module-bitbucket-server.
//
// Each event of the topic bitbucketServer is published once more as one of a topic below it: bitbucketServer.repo:refs_changed. The module does not open the topic to
// webhooks, whose senders it can't tell from others; list it in events.http.topics where only they reach the portal.
package bitbucketserver

import (
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events/internal/webhook"
	"github.com/portico-dev/portico/service"
)

// Module splits the events of Bitbucket Server and Data Center by what they are.
func Module() plugin.Module {
	return plugin.NewModule("events", "bitbucket-server-event-router", plugin.Init(func(bus service.Events) error {
		return webhook.Route(bus, "bitbucketServer", func(e service.Event) string { return webhook.Header(e, "x-event-key") })
	}))
}
