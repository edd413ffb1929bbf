package telemetry

import (
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/fx"
)

// Providers are what a service asks for that records metrics and spans. The zero value is for one that doesn't.
type Providers struct {
	fx.In

	Meters     metric.MeterProvider          `optional:"true"`
	Tracers    trace.TracerProvider          `optional:"true"`
	Propagator propagation.TextMapPropagator `optional:"true"`
}

// Metrics tells whether metrics go anywhere.
func (p Providers) Metrics() bool {
	_, off := p.Meters.(metricnoop.MeterProvider)
	return p.Meters != nil && !off
}

// Tracing tells whether spans go anywhere.
func (p Providers) Tracing() bool {
	_, off := p.Tracers.(tracenoop.TracerProvider)
	return p.Tracers != nil && !off
}

// On tells whether there is anything to record. If so, all providers are there.
func (p Providers) On() bool { return p.Metrics() || p.Tracing() }
