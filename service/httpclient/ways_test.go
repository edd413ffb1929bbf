package httpclient_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httpclient"
	"github.com/portico-dev/portico/service/httprouter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// routes is a plugin "target" with handlers that a test gives.
type routes map[string]func(http.ResponseWriter, *http.Request) error

// way is one of the ways to the plugin.
type way struct {
	name   string
	client *http.Client
	base   string
}

// ways starts a backend with the routes, open to everybody, and leads there in memory and over a socket.
func ways(t testing.TB, r routes) []way {
	t.Helper()
	return waysTo(t, plugin.New("target", plugin.Init(func(g *echo.Group, policies service.AuthPolicies) {
		policies.AllowUnauthenticated("/")
		for path, handler := range r {
			g.Any(path, func(c echo.Context) error { return handler(c.Response(), c.Request()) })
		}
	})))
}

// waysTo starts a backend with a plugin "target", and leads there in memory and over a socket. What is behind is the same.
func waysTo(t testing.TB, target backend.Feature) []way {
	t.Helper()
	var server *httprouter.Server
	var transport *httpclient.Transport
	b := backendtest.Start(t, target,
		plugin.New("observer", plugin.Init(func(s *httprouter.Server, tr *httpclient.Transport) { server, transport = s, tr })))
	socket := httptest.NewServer(server.Handler())
	network := &http.Transport{DisableCompression: true}
	t.Cleanup(func() {
		network.CloseIdleConnections()
		socket.Close()
	})
	return []way{
		{"socket", &http.Client{Transport: network}, socket.URL + "/api/target"},
		{"memory", &http.Client{Transport: transport}, b.URL() + "/api/target"},
	}
}

// each runs the test on both ways.
func each(t *testing.T, r routes, test func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range ways(t, r) {
		t.Run(w.name, func(t *testing.T) { test(t, w) })
	}
}

func (w way) do(ctx context.Context, t testing.TB, method, path string, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return w.client.Do(req)
}

// seen is all that a caller can see of an answer.
type seen struct {
	Failed, Broken   bool // without an answer, and in the middle of its body
	Status           string
	Proto            string
	Header, Trailer  http.Header
	Length           int64
	TransferEncoding []string
	Body             string
}

func look(res *http.Response, err error) seen {
	if err != nil {
		return seen{Failed: true}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	header := maps.Clone(res.Header)
	if header.Get("Date") != "" {
		header.Set("Date", "now")
	}
	return seen{Broken: err != nil, Status: res.Status, Proto: res.Proto, Header: header, Trailer: res.Trailer, Length: res.ContentLength,
		TransferEncoding: res.TransferEncoding, Body: string(body)}
}
