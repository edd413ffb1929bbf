// Package gitlab is a module of the events plugin for the webhooks of GitLab: @backstage/plugin-events-backend-module-gitlab.
//
// A webhook or system hook with the URL https://portal.example.com/api/events/http/gitlab and a secret token publishes events of the topic
// gitlab, and each of them once more as one of the topic gitlab.<event>, by its object_kind or event_name: gitlab.push, gitlab.group_create.
//
//	events:
//	  modules:
//	    gitlab:
//	      webhookSecret: ${GITLAB_WEBHOOK_SECRET}
//
// Without a secret, no events come by HTTP; those of the topic that come from elsewhere are published once more all the same.
package gitlab

import (
	"errors"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events"
	"github.com/portico-dev/portico/plugins/events/internal/webhook"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

const (
	topic       = "gitlab"
	settingsKey = "events.modules.gitlab"
)

type settings struct {
	WebhookSecret string `schema:"visibility=secret" doc:"The secret token of the webhooks."`
}

// Module takes the events of webhooks of GitLab.
func Module() plugin.Module {
	return plugin.NewModule("events", "gitlab-webhook", plugin.ConfigSchema(config.SchemaOf[settings](settingsKey)), plugin.Init(start))
}

func start(cfg service.Config, bus service.Events, ingresses events.Ingresses) error {
	var s settings
	if err := cfg.Decode(settingsKey, &s); err != nil {
		return err
	}
	var opened error
	if s.WebhookSecret != "" {
		opened = ingresses.AddHTTPPostIngress(events.HTTPPostIngress{Topic: topic, Validate: webhook.Secret("X-Gitlab-Token", s.WebhookSecret, "invalid token")})
	}
	return errors.Join(opened, webhook.Route(bus, topic, func(e service.Event) string { return webhook.Field(e, "object_kind", "event_name") }))
}
