package otlp

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// outage logs when a receiver begins to fail, and when it is back. The SDK itself would report each failure to a handler that all
// backends of the process share.
type outage struct {
	log  *slog.Logger
	what string
	down atomic.Bool
}

func (o *outage) report(ctx context.Context, err error) {
	switch was := o.down.Swap(err != nil); {
	case err != nil && !was:
		o.log.WarnContext(ctx, "OpenTelemetry "+o.what+" can't be sent, and are lost", "error", err)
	case err == nil && was:
		o.log.InfoContext(ctx, "OpenTelemetry "+o.what+" are sent again")
	}
}

// spanExporter gives up after a time: by HTTP the SDK would try again for a minute, and keep the backend from stopping.
type spanExporter struct {
	sdktrace.SpanExporter
	timeout time.Duration
	outage  outage
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	e.outage.report(ctx, e.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

type metricExporter struct {
	sdkmetric.Exporter
	timeout time.Duration
	outage  outage
}

// Export implements sdkmetric.Exporter.
func (e *metricExporter) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	e.outage.report(ctx, e.Exporter.Export(ctx, metrics))
	return nil
}
