package instrument

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/service/telemetry"
)

// Client records the requests that go through the transport, if anybody wants to know of them. Contexts of spans travel with them.
func Client(transport http.RoundTripper, providers telemetry.Providers) http.RoundTripper {
	if !providers.On() {
		return transport
	}
	return otelhttp.NewTransport(withoutQuery{transport}, otelhttp.WithMeterProvider(providers.Meters),
		otelhttp.WithTracerProvider(providers.Tracers), otelhttp.WithPropagators(providers.Propagator),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method }))
}

// withoutQuery takes the query out of the URL in the span, where tokens may be.
type withoutQuery struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w withoutQuery) RoundTrip(req *http.Request) (*http.Response, error) {
	if span := trace.SpanFromContext(req.Context()); req.URL != nil && req.URL.RawQuery != "" && span.IsRecording() {
		shown := *req.URL
		shown.User, shown.RawQuery = nil, ""
		span.SetAttributes(attribute.String("url.full", shown.String()))
	}
	return w.RoundTripper.RoundTrip(req)
}
