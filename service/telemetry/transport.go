package telemetry

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Transport records the requests that go through a transport, if anybody wants to know of them: with their URLs, but for queries, where tokens may
// be. Contexts of spans travel with them.
func (p Providers) Transport(transport http.RoundTripper) http.RoundTripper {
	if !p.On() {
		return transport
	}
	return recording{otelhttp.NewTransport(withoutQuery{transport}, otelhttp.WithMeterProvider(p.Meters),
		otelhttp.WithTracerProvider(p.Tracers), otelhttp.WithPropagators(p.Propagator),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method })), transport}
}

// recording is a transport whose connections can still be closed.
type recording struct {
	http.RoundTripper
	recorded http.RoundTripper
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (r recording) CloseIdleConnections() {
	if c, ok := r.recorded.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// withoutQuery takes the query out of the URL in the span.
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
