package httprouter

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/internal/instrument"
	"github.com/portico-dev/portico/service/telemetry"
)

const instrumentationScope = "github.com/portico-dev/portico/service/httprouter"

// observer records metrics and spans of requests. Names are those of the semantic conventions of OpenTelemetry for HTTP servers.
type observer struct {
	duration   metric.Float64Histogram
	active     metric.Int64UpDownCounter
	tracer     trace.Tracer // nil without tracing
	propagator propagation.TextMapPropagator
	endUser    bool
}

// newObserver returns nil if nobody wants to know.
func newObserver(providers telemetry.Providers, endUser bool) (*observer, error) {
	if !providers.On() {
		return nil, nil
	}
	o := &observer{propagator: providers.Propagator, endUser: endUser}
	if providers.Tracing() {
		o.tracer = providers.Tracers.Tracer(instrumentationScope)
	}
	meter := providers.Meters.Meter(instrumentationScope)
	var err, also error
	o.duration, err = meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests."), instrument.Seconds())
	o.active, also = meter.Int64UpDownCounter("http.server.active_requests", metric.WithUnit("{request}"),
		metric.WithDescription("Number of active HTTP server requests."))
	return o, errors.Join(err, also)
}

// observed is what becomes known of a request while it is being served.
type observed struct {
	method attribute.KeyValue
	scheme attribute.KeyValue
	began  time.Time
	span   trace.Span // nil without tracing
	route  string     // as it was registered, empty until one was found
	status int        // of the answer by Echo
}

type observedKey struct{}

// observedIn is what is being observed of a request, or nil.
func observedIn(ctx context.Context) *observed {
	o, _ := ctx.Value(observedKey{}).(*observed)
	return o
}

func (o *observer) begin(s *Server, r *http.Request) (*http.Request, *observed) {
	seen := &observed{method: attribute.String("http.request.method", knownMethod(r.Method)), scheme: attribute.String("url.scheme", "http"),
		began: time.Now()}
	if r.TLS != nil {
		seen.scheme = attribute.String("url.scheme", "https")
	}
	ctx := r.Context()
	if o.tracer != nil {
		ctx = o.propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
		info := s.RequestInfo(r)
		ctx, seen.span = o.tracer.Start(ctx, seen.method.Value.AsString(), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			seen.method, seen.scheme, attribute.String("url.path", r.URL.Path), attribute.String("server.address", info.Hostname),
			attribute.String("client.address", info.ClientIP), attribute.String("user_agent.original", info.UserAgent),
			attribute.String("network.protocol.version", strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)),
		))
	}
	o.active.Add(ctx, 1, metric.WithAttributes(seen.method, seen.scheme))
	return r.WithContext(context.WithValue(ctx, observedKey{}, seen)), seen
}

// end is called with the status of the answer, or with zero if there was none.
func (o *observer) end(ctx context.Context, seen *observed, status int) {
	attributes := make([]attribute.KeyValue, 0, 5)
	attributes = append(attributes, seen.method, seen.scheme)
	if status != 0 {
		attributes = append(attributes, attribute.Int("http.response.status_code", status))
	}
	if seen.route != "" {
		attributes = append(attributes, attribute.String("http.route", seen.route))
	}
	switch {
	case status == 0:
		attributes = append(attributes, attribute.String("error.type", "aborted"))
	case status >= http.StatusInternalServerError:
		attributes = append(attributes, attribute.String("error.type", strconv.Itoa(status)))
	}
	o.active.Add(ctx, -1, metric.WithAttributes(seen.method, seen.scheme))
	o.duration.Record(ctx, time.Since(seen.began).Seconds(), metric.WithAttributes(attributes...))
	if seen.span == nil {
		return
	}
	if seen.route != "" {
		seen.span.SetName(seen.method.Value.AsString() + " " + seen.route)
	}
	seen.span.SetAttributes(attributes[2:]...)
	if status == 0 || status >= http.StatusInternalServerError {
		seen.span.SetStatus(codes.Error, "")
	}
	seen.span.End()
}

// knownMethod keeps clients from making up series of metrics.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
		http.MethodConnect, http.MethodTrace, "QUERY":
		return method
	}
	return "_OTHER"
}

// handler serves requests of this process that are observed.
func (o *observer) handler(s *Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, seen := o.begin(s, r)
		defer func() { o.end(r.Context(), seen, seen.status) }()
		s.echo.ServeHTTP(w, r)
	})
}

// noteRoute is middleware of the Echos that notes which route serves a request, and with which status.
func noteRoute(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		seen := observedIn(c.Request().Context())
		if seen == nil {
			return next(c)
		}
		path := c.Path()
		if path != fallbackPath {
			seen.route = path
		}
		err := next(c)
		if unmatched(err) && path == c.Request().URL.Path {
			seen.route = "" // where no route matches, Echo gives the path of the request
		}
		if err != nil {
			c.Error(err) // so that the status is known
		}
		seen.status = c.Response().Status
		return nil
	}
}

// noteRoute notes the route of a request that Echo doesn't know.
func (o *observer) noteRoute(r *http.Request, route string) {
	if seen := observedIn(r.Context()); seen != nil {
		seen.route = route
	}
}

// notePlugin notes which plugin serves a request.
func (o *observer) notePlugin(r *http.Request, id string) {
	if seen := observedIn(r.Context()); seen != nil && seen.span != nil {
		seen.span.SetAttributes(instrument.Plugin(id))
	}
}

// noteCaller notes who makes a request.
func (o *observer) noteCaller(r *http.Request, who service.Credentials) {
	seen := observedIn(r.Context())
	if seen == nil || seen.span == nil || !seen.span.IsRecording() {
		return
	}
	seen.span.SetAttributes(attribute.String("backstage.principal.type", string(who.Kind)))
	if o.endUser && who.Subject != "" {
		seen.span.SetAttributes(attribute.String("enduser.id", who.Subject))
	}
}
