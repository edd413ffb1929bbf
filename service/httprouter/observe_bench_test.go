package httprouter_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/fx"
)

// BenchmarkObserved compares requests of a server that is observed with those of one that has nothing to do with telemetry at all. With
// telemetry off there are no more allocations.
func BenchmarkObserved(b *testing.B) {
	for name, observe := range map[string]func() (metric.MeterProvider, trace.TracerProvider){
		"off": func() (metric.MeterProvider, trace.TracerProvider) {
			return metricnoop.NewMeterProvider(), tracenoop.NewTracerProvider()
		},
		"metrics": func() (metric.MeterProvider, trace.TracerProvider) {
			return sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())), tracenoop.NewTracerProvider()
		},
		"metrics and traces": func() (metric.MeterProvider, trace.TracerProvider) {
			return sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())), sdktrace.NewTracerProvider()
		},
	} {
		b.Run(name, func(b *testing.B) {
			plain := serving(newBackend(b, nil))
			observed := serving(newBackend(b, nil, fx.Provide(observe, func() propagation.TextMapPropagator { return propagation.TraceContext{} })))
			extra := testing.AllocsPerRun(1000, observed) - testing.AllocsPerRun(1000, plain)
			compare(b, observed, plain)
			b.ReportMetric(extra, "extra-allocs/req")
			if name == "off" && extra != 0 {
				b.Errorf("telemetry that is off costs %v allocations for each request", extra)
			}
		})
	}
}

// serving is a request that is served again and again.
func serving(t *backend) func() {
	group, _ := t.plugin("todo")
	group.GET("/items/:id", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	r := t.request(http.MethodGet, "/api/todo/items/42", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	return func() { t.server.ServeHTTP(sink{http.Header{}}, r) }
}
