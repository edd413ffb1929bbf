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
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events/internal/webhook"
	"github.com/portico-dev/portico/service"
)

// Module takes the events of webhooks of GitLab.
func Module() plugin.Module {
	return webhook.Sender{
		ID: "gitlab-webhook", Topic: "gitlab", Header: "X-Gitlab-Token", Refusal: "invalid token",
		Below: func(e service.Event) string { return webhook.Field(e, "object_kind", "event_name") },
	}.Module()
}
