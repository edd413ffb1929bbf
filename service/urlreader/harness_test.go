package urlreader_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/urlreader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// object is an object of the configuration.
type object = map[string]any

// setup is what a reader is made with.
type setup struct {
	config   object
	clock    clockwork.Clock
	resolver *net.Resolver
	sources  []urlreader.Source
}

func newReader(t testing.TB, s setup) *urlreader.Reader {
	t.Helper()
	r, err := tryReader(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryReader(t testing.TB, s setup) (*urlreader.Reader, error) {
	t.Helper()
	if s.clock == nil {
		s.clock = clockwork.NewRealClock()
	}
	cfg := config.Static(s.config)
	lifecycle := fxtest.NewLifecycle(quiet{t})
	integrations, err := integration.New(cfg, service.RootLogger{Logger: slog.New(slog.DiscardHandler)}, s.clock, lifecycle)
	if err != nil {
		return nil, err
	}
	r, err := urlreader.NewWithResolver(urlreader.Parameters{
		Config: cfg, Integrations: integrations, Clock: s.clock, Lifecycle: lifecycle, Sources: s.sources,
	}, s.resolver)
	lifecycle.RequireStart()
	t.Cleanup(func() { lifecycle.RequireStop() })
	return r, err
}

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}

// api is a server that answers requests by their method, path and query, and keeps what it was asked.
type api struct {
	*httptest.Server
	mu       sync.Mutex
	answers  map[string]http.HandlerFunc
	requests []*http.Request
}

// newAPI starts a server. The keys of answers are like "/path?query".
func newAPI(t testing.TB, answers map[string]http.HandlerFunc) *api {
	t.Helper()
	a := &api{answers: answers}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.requests = append(a.requests, r)
	answer := a.answers[r.URL.RequestURI()]
	a.mu.Unlock()
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

// handle changes an answer.
func (a *api) handle(uri string, answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[uri] = answer
}

// asked are the URIs of the requests so far.
func (a *api) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var uris []string
	for _, r := range a.requests {
		uris = append(uris, r.URL.RequestURI())
	}
	return uris
}

// last is the latest request.
func (a *api) last() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[len(a.requests)-1]
}

// host is the host of the server with its port.
func (a *api) host() string { return strings.TrimPrefix(a.URL, "http://") }

// text answers with text and an ETag, and knows the ETag when it is asked.
func text(content string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"tag"`)
		if r.Header.Get("If-None-Match") == `"tag"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		http.ServeContent(w, r, "", changed, strings.NewReader(content))
	}
}

var changed = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func bytesOf(content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(content) }
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// item is an entry of an archive.
type item struct {
	name, content, link string
	mode                int64
	typ                 byte
}

func tarball(t testing.TB, items ...item) []byte {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	files := tar.NewWriter(zipped)
	for _, it := range items {
		h := &tar.Header{Name: it.name, Size: int64(len(it.content)), Mode: 0o644, ModTime: changed, Typeflag: tar.TypeReg}
		if it.mode != 0 {
			h.Mode = it.mode
		}
		if it.typ != 0 {
			h.Typeflag = it.typ
		}
		if it.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, it.link
		}
		if strings.HasSuffix(it.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := files.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(it.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func zipfile(t testing.TB, items ...item) []byte {
	t.Helper()
	var packed bytes.Buffer
	files := zip.NewWriter(&packed)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate, Modified: changed}
		content := it.content
		if it.link != "" {
			h.SetMode(0o777 | 1<<27) // fs.ModeSymlink
			content = it.link
		}
		w, err := files.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}
