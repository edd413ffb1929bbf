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
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events/internal/webhook"
	"github.com/portico-dev/portico/service"
)

// Module takes the events of service hooks of Azure DevOps.
func Module() plugin.Module {
	return webhook.Sender{
		ID: "azure-dev-ops-webhook", Topic: "azureDevOps", Header: "X-Ado-Webhook-Secret", Refusal: "invalid webhook secret",
		Below: func(e service.Event) string { return webhook.Field(e, "eventType") },
	}.Module()
}
