package httprouter_test

import (
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
)

// item is an answer of ordinary size, below that from which on answers are compressed.
var item = map[string]any{"id": "42", "title": "Write the benchmark", "done": false, "tags": []string{"go", "http"}}

func serveItem(c echo.Context) error { return c.JSON(http.StatusOK, item) }

// benchmarkBackend has CORS, a rate limit that is never reached, and a request log: everything that a request can come through.
func benchmarkBackend(b *testing.B) *backend {
	t := newBackend(b, map[string]any{
		"cors":      map[string]any{"origin": []string{"http://localhost:*"}, "credentials": true},
		"rateLimit": map[string]any{"incomingRequestLimit": 1 << 40, "ipAllowList": []string{}},
	}, fx.Decorate(func(service.RootLogger) service.RootLogger {
		return service.RootLogger{Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))}
	}))
	group, _ := t.plugin("todo")
	group.GET("/items/:id", serveItem)
	return t
}

func bareEcho() *echo.Echo {
	e := echo.New()
	e.GET("/api/todo/items/:id", serveItem)
	return e
}

// compare runs both side by side, so that whatever else the machine does meets both, and reports what the first one costs in terms of the
// second one.
func compare(b *testing.B, portico, floor func()) {
	var spent, least time.Duration
	for b.Loop() {
		begin := time.Now()
		portico()
		middle := time.Now()
		floor()
		least += time.Since(middle)
		spent += middle.Sub(begin)
	}
	n := float64(b.N)
	b.ReportMetric(float64(spent.Nanoseconds())/n, "portico-ns/req")
	b.ReportMetric(float64(least.Nanoseconds())/n, "echo-ns/req")
	b.ReportMetric(float64(spent)/float64(least), "portico/echo")
}

// BenchmarkLoopback makes requests over a connection of this machine that is kept alive.
func BenchmarkLoopback(b *testing.B) {
	t := benchmarkBackend(b).start()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	floor := &http.Server{Handler: bareEcho()}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = floor.Serve(listener)
	}()
	b.Cleanup(func() {
		_ = floor.Close()
		<-served
	})
	request := func(baseURL string) func() {
		req := t.request(http.MethodGet, "/", nil, "Origin: http://localhost:3000", "User-Agent: benchmark")
		target, err := req.URL.Parse(baseURL + "/api/todo/items/42")
		if err != nil {
			b.Fatal(err)
		}
		req.URL = target
		return func() {
			if got := t.do(req); got.StatusCode != http.StatusOK {
				b.Fatalf("status %d", got.StatusCode)
			}
		}
	}
	compare(b, request(t.server.BaseURL()), request("http://"+listener.Addr().String()))
}

// sink is the least that an http.ResponseWriter can be.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}

// SetWriteDeadline is what connections have.
func (s sink) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkHandler calls the handlers without any connection: what the middleware itself costs, compared with a bare Echo, and with one that
// does no more than set the same headers. A third of the cost of the middleware is the growth of the map that the headers go to, which
// belongs to net/http.
func BenchmarkHandler(b *testing.B) {
	t := benchmarkBackend(b)
	request := func() *http.Request {
		req := t.request(http.MethodGet, "/api/todo/items/42", nil, "Origin: http://localhost:3000", "User-Agent: benchmark", "Accept-Encoding: gzip")
		req.RemoteAddr = "192.0.2.1:1234"
		return req
	}
	answer := httptest.NewRecorder()
	t.server.ServeHTTP(answer, request())
	withHeaders := bareEcho()
	withHeaders.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			maps.Copy(c.Response().Header(), answer.Header())
			return next(c)
		}
	})
	for name, floor := range map[string]*echo.Echo{"bare echo": bareEcho(), "echo with headers": withHeaders} {
		b.Run(name, func(b *testing.B) {
			with, without := request(), request()
			compare(b,
				func() { t.server.ServeHTTP(sink{http.Header{}}, with) },
				func() { floor.ServeHTTP(sink{http.Header{}}, without) })
		})
	}
}
