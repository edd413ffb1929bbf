package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/uptrace/bun"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop sells pens, which it gets from stock.
func shop() []backend.Feature {
	return []backend.Feature{
		plugin.New("shop", plugin.Init(func(router *echo.Group, client *http.Client, discovery service.Discovery, meter metric.Meter, tracer trace.Tracer) error {
			sold, err := meter.Int64Counter("shop.sold")
			router.POST("/items/:item", func(c echo.Context) error {
				ctx, span := tracer.Start(c.Request().Context(), "sell")
				defer span.End()
				sold.Add(ctx, 1, metric.WithAttributes(attribute.String("item", c.Param("item"))))
				url, err := discovery.BaseURL(ctx, "stock")
				if err != nil {
					return err
				}
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/"+c.Param("item"), nil)
				if err != nil {
					return err
				}
				res, err := client.Do(r)
				if err != nil {
					return err
				}
				defer res.Body.Close()
				if _, err := io.Copy(io.Discard, res.Body); err != nil {
					return err
				}
				return c.NoContent(res.StatusCode)
			})
			return err
		})),
		plugin.New("stock", plugin.Init(func(router *echo.Group) {
			router.GET("/:item", func(c echo.Context) error {
				if c.Param("item") == "ink" {
					return io.ErrUnexpectedEOF
				}
				return c.String(http.StatusOK, "12")
			})
		})),
	}
}

// spans starts a backend whose spans are returned when it has stopped.
func spans(t *testing.T, requests func(*backendtest.Backend), features ...backend.Feature) tracetest.SpanStubs {
	t.Helper()
	recorded := &keeper{}
	t.Run("backend", func(t *testing.T) {
		exporter := service.RootGroup[sdktrace.SpanExporter](func() sdktrace.SpanExporter { return recorded })
		requests(backendtest.Start(t, append(features, exporter)...))
	})
	return recorded.stubs
}

// keeper is an exporter that keeps spans beyond its shutdown.
type keeper struct {
	stubs tracetest.SpanStubs
}

func (k *keeper) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	k.stubs = append(k.stubs, tracetest.SpanStubsFromReadOnlySpans(spans)...)
	return nil
}

func (k *keeper) Shutdown(context.Context) error { return nil }

func named(t *testing.T, spans tracetest.SpanStubs, name string) tracetest.SpanStub {
	t.Helper()
	var names []string
	for _, s := range spans {
		if s.Name == name {
			return s
		}
		names = append(names, s.Name)
	}
	t.Fatalf("there is no span %q, but: %s", name, strings.Join(names, ", "))
	return tracetest.SpanStub{}
}

func value(s tracetest.SpanStub, key string) any {
	i := slices.IndexFunc(s.Attributes, func(a attribute.KeyValue) bool { return string(a.Key) == key })
	if i < 0 {
		return nil
	}
	return s.Attributes[i].Value.AsInterface()
}

func TestOneTraceFromTheClientThroughAllPlugins(t *testing.T) {
	t.Parallel()
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	all := spans(t, func(b *backendtest.Backend) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL()+"/api/shop/items/pen?token=s3cret", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Traceparent", "00-"+traceID+"-"+parent+"-01")
		r.Header.Set("Authorization", `Bearer mock-user-token:{"sub":"user:default/bob"}`)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}, shop()...)
	chain := []tracetest.SpanStub{
		named(t, all, "POST /api/shop/items/:item"), named(t, all, "sell"), named(t, all, "GET"), named(t, all, "GET /api/stock/:item"),
	}
	before := parent
	for _, s := range chain {
		if s.SpanContext.TraceID().String() != traceID || s.Parent.SpanID().String() != before {
			t.Errorf("%s is of trace %s below %s, want %s below %s", s.Name, s.SpanContext.TraceID(), s.Parent.SpanID(), traceID, before)
		}
		before = s.SpanContext.SpanID().String()
	}
	for i, want := range []trace.SpanKind{trace.SpanKindServer, trace.SpanKindInternal, trace.SpanKindClient, trace.SpanKindServer} {
		if chain[i].SpanKind != want {
			t.Errorf("%s is of kind %s, want %s", chain[i].Name, chain[i].SpanKind, want)
		}
	}
	if scope := chain[1].InstrumentationScope.Name; scope != "backstage-plugin-shop" {
		t.Errorf("the tracer of the plugin is %s", scope)
	}
	for key, want := range map[string]any{
		"http.request.method": "POST", "http.route": "/api/shop/items/:item", "http.response.status_code": int64(200), "url.path": "/api/shop/items/pen",
		"url.scheme": "http", "backstage.plugin.id": "shop", "backstage.principal.type": "user", "enduser.id": nil,
	} {
		if got := value(chain[0], key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	for _, s := range all {
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), "s3cret") || strings.Contains(a.Value.String(), "mock-") {
				t.Errorf("%s tells a secret: %s=%s", s.Name, a.Key, a.Value.String())
			}
		}
	}
}

func TestSpansOfFailures(t *testing.T) {
	t.Parallel()
	all := spans(t, func(b *backendtest.Backend) {
		b.As(t, "user:default/guest").Post("/api/shop/items/ink", nil)
		b.As(t, "user:default/guest").Get("/api/shop/nothing/here")
		b.Anonymous(t).Get("/api/shop/items/pen")
		b.Anonymous(t).Get("/.backstage/health/v1/liveness")
	}, append(shop(), backendtest.Config(map[string]any{"backend": map[string]any{"tracing": map[string]any{
		"capture": map[string]any{"endUser": true}, "plugin": map[string]any{"shop": map[string]any{"tracer": map[string]any{"name": "our-shop"}}},
	}}}))...)
	failed := named(t, all, "GET /api/stock/:item")
	if failed.Status.Code != codes.Error || value(failed, "error.type") != "500" || value(failed, "http.response.status_code") != int64(500) {
		t.Errorf("%+v %v", failed.Status, failed.Attributes)
	}
	if who := value(failed, "enduser.id"); who != "plugin:shop" {
		t.Errorf("the caller is %v", who)
	}
	if scope := named(t, all, "sell").InstrumentationScope.Name; scope != "our-shop" {
		t.Errorf("the tracer is %s", scope)
	}
	var unmatched, refused int
	for _, s := range all {
		switch {
		case value(s, "url.path") == "/api/shop/nothing/here":
			unmatched++
			if s.Name != "GET" || value(s, "http.route") != nil || s.Status.Code == codes.Error {
				t.Errorf("where no route matches: %s %v %+v", s.Name, s.Attributes, s.Status)
			}
		case value(s, "http.response.status_code") == int64(401):
			refused++
		case strings.Contains(s.Name, "health"):
			t.Errorf("a probe has a span: %s", s.Name)
		}
	}
	if unmatched != 1 || refused != 1 {
		t.Errorf("%d spans of unmatched and %d of refused requests, want one of each", unmatched, refused)
	}
}

// scraped are the metrics of an answer.
func scraped(t *testing.T, res *http.Response) map[string]*dto.MetricFamily {
	t.Helper()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %s", res.Status)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func labelled(f *dto.MetricFamily, labels map[string]string) *dto.Metric {
	for _, m := range f.GetMetric() {
		left := len(labels)
		for _, l := range m.GetLabel() {
			if want, ok := labels[l.GetName()]; ok && want == l.GetValue() {
				left--
			}
		}
		if left == 0 {
			return m
		}
	}
	return nil
}

func prometheus(settings any) backend.Feature {
	return backendtest.Config(map[string]any{"backend": map[string]any{"metrics": map[string]any{"prometheus": settings}}})
}

func TestPrometheusOnThePortOfThePortal(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, append(shop(), prometheus(map[string]any{"token": "scr4pe"}))...)
	for range 3 {
		b.As(t, "user:default/guest").Post("/api/shop/items/pen", nil)
	}
	b.Anonymous(t).Do("BREW", "/api/shop/items/pen", nil)
	for _, token := range []string{"", "Bearer ", "Bearer scr4p", "Basic scr4pe"} {
		if res := get(t, b.URL()+"/metrics", token); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("with %q: %s", token, res.Status)
		}
	}
	families := scraped(t, get(t, b.URL()+"/metrics", "Bearer scr4pe"))
	for route, count := range map[string]uint64{"/api/shop/items/:item": 3, "/api/stock/:item": 3} {
		m := labelled(families["http_server_request_duration_seconds"], map[string]string{
			"http_route": route, "http_response_status_code": "200", "url_scheme": "http",
		})
		if m == nil || m.GetHistogram().GetSampleCount() != count {
			t.Errorf("%s: %v, want %d requests", route, m, count)
		}
	}
	if m := labelled(families["shop_sold_total"], map[string]string{"item": "pen", "otel_scope_name": "backstage-plugin-shop"}); m.GetCounter().GetValue() != 3 {
		t.Errorf("the counter of the plugin is %v", m)
	}
	if m := labelled(families["http_server_request_duration_seconds"], map[string]string{"http_request_method": "_OTHER"}); m == nil {
		t.Error("an unknown method is not recorded as one of them")
	}
	if m := labelled(families["target_info"], map[string]string{"service_name": "backstage"}); m == nil {
		t.Errorf("target_info: %v", families["target_info"])
	}
	for _, name := range []string{"go_goroutine_count", "process_cpu_seconds_total", "http_server_active_requests"} {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestPrometheusOnAPortOfItsOwn(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, append(shop(), prometheus(map[string]any{"listen": "127.0.0.1:0"}))...)
	var url string
	for _, e := range b.Log.Entries() {
		if e.Message == "Serving metrics for Prometheus" {
			url, _ = e.Fields["url"].(string)
		}
	}
	if families := scraped(t, get(t, url, "")); families["go_goroutine_count"] == nil {
		t.Error("there are no metrics")
	}
	if res := get(t, b.URL()+"/metrics", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("the portal's port answers %s", res.Status)
	}
	if _, err := backendtest.TryStart(t, prometheus(map[string]any{"listen": strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")})); err == nil ||
		!strings.Contains(err.Error(), "backend.metrics.prometheus.listen") {
		t.Errorf("a port in use: %v", err)
	}
}

func TestOffUnlessConfigured(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, plugin.New("shop", plugin.Init(func(meter metric.Meter, tracer trace.Tracer, db *bun.DB, client *http.Client) error {
		for _, part := range []any{db.DB.Driver(), client.Transport} {
			if name := fmt.Sprintf("%T", part); strings.Contains(name, "otel") {
				t.Errorf("%s stands between", name)
			}
		}
		c, err := meter.Int64Counter("shop.sold")
		if _, span := tracer.Start(t.Context(), "sell"); span.IsRecording() || c.Enabled(t.Context()) {
			t.Error("something is recorded")
		}
		return err
	})), prometheus(false))
	if res := get(t, b.URL()+"/metrics", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("/metrics: %s", res.Status)
	}
}

func get(t *testing.T, url, authorization string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}
