package events

import (
	_ "embed"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/events"
	"github.com/portico-dev/portico/service/httprouter"
)

//go:embed config.schema.json
var configSchema []byte

// Plugin is the events plugin.
func Plugin() plugin.Plugin {
	return plugin.New("events",
		plugin.ConfigSchema(configSchema),
		plugin.Provide(IngressPoint, newIngresses),
		plugin.Init(start),
	)
}

type dependencies struct {
	fx.In

	Router    *echo.Group
	Open      service.AuthPolicies
	Config    service.Config
	Events    service.Events
	Ingresses *ingresses
	Log       *slog.Logger
}

// topicName is what a topic with a route may be called.
var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func start(d dependencies) error {
	var configured []string
	if err := d.Config.Decode("events.http.topics", &configured); err != nil {
		return err
	}
	all := d.Ingresses.byTopic
	for i, topic := range configured {
		if !topicName.MatchString(topic) {
			return fmt.Errorf("events.http.topics[%d]: %q has to be letters, digits, and - _ . between them", i, topic)
		}
		if _, ok := all[topic]; !ok {
			all[topic] = HTTPPostIngress{Topic: topic}
		}
	}
	d.Open.AllowUnauthenticated("/http")
	for _, topic := range slices.Sorted(maps.Keys(all)) {
		h := handler{ingress: all[topic], parsers: d.Ingresses.parsers, events: d.Events}
		d.Router.POST("/http/"+topic, h.receive, httprouter.BodyLimit(events.MaxSize))
		if h.ingress.Validate == nil {
			d.Log.Warn("Anybody can publish events of a topic: no module checks who sends them", "topic", topic, "path", "/api/events/http/"+topic)
		} else {
			d.Log.Info("Receiving events", "topic", topic, "path", "/api/events/http/"+topic)
		}
	}
	return nil
}
