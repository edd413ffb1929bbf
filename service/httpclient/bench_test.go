package httpclient_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth"
)

// BenchmarkCall calls another plugin, with a real token, in memory and over a connection of this machine that is kept alive: the call
// alone, and with a handler that asks who calls. Both ways take turns, so that whatever else the machine does meets both.
func BenchmarkCall(b *testing.B) {
	var client *http.Client
	var own service.Auth
	target := plugin.New("target", plugin.Init(func(g *echo.Group, auth service.HTTPAuth, policies service.AuthPolicies) {
		policies.AllowUnauthenticated("/open")
		g.GET("/open/hello", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
		g.GET("/who", func(c echo.Context) error {
			caller, err := auth.Credentials(c.Request(), service.AllowService)
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, caller.Subject)
		})
	}))
	features := []backend.Feature{target, plugin.New("caller", plugin.Init(func(c *http.Client, a service.Auth) { client, own = c, a }))}
	for _, s := range auth.Services() {
		features = append(features, s)
	}
	portal := backendtest.Start(b, features...)
	network := &http.Transport{}
	b.Cleanup(network.CloseIdleConnections)
	token, err := own.PluginToken(b.Context(), own.OwnCredentials(), "target")
	if err != nil {
		b.Fatal(err)
	}
	request := func(url, token string) *http.Request {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
		if err != nil {
			b.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return req
	}
	call := func(client *http.Client, req *http.Request) {
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			b.Fatal(res.Status, err)
		}
		res.Body.Close()
	}
	for name, path := range map[string]string{"alone": "open/hello", "authenticated": "who"} {
		b.Run(name, func(b *testing.B) {
			url := portal.URL() + "/api/target/" + path
			var memory, socket time.Duration
			const turn = 100 // calls
			overNetwork := &http.Client{Transport: network}
			inMemory, overSocket := request(url, ""), request(url, token.Reveal())
			for b.Loop() {
				begin := time.Now()
				for range turn {
					call(client, inMemory)
				}
				middle := time.Now()
				for range turn {
					call(overNetwork, overSocket)
				}
				socket += time.Since(middle)
				memory += middle.Sub(begin)
			}
			calls := float64(turn * b.N)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(memory.Nanoseconds())/calls, "memory-ns/call")
			b.ReportMetric(float64(socket.Nanoseconds())/calls, "socket-ns/call")
			b.ReportMetric(float64(socket)/float64(memory), "socket/memory")
		})
	}
}
