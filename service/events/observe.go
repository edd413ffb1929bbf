package events

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/internal/instrument"
	"github.com/portico-dev/portico/service/telemetry"
)

// observer records metrics and spans of events. Names are those of the semantic conventions of OpenTelemetry for messaging.
type observer struct {
	telemetry.Providers
	tracer    trace.Tracer
	sent      metric.Int64Counter
	processed metric.Float64Histogram
}

const instrumentationScope = "github.com/portico-dev/portico/service/events"

var system = attribute.String("messaging.system", "backstage")

// newObserver returns nil if nobody wants to know.
func newObserver(providers telemetry.Providers, log *slog.Logger) *observer {
	if !providers.On() {
		return nil
	}
	o := &observer{Providers: providers, tracer: providers.Tracers.Tracer(instrumentationScope)}
	meter := providers.Meters.Meter(instrumentationScope)
	var err, also error
	o.sent, err = meter.Int64Counter("messaging.client.sent.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Number of events that were published."))
	o.processed, also = meter.Float64Histogram("messaging.process.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of processing an event."), instrument.Seconds())
	if err := errors.Join(err, also); err != nil {
		log.Error("Metrics of events are not all there", "error", err)
	}
	return o
}

// publish is called before an event is published, and what it returns after it. The event takes the context of the span along.
func (o *observer) publish(ctx context.Context, event service.Event) (context.Context, service.Event, func(error)) {
	topic := attribute.String("messaging.destination.name", event.Topic)
	operation := attribute.String("messaging.operation.name", "send")
	ctx, span := o.tracer.Start(ctx, "send "+event.Topic, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(system, operation, topic))
	if span.SpanContext().IsValid() {
		carrier := propagation.MapCarrier{}
		o.Propagator.Inject(ctx, carrier)
		event.Metadata = maps.Clone(event.Metadata)
		if event.Metadata == nil {
			event.Metadata = map[string][]string{}
		}
		for name, value := range carrier {
			event.Metadata[name] = []string{value}
		}
	}
	return ctx, event, func(err error) {
		o.sent.Add(ctx, 1, metric.WithAttributes(outcome(err, system, operation, topic)...))
		instrument.End(span, err)
	}
}

// process is called before a subscriber is told, and what it returns after it.
func (o *observer) process(ctx context.Context, subscription string, event service.Event) (context.Context, func(error)) {
	topic := attribute.String("messaging.destination.name", event.Topic)
	operation := attribute.String("messaging.operation.name", "process")
	group := attribute.String("messaging.consumer.group.name", subscription)
	if !trace.SpanContextFromContext(ctx).IsValid() { // the event was published elsewhere
		ctx = o.Propagator.Extract(ctx, metadataCarrier(event.Metadata))
	}
	began := time.Now()
	ctx, span := o.tracer.Start(ctx, "process "+event.Topic, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(system, operation, topic, group))
	return ctx, func(err error) {
		o.processed.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(outcome(err, system, operation, topic, group)...))
		instrument.End(span, err)
	}
}

func outcome(err error, attributes ...attribute.KeyValue) []attribute.KeyValue {
	if err != nil {
		attributes = append(attributes, instrument.ErrorType(err))
	}
	return attributes
}

// metadataCarrier reads what events have taken along.
type metadataCarrier map[string][]string

// Get implements propagation.TextMapCarrier.
func (c metadataCarrier) Get(key string) string {
	if values := c[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set implements propagation.TextMapCarrier. Nothing is ever put in.
func (c metadataCarrier) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (c metadataCarrier) Keys() []string { return slices.Collect(maps.Keys(c)) }
