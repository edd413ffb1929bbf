package urlreader_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/urlreader"
)

// inBackend is the service.URLReader that a plugin of a backend with the features gets.
func inBackend(t *testing.T, features ...backend.Feature) (service.URLReader, *backendtest.Backend) {
	t.Helper()
	var reader service.URLReader
	b := backendtest.Start(t, append(features, plugin.New("todo", plugin.Init(func(r service.URLReader) { reader = r })))...)
	return reader, b
}

func content(t *testing.T, reader service.URLReader, url string) string {
	t.Helper()
	file, err := reader.ReadURL(t.Context(), url, service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	content, err := file.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestInBackend(t *testing.T) {
	server := newAPI(t, map[string]http.HandlerFunc{"/all.yaml": text("kind: Location")})
	reader, _ := inBackend(t, backendtest.Config(reading(object{"host": server.host()})))
	if got := content(t, reader, server.URL+"/all.yaml"); got != "kind: Location" {
		t.Errorf("the content is %q", got)
	}
	if _, err := reader.ReadURL(t.Context(), "http://127.0.0.1:1/all.yaml", service.URLReadOptions{}); !errors.Is(err, service.NotAllowedError) ||
		!strings.HasPrefix(err.Error(), "Reading from 'http://127.0.0.1:1/all.yaml' is not allowed") {
		t.Errorf("another port: %v", err)
	}
}

// TestSecretsOfTheConfiguration logs secrets, also of integrations that other modules read: the log has none of them.
func TestSecretsOfTheConfiguration(t *testing.T) {
	secrets := []string{"of-github", "of-s3", "of-harness", "of-azure"}
	b := backendtest.Start(t,
		backendtest.Config(object{"integrations": object{
			"github":           []any{object{"host": "github.com", "token": "of-github"}},
			"awsS3":            []any{object{"accessKeyId": "me", "secretAccessKey": "of-s3"}},
			"harness":          []any{object{"host": "h.test", "token": "of-harness"}},
			"azureBlobStorage": []any{object{"accountName": "me", "accountKey": "of-azure"}},
		}}),
		plugin.New("todo", plugin.Init(func(_ *integration.Integrations, log *slog.Logger) {
			for _, secret := range secrets {
				log.Info("the token is " + secret)
			}
		})),
	)
	for _, secret := range secrets {
		if strings.Contains(b.Log.String(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
	if !strings.Contains(b.Log.String(), "the token is") {
		t.Error("the log has nothing of it")
	}
}

// keeper is an exporter that keeps spans beyond its shutdown.
type keeper struct{ spans tracetest.SpanStubs }

func (k *keeper) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	k.spans = append(k.spans, tracetest.SpanStubsFromReadOnlySpans(spans)...)
	return nil
}

func (k *keeper) Shutdown(context.Context) error { return nil }

// TestRequestsAreRecorded looks at the spans of requests, which tell no tokens of URLs.
func TestRequestsAreRecorded(t *testing.T) {
	var sent http.Header
	server := newAPI(t, map[string]http.HandlerFunc{
		"/all.yaml?token=s3cret": func(_ http.ResponseWriter, r *http.Request) { sent = r.Header },
	})
	recorded := &keeper{}
	t.Run("backend", func(t *testing.T) {
		reader, _ := inBackend(t, backendtest.Config(reading(object{"host": server.host()})),
			service.RootGroup[sdktrace.SpanExporter](func() sdktrace.SpanExporter { return recorded }))
		content(t, reader, server.URL+"/all.yaml?token=s3cret")
	})
	if len(recorded.spans) != 1 {
		t.Fatalf("there are %d spans, want one", len(recorded.spans))
	}
	span := recorded.spans[0]
	attributes := attribute.NewSet(span.Attributes...)
	if full, _ := attributes.Value("url.full"); span.Name != "GET" || full.AsString() != server.URL+"/all.yaml" {
		t.Errorf("the span is %s of %s", span.Name, full.AsString())
	}
	if !strings.Contains(sent.Get("Traceparent"), span.SpanContext.TraceID().String()) {
		t.Errorf("the request had the trace context %q", sent.Get("Traceparent"))
	}
}

// fixed is a source for URLs of a host of its own.
type fixed struct{ service.URLReader }

func (fixed) Reads(u *url.URL) bool { return u.Host == "fixed.test" }

func (fixed) ReadURL(context.Context, string, service.URLReadOptions) (*service.URLFile, error) {
	return &service.URLFile{Body: io.NopCloser(strings.NewReader("fixed"))}, nil
}

func TestFurtherSource(t *testing.T) {
	reader, _ := inBackend(t, service.RootGroup[urlreader.Source](func() fixed { return fixed{} }))
	if got := content(t, reader, "https://fixed.test/a"); got != "fixed" {
		t.Errorf("the content is %q", got)
	}
}

func TestReaderOfTests(t *testing.T) {
	reader, _ := inBackend(t, backendtest.URLReader(map[string]string{
		"https://example.com/a/catalog-info.yaml":   "a",
		"https://example.com/a/b/catalog-info.yaml": "b",
	}))
	if got := content(t, reader, "https://example.com/a/catalog-info.yaml"); got != "a" {
		t.Errorf("the content is %q", got)
	}
	if _, err := reader.ReadURL(t.Context(), "https://example.com/x", service.URLReadOptions{}); !errors.Is(err, service.NotFoundError) {
		t.Error(err)
	}
	found, err := reader.Search(t.Context(), "https://example.com/**/catalog-info.yaml", service.URLReadOptions{})
	if err != nil || len(found.Files) != 2 {
		t.Errorf("found %+v, %v", found, err)
	}
	tree, err := reader.ReadTree(t.Context(), "https://example.com/a", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for file, err := range tree.Files() {
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, file.Path)
	}
	if got := strings.Join(paths, " "); got != "b/catalog-info.yaml catalog-info.yaml" {
		t.Errorf("the files are %s", got)
	}
	if _, err := reader.ReadTree(t.Context(), "https://example.com/a", service.URLReadOptions{ETag: tree.ETag()}); !errors.Is(err, service.NotModifiedError) {
		t.Error(err)
	}
}
