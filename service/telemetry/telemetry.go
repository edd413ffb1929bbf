package telemetry

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

//go:embed schema.json
var schema []byte

// Services are the providers of metrics and spans of a backend, and the meter and tracer of each plugin.
func Services() []service.Service {
	return []service.Service{
		service.Root[metric.MeterProvider](newMeterProvider, service.ConfigSchema(schema)),
		service.Root[trace.TracerProvider](newTracerProvider),
		service.Root[propagation.TextMapPropagator](func() propagation.TextMapPropagator { return propagation.TraceContext{} }),
		service.PerPlugin[metric.Meter](newMeter),
		service.PerPlugin[trace.Tracer](newTracer),
		service.Root[*prometheusExporter](newPrometheusExporter),
		service.Root[*prometheusEndpoint](newPrometheusEndpoint, service.Eager()),
	}
}

type meterDeps struct {
	fx.In

	Context    context.Context
	Lifecycle  fx.Lifecycle
	Prometheus *prometheusExporter
	Readers    []sdkmetric.Reader `optional:"true"`
}

func newMeterProvider(d meterDeps) (metric.MeterProvider, error) {
	if disabled() {
		return metricnoop.NewMeterProvider(), nil
	}
	var options []sdkmetric.Option
	if d.Prometheus.reader != nil {
		options = append(options, sdkmetric.WithReader(d.Prometheus.reader))
	}
	for _, r := range d.Readers {
		options = append(options, sdkmetric.WithReader(r))
	}
	if len(options) == 0 {
		return metricnoop.NewMeterProvider(), nil
	}
	origin, err := origin(d.Context)
	if err != nil {
		return nil, err
	}
	provider := sdkmetric.NewMeterProvider(append(options, sdkmetric.WithResource(origin))...)
	d.Lifecycle.Append(fx.Hook{OnStop: func(ctx context.Context) error {
		return failed("sending the last metrics", provider.Shutdown(ctx))
	}})
	if err := runtime.Start(runtime.WithMeterProvider(provider)); err != nil {
		return nil, fmt.Errorf("telemetry: metrics of the process: %w", err)
	}
	return provider, nil
}

type tracerDeps struct {
	fx.In

	Context   context.Context
	Lifecycle fx.Lifecycle
	Exporters []sdktrace.SpanExporter `optional:"true"`
}

func newTracerProvider(d tracerDeps) (trace.TracerProvider, error) {
	if disabled() {
		return tracenoop.NewTracerProvider(), nil
	}
	var options []sdktrace.TracerProviderOption
	for _, e := range d.Exporters {
		options = append(options, sdktrace.WithBatcher(e))
	}
	if len(options) == 0 {
		return tracenoop.NewTracerProvider(), nil
	}
	origin, err := origin(d.Context)
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(append(options, sdktrace.WithResource(origin))...)
	d.Lifecycle.Append(fx.Hook{OnStop: func(ctx context.Context) error {
		return failed("sending the last spans", provider.Shutdown(ctx))
	}})
	return provider, nil
}

func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("telemetry: %s: %w", what, err)
}

// disabled tells whether the environment turns OpenTelemetry off.
func disabled() bool {
	return strings.EqualFold(strings.TrimSpace(os.Getenv("OTEL_SDK_DISABLED")), "true")
}

// origin is where metrics and spans come from. What the environment says has precedence.
func origin(ctx context.Context) (*resource.Resource, error) {
	r, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "backstage")), resource.WithHost(),
		resource.WithProcessPID(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return r, nil
}

// scope is what backend.metrics.plugin.<id>.meter and backend.tracing.plugin.<id>.tracer say of the origin within the backend.
type scope struct {
	Name      string
	Version   string
	SchemaURL string `config:"schemaUrl"`
}

func scopeOf(cfg service.Config, meta plugin.Metadata, section, kind string) (scope, error) {
	s := scope{Name: "backstage-plugin-" + meta.ID}
	err := cfg.Decode("backend."+section+".plugin."+meta.ID+"."+kind, &s)
	return s, err
}

func newMeter(provider metric.MeterProvider, meta plugin.Metadata, cfg service.Config) (metric.Meter, error) {
	s, err := scopeOf(cfg, meta, "metrics", "meter")
	return provider.Meter(s.Name, metric.WithInstrumentationVersion(s.Version), metric.WithSchemaURL(s.SchemaURL)), err
}

func newTracer(provider trace.TracerProvider, meta plugin.Metadata, cfg service.Config) (trace.Tracer, error) {
	s, err := scopeOf(cfg, meta, "tracing", "tracer")
	return provider.Tracer(s.Name, trace.WithInstrumentationVersion(s.Version), trace.WithSchemaURL(s.SchemaURL),
		trace.WithInstrumentationAttributes(attribute.String("backstage.plugin.id", meta.ID))), err
}
