// Package bitbucketcloud is a module of the events plugin for the webhooks of Bitbucket Cloud: @backstage/plugin-events-backend-module-bitbucket-cloud.
//
// Each event of the topic bitbucketCloud is published once more as one of a topic below it: bitbucketCloud.repo:push. The module does not open the topic to
// webhooks, whose senders it can't tell from others; list it in events.http.topics where only they reach the portal.
package bitbucketcloud

import (
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events/internal/webhook"
	"github.com/portico-dev/portico/service"
)

// Module splits the events of Bitbucket Cloud by what they are.
func Module() plugin.Module {
	return plugin.NewModule("events", "bitbucket-cloud-event-router", plugin.Init(func(bus service.Events) error {
		return webhook.Route(bus, "bitbucketCloud", func(e service.Event) string { return webhook.Header(e, "x-event-key") })
	}))
}
