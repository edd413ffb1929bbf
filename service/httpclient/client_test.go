package httpclient_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

const guest = "user:default/guest"

// elsewhere is a service.Discovery for a plugin that runs in another backend. All others are where the default one says.
type elsewhere struct {
	service.Discovery
	id, url string
}

func (e elsewhere) BaseURL(ctx context.Context, id string) (string, error) {
	if id == e.id {
		return e.url, nil
	}
	return e.Discovery.BaseURL(ctx, id)
}

// who is a plugin that tells who calls it.
func who(id string) backend.Feature {
	return plugin.New(id, plugin.Init(func(g *echo.Group, auth service.HTTPAuth, policies service.AuthPolicies) {
		policies.AllowUnauthenticated("/open")
		answer := func(c echo.Context) error {
			credentials, err := auth.Credentials(c.Request())
			if err != nil {
				return err
			}
			return c.JSON(http.StatusOK, map[string]any{"who": credentials.String(), "kind": credentials.Kind})
		}
		g.GET("/who", answer)
		g.GET("/open/hello", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
	}))
}

// caller is a plugin whose client the test has.
func caller(client **http.Client, discovery *service.Discovery) backend.Feature {
	return plugin.New("caller", plugin.Init(func(c *http.Client, d service.Discovery) { *client, *discovery = c, d }))
}

func ask(ctx context.Context, t testing.TB, client *http.Client, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	var answer struct{ Who string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Who
}

func TestCallersAreKnown(t *testing.T) {
	t.Parallel()
	var client *http.Client
	var discovery service.Discovery
	b := backendtest.Start(t, who("target"), caller(&client, &discovery))
	base, err := discovery.BaseURL(t.Context(), "target")
	if err != nil {
		t.Fatal(err)
	}
	requests := strings.Count(b.Log.String(), "incomingRequest")
	user := service.Credentials{Kind: service.AllowUser, Subject: guest, Token: service.NewToken("mock-user-token")}
	if got := ask(t.Context(), t, client, base+"/who"); got != "plugin:caller" {
		t.Error(got)
	}
	if got := ask(service.OnBehalfOf(t.Context(), user), t, client, base+"/who"); got != guest+" by plugin:caller" {
		t.Error(got)
	}
	if n := strings.Count(b.Log.String(), "incomingRequest"); n != requests {
		t.Errorf("%d requests came over the network", n-requests)
	}
	nobody := service.OnBehalfOf(t.Context(), service.Credentials{Kind: service.AllowNone})
	req, err := http.NewRequestWithContext(nobody, http.MethodGet, base+"/who", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := client.Do(req); err == nil {
		res.Body.Close()
		t.Errorf("on behalf of nobody: %s", res.Status)
	}
}

// TestOtherBackend has the target in another backend, to which the same call goes over the network.
func TestOtherBackend(t *testing.T) {
	t.Parallel()
	other := backendtest.Start(t, who("target"))
	var client *http.Client
	var discovery service.Discovery
	backendtest.Start(t, caller(&client, &discovery),
		service.Root[service.Discovery](func() service.Discovery { return elsewhere{nowhere{}, "target", other.URL() + "/api/target"} }))
	if got := ask(t.Context(), t, client, other.URL()+"/api/target/who"); got != "plugin:caller" {
		t.Error(got)
	}
	if n := strings.Count(other.Log.String(), "incomingRequest"); n != 1 {
		t.Errorf("%d requests came over the network", n)
	}
}

type nowhere struct{}

func (nowhere) BaseURL(_ context.Context, id string) (string, error) {
	return "http://nowhere.invalid/api/" + id, nil
}

func (n nowhere) ExternalBaseURL(ctx context.Context, id string) (string, error) {
	return n.BaseURL(ctx, id)
}

// TestTokensStayHome has hosts that are no plugins, but look like some.
func TestTokensStayHome(t *testing.T) {
	t.Parallel()
	var client *http.Client
	var discovery service.Discovery
	b := backendtest.Start(t, who("target"), caller(&client, &discovery))
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, `{"who":"nobody"}`)
	}))
	defer stranger.Close()
	for _, url := range []string{
		stranger.URL + "/api/target/who", stranger.URL + "/" + strings.TrimPrefix(b.URL(), "http://") + "/api/target",
		stranger.URL + "/target", stranger.URL + "?" + b.URL() + "/api/target/who",
	} {
		if got := ask(t.Context(), t, client, url); got != "nobody" {
			t.Errorf("%s: %s", url, got)
		}
	}
	redirecting := httptest.NewServer(http.RedirectHandler(stranger.URL+"/api/target/who", http.StatusFound))
	defer redirecting.Close()
	if got := ask(t.Context(), t, client, redirecting.URL+"/api/target/who"); got != "nobody" {
		t.Errorf("after a redirect: %s", got)
	}
	if got := ask(t.Context(), t, client, b.URL()+"/api/targetx/who"); !strings.HasPrefix(got, "404") {
		t.Errorf("a plugin that isn't there: %s", got)
	}
}

func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	var client *http.Client
	var discovery service.Discovery
	b := backendtest.Start(t, who("target"), caller(&client, &discovery))
	url := b.URL() + "/api/target/who"
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res, err := client.Get(url); err == nil {
		res.Body.Close()
		t.Error(res.Status)
	}
}
