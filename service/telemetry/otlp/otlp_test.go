package otlp_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/metric"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service/telemetry/otlp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is what an OpenTelemetry collector is to a backend, by HTTP and by gRPC.
type receiver struct {
	coltrace.UnimplementedTraceServiceServer
	mu      sync.Mutex
	got     []string // names of spans and metrics, each behind the name of its service
	headers []http.Header
}

func (r *receiver) traces(export *coltrace.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				for _, a := range resource.GetResource().GetAttributes() {
					if a.GetKey() == "service.name" {
						r.got = append(r.got, a.GetValue().GetStringValue()+" "+span.GetName())
					}
				}
			}
		}
	}
}

func (r *receiver) metrics(export *colmetrics.ExportMetricsServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range export.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				r.got = append(r.got, scope.GetScope().GetName()+" "+m.GetName())
			}
		}
	}
}

// Export implements the service of gRPC.
func (r *receiver) Export(_ context.Context, export *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	r.traces(export)
	return &coltrace.ExportTraceServiceResponse{}, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	content, err := io.ReadAll(body)
	if err == nil {
		switch req.Method + " " + req.URL.Path + " " + req.Header.Get("Content-Type") {
		case "POST /v1/traces application/x-protobuf":
			var export coltrace.ExportTraceServiceRequest
			err = proto.Unmarshal(content, &export)
			r.traces(&export)
		case "POST /v1/metrics application/x-protobuf":
			var export colmetrics.ExportMetricsServiceRequest
			err = proto.Unmarshal(content, &export)
			r.metrics(&export)
		default:
			http.NotFound(w, req)
			return
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = append(r.headers, req.Header)
}

// run runs a backend with a plugin that gets one request.
func run(t *testing.T, features ...backend.Feature) (log string) {
	t.Helper()
	t.Run("backend", func(t *testing.T) {
		var b *backendtest.Backend
		t.Cleanup(func() { log = b.Log.String() }) // after the stop
		b = backendtest.Start(t, append(features, otlp.Exporters(), plugin.New("shop", plugin.Init(func(router *echo.Group, meter metric.Meter) error {
			sold, err := meter.Int64Counter("shop.sold")
			router.GET("/pens", func(c echo.Context) error {
				sold.Add(c.Request().Context(), 1)
				return c.NoContent(http.StatusNoContent)
			})
			return err
		})))...)
		b.As(t, "user:default/guest").Get("/api/shop/pens")
	})
	return log
}

func settings(tracing, metrics any) backend.Feature {
	section := map[string]any{}
	if tracing != nil {
		section["tracing"] = map[string]any{"otlp": tracing}
	}
	if metrics != nil {
		section["metrics"] = map[string]any{"otlp": metrics}
	}
	return backendtest.Config(map[string]any{"backend": section})
}

func TestTracesAndMetricsAreSentBeforeTheEnd(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	server := httptest.NewServer(r)
	defer server.Close()
	to := map[string]any{"endpoint": server.URL, "headers": map[string]any{"X-Token": "s3cret"}}
	log := run(t, settings(to, to))
	for _, want := range []string{"backstage GET /api/shop/pens", "backstage-plugin-shop shop.sold",
		"github.com/portico-dev/portico/service/httprouter http.server.request.duration"} {
		if !slices.Contains(r.got, want) {
			t.Errorf("%q has not arrived, but: %s", want, strings.Join(r.got, ", "))
		}
	}
	for _, h := range r.headers {
		if h.Get("X-Token") != "s3cret" {
			t.Errorf("a request came without its header: %v", h)
		}
	}
	if strings.Contains(log, "s3cret") || strings.Contains(log, `"level":"warn"`) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, server := &receiver{}, grpc.NewServer()
	coltrace.RegisterTraceServiceServer(server, r)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	run(t, settings(map[string]any{"endpoint": "http://" + listener.Addr().String(), "protocol": "grpc"}, nil))
	server.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if len(r.got) != 1 || r.got[0] != "backstage GET /api/shop/pens" {
		t.Errorf("got %v", r.got)
	}
}

func TestAReceiverThatIsDown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	to := map[string]any{"endpoint": server.URL}
	log := run(t, settings(to, to))
	for _, what := range []string{"traces", "metrics"} {
		if strings.Count(log, "OpenTelemetry "+what+" can't be sent") != 1 {
			t.Errorf("that %s can't be sent is not in the log once:\n%s", what, log)
		}
	}
}

// TestSecureConnections sends to a receiver whose certificate the environment names, and which knows the backend by one.
func TestSecureConnections(t *testing.T) {
	r := &receiver{}
	server := httptest.NewUnstartedServer(r)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	save := func(name, kind string, content []byte) string {
		file := filepath.Join(directory, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	certificate := save("certificate.pem", "CERTIFICATE", pair.Certificate[0])
	to := map[string]any{"endpoint": server.URL}

	if log := run(t, settings(to, nil)); len(r.got) > 0 || !strings.Contains(log, "can't be sent") {
		t.Errorf("a receiver that nobody vouches for got %v", r.got)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", certificate)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate)
	t.Setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", save("key.pem", "PRIVATE KEY", key))
	if log := run(t, settings(to, nil)); !slices.Equal(r.got, []string{"backstage GET /api/shop/pens"}) {
		t.Errorf("got %v; the log:\n%s", r.got, log)
	}

	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": filepath.Join(directory, "missing.pem"),
		"OTEL_EXPORTER_OTLP_CLIENT_KEY":         certificate,
		"OTEL_EXPORTER_OTLP_TIMEOUT":            "soon",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			_, err := backendtest.TryStart(t, otlp.Exporters(), settings(to, nil))
			if err == nil || !strings.Contains(err.Error(), variable) {
				t.Errorf("the error doesn't name the variable: %v", err)
			}
		})
	}
}

// TestTimeout has a receiver that takes no less than for ever.
func TestTimeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client goes away
		<-r.Context().Done()
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	if log := run(t, settings(map[string]any{"endpoint": server.URL}, nil)); !strings.Contains(log, "deadline exceeded") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestTheEnvironment(t *testing.T) {
	r := &receiver{}
	server := httptest.NewServer(r)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	t.Setenv("OTEL_SERVICE_NAME", "portal")
	run(t)
	if !slices.Equal(r.got, []string{"portal GET /api/shop/pens"}) {
		t.Errorf("got %v", r.got)
	}
	r.got = nil
	t.Setenv("OTEL_SDK_DISABLED", "true")
	run(t)
	if len(r.got) != 0 {
		t.Errorf("although it is disabled: %v", r.got)
	}
	t.Setenv("OTEL_SDK_DISABLED", "false")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
	if _, err := backendtest.TryStart(t, otlp.Exporters()); err == nil || !strings.Contains(err.Error(), "http/json") {
		t.Errorf("a protocol that there is not: %v", err)
	}
}
