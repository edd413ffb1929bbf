// Package azuredevops is a module of the events plugin for the service hooks of Azure DevOps: @backstage/plugin-events-backend-module-azure.
//
// A service hook with the URL https://portal.example.com/api/events/http/azureDevOps and the header "x-ado-webhook-secret:…" publishes events of
// the topic azureDevOps, and each of them once more as one of the topic azureDevOps.<eventType>: azureDevOps.git.push.
//
//	events:
//	  modules:
//	    azureDevOps:
//	      webhookSecret: ${AZURE_WEBHOOK_SECRET}
//
// Without a secret, no events come by HTTP; those of the topic that come from elsewhere are published once more all the same.
package azuredevops

import (
	"errors"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events"
	"github.com/portico-dev/portico/plugins/events/internal/webhook"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

const (
	topic       = "azureDevOps"
	settingsKey = "events.modules.azureDevOps"
)

type settings struct {
	WebhookSecret string `schema:"visibility=secret" doc:"What the header x-ado-webhook-secret of service hooks says."`
}

// Module takes the events of service hooks of Azure DevOps.
func Module() plugin.Module {
	return plugin.NewModule("events", "azure-dev-ops-webhook", plugin.ConfigSchema(config.SchemaOf[settings](settingsKey)), plugin.Init(start))
}

func start(cfg service.Config, bus service.Events, ingresses events.Ingresses) error {
	var s settings
	if err := cfg.Decode(settingsKey, &s); err != nil {
		return err
	}
	var opened error
	if s.WebhookSecret != "" {
		opened = ingresses.AddHTTPPostIngress(events.HTTPPostIngress{
			Topic: topic, Validate: webhook.Secret("X-Ado-Webhook-Secret", s.WebhookSecret, "invalid webhook secret"),
		})
	}
	return errors.Join(opened, webhook.Route(bus, topic, func(e service.Event) string { return webhook.Field(e, "eventType") }))
}
