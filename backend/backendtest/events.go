package backendtest

import (
	"testing"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/events"
	"github.com/portico-dev/portico/service/telemetry"
)

// newBus makes the bus of tests: events stay in the process, and all subscribers, also durable ones, have been told when Publish returns.
func (b *Backend) newBus(log service.RootLogger, lifecycle fx.Lifecycle, providers telemetry.Providers) *events.Bus {
	bus := events.New(events.Options{Log: log.Logger, Telemetry: providers})
	lifecycle.Append(fx.Hook{OnStop: bus.Stop})
	b.events = bus.ForPlugin("backendtest", log.Logger)
	return bus
}

// Publish publishes an event with the payload as JSON, as a plugin would. The subscribers have returned when it does; their errors are
// logged.
func (b *Backend) Publish(t testing.TB, topic string, payload any) {
	t.Helper()
	event, err := service.NewEvent(topic, payload)
	if err == nil {
		err = b.events.Publish(t.Context(), event)
	}
	if err != nil {
		t.Fatal(err)
	}
}
