package catalog

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugins/catalog/internal/access"
	"github.com/portico-dev/portico/plugins/catalog/internal/api"
	"github.com/portico-dev/portico/plugins/catalog/internal/feed"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/plugins/catalog/internal/webhook"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/egress"
)

const (
	defaultRetention = 30 * 24 * time.Hour
	leastRetention   = time.Hour
	// forgetting is how often what is too old is deleted from the log.
	forgetting = 10 * time.Minute
	// webhookRestart is the time after which the delivery to a webhook begins anew if the database has failed it.
	webhookRestart = 5 * time.Second
)

// tellChanges serves what has changed and what changes, from the log.
func (d deps) tellChanges(router api.Router, s *store.Store, followed *follower, allowed *access.Control) error {
	retention := defaultRetention
	if err := d.Config.Decode("catalog.history.retention", &retention); err != nil {
		return err
	}
	if retention < leastRetention {
		return fmt.Errorf("catalog.history.retention: %s is too short, it must be %s at least: replicas and others that follow changes need time", retention, leastRetention)
	}
	oldest := func() time.Time { return d.Clock.Now().Add(-retention) }
	changes := feed.New(s, oldest)
	followed.advanced = changes.Advance
	stopping := make(chan struct{})
	stop := sync.OnceFunc(func() { close(stopping) })
	d.RootLifecycle.BeforeShutdown(func(context.Context) error {
		stop()
		return nil
	})
	d.Lifecycle.Append(fx.StopHook(stop))
	api.Changes{Feed: changes, Visible: allowed.Visible, Auth: d.Auth, Clock: d.Clock, Stopping: stopping}.Register(router)
	if err := d.callWebhooks(router, s, changes); err != nil {
		return err
	}
	return d.Scheduler.Schedule(service.Task{ID: "forget-history", Every: forgetting, Timeout: forgetting, Run: func(ctx context.Context) error {
		return s.ForgetLog(ctx, oldest())
	}})
}

// callWebhooks has the configured webhooks called, each by one of the replicas.
func (d deps) callWebhooks(router api.Router, s *store.Store, changes *feed.Feed) error {
	hooks, err := webhook.Read(d.Config)
	if err != nil {
		return err
	}
	api.Webhooks{Webhooks: hooks, Store: s, Feed: changes, Allow: d.servicesOnly}.Register(router)
	named := map[string]bool{}
	for _, h := range hooks {
		named[h.URL.Hostname()] = true
	}
	transport := egress.NewTransport(egress.Policy{Named: named, Fix: "a webhook is called at its own host only"})
	d.Lifecycle.Append(fx.StopHook(transport.CloseIdleConnections))
	client := webhook.NewClient(d.Telemetry.Transport(transport))
	for _, h := range hooks {
		deliverer := &webhook.Deliverer{Webhook: h, Store: s, Feed: changes, Client: client, Clock: d.Clock, Log: d.Log}
		// It runs until the replica stops, and goes on at another one.
		if err := d.Scheduler.Schedule(service.Task{ID: "webhook-" + h.ID, Every: webhookRestart, Run: deliverer.Run}); err != nil {
			return err
		}
	}
	return nil
}

// servicesOnly refuses requests of users.
func (d deps) servicesOnly(r *http.Request) error {
	_, err := d.Auth.Credentials(r, service.AllowService)
	return err
}
