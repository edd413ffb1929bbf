// Package github is a module of the events plugin for the webhooks of GitHub: @backstage/plugin-events-backend-module-github.
//
// A webhook with the Payload URL https://portal.example.com/api/events/http/github, the content type application/json and a secret publishes
// events of the topic github, and each of them once more as one of the topic github.<event>: github.push, github.repository. Its signature
// is checked by the secret of one of the GitHub Apps of integrations.github, or by that of all other webhooks:
//
//	events:
//	  modules:
//	    github:
//	      webhookSecret: ${GITHUB_WEBHOOK_SECRET}
//
// Without any secret, no events come by HTTP; those of the topic that come from elsewhere are published once more all the same.
//
// # Differences from Backstage
//
// Backstage asks GitHub to which app an installation belongs, and takes that app's secret. Here the secret of any app that is configured will do.
package github

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/events"
	"github.com/portico-dev/portico/plugins/events/internal/webhook"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/integration"
)

const (
	topic       = "github"
	settingsKey = "events.modules.github"
)

type settings struct {
	WebhookSecret string `schema:"visibility=secret" doc:"The secret of the webhooks that are not those of a GitHub App."`
}

// Module takes the events of webhooks of GitHub.
func Module() plugin.Module {
	return plugin.NewModule("events", "github-webhook", plugin.ConfigSchema(config.SchemaOf[settings](settingsKey)), plugin.Init(start))
}

type deps struct {
	fx.In

	Config       service.Config
	Events       service.Events
	Ingresses    events.Ingresses
	Integrations *integration.Integrations
}

func start(d deps) error {
	var s settings
	if err := d.Config.Decode(settingsKey, &s); err != nil {
		return err
	}
	var secrets secrets
	if s.WebhookSecret != "" {
		secrets = append(secrets, s.WebhookSecret)
	}
	for _, server := range d.Integrations.GitHub {
		secrets = append(secrets, server.WebhookSecrets()...)
	}
	var opened error
	if len(secrets) > 0 {
		opened = d.Ingresses.AddHTTPPostIngress(events.HTTPPostIngress{Topic: topic, Validate: secrets.validate})
	}
	return errors.Join(opened, webhook.Route(d.Events, topic, func(e service.Event) string { return webhook.Header(e, "x-github-event") }))
}

type secrets []string

// validate checks the signature: see https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries.
func (s secrets) validate(_ context.Context, r *events.Request) error {
	signature := r.Header.Get("X-Hub-Signature-256")
	for _, secret := range s {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(r.Body)
		if hmac.Equal([]byte(signature), []byte("sha256="+hex.EncodeToString(mac.Sum(nil)))) {
			return nil
		}
	}
	return service.NotAllowedError.Errorf("invalid signature")
}
