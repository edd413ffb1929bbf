package httpclient_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// at configures where plugins are.
func at(target string, plugins ...any) backend.Feature {
	return backendtest.Config(map[string]any{"discovery": map[string]any{"endpoints": []any{
		map[string]any{"target": map[string]any{"internal": target}, "plugins": plugins},
	}}})
}

// callTarget asks plugin target, where discovery finds it, who calls.
func callTarget(t *testing.T, client *http.Client, discovery service.Discovery) string {
	t.Helper()
	base, err := discovery.BaseURL(t.Context(), "target")
	if err != nil {
		t.Fatal(err)
	}
	return ask(t.Context(), t, client, base+"/who")
}

// TestEndpoints has plugins where the configuration says.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	other := backendtest.Start(t, who("target"))
	requests := func(b *backendtest.Backend) int { return strings.Count(b.Log.String(), "incomingRequest") }
	for name, features := range map[string][]backend.Feature{
		"elsewhere":                    {at(other.URL()+"/api/{{pluginId}}", "target")},
		"everything is elsewhere":      {at(other.URL()+"/api/{{pluginId}}", "*")},
		"in both, and to be elsewhere": {at(other.URL()+"/api/target", "target"), who("target")},
	} {
		t.Run(name, func(t *testing.T) {
			var client *http.Client
			var discovery service.Discovery
			b := backendtest.Start(t, append(features, caller(&client, &discovery))...)
			before := requests(other)
			if got := callTarget(t, client, discovery); got != "plugin:caller" {
				t.Error(got)
			}
			if n := requests(other) - before; n != 1 || requests(b) != 0 {
				t.Errorf("the other backend got %d requests, this one %d", n, requests(b))
			}
		})
	}
	t.Run("here", func(t *testing.T) {
		var client *http.Client
		var discovery service.Discovery
		b := backendtest.Start(t, who("target"), at(other.URL()+"/api/{{pluginId}}", "another"), caller(&client, &discovery))
		if got := callTarget(t, client, discovery); got != "plugin:caller" || requests(b) != 0 {
			t.Errorf("%s, %d requests over the network", got, requests(b))
		}
	})
}

// TestUnreachable has nobody listen where a plugin should be. Who waits for it learns which plugin is missing, and the log tells where it
// should be.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	b := backendtest.Start(t, at("http://"+address+"/internal", "target"), plugin.New("relay", plugin.Init(relay)),
		plugin.New("caller", plugin.Init(func(g *echo.Group, client *http.Client) {
			g.GET("/", func(c echo.Context) error {
				res, err := client.Get("http://" + address + "/internal/who")
				if err == nil {
					res.Body.Close()
				}
				if !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, service.ServiceUnavailableError) {
					t.Error(err)
				}
				return nil
			})
		})))
	b.As(t, guest).Get("/api/caller/")
	res := b.As(t, guest).Get("/api/relay/relay")
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"Plugin target can't be reached"`) || strings.Contains(string(body), address) {
		t.Errorf("%s %s", res.Status, body)
	}
	if log := b.Log.String(); !strings.Contains(log, "plugin target can't be reached") || !strings.Contains(log, address+": connect: connection refused") {
		t.Errorf("the log doesn't tell: %s", log)
	}
}
