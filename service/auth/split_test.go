package auth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth"
)

// TestSplitPortal has plugin auth in one backend and another plugin in a second one. Tokens hold in both, whoever has issued them, as each
// backend gets the public keys where discovery.endpoints says.
func TestSplitPortal(t *testing.T) {
	t.Parallel()
	// The first backend has to know where the second one is before that has started.
	var toSecond http.Handler
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { toSecond.ServeHTTP(w, r) }))
	defer door.Close()
	endpoints := func(target string, plugins ...any) backend.Feature {
		return backendtest.Config(map[string]any{"discovery": map[string]any{"endpoints": []any{
			map[string]any{"target": target, "plugins": plugins},
		}}})
	}
	first := newPortal(t, nil, endpoints(door.URL+"/portal/{{pluginId}}", "second"))

	var client *http.Client
	var discovery service.Discovery
	var secondAuth service.Auth
	features := []backend.Feature{endpoints(first.URL()+"/api/{{pluginId}}", "*"),
		plugin.New("second", plugin.Init(func(g *echo.Group, c *http.Client, d service.Discovery, a service.Auth, h service.HTTPAuth) {
			client, discovery, secondAuth = c, d, a
			g.GET("/who", func(c echo.Context) error {
				credentials, err := h.Credentials(c.Request())
				if err != nil {
					return err
				}
				return c.String(http.StatusOK, credentials.String())
			})
		}))}
	for _, s := range auth.Services() {
		features = append(features, s)
	}
	second := backendtest.Start(t, features...)
	target, err := url.Parse(second.URL() + "/api")
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	toSecond = http.StripPrefix("/portal", proxy)

	user := first.user(guest)
	ask := func(token string) string {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, second.URL()+"/api/second/who", nil)
		r.RequestURI = ""
		r.Header.Set("Authorization", "Bearer "+token)
		network := &http.Transport{DisableKeepAlives: true}
		res, err := network.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for name, test := range map[string]struct{ token, want string }{
		"a user":              {user, guest},
		"a limited user":      {first.limited(user), ""},
		"a plugin":            {first.pluginToken("todo", "second", first.plugins["todo"].auth.OwnCredentials()), "plugin:todo"},
		"a plugin for a user": {first.pluginToken("todo", "second", first.credentials("todo", user)), guest + " by plugin:todo"},
		"a plugin for others": {first.pluginToken("todo", "notes", first.plugins["todo"].auth.OwnCredentials()), ""},
	} {
		if got := ask(test.token); got != test.want && test.want != "" || test.want == "" && got[0] != '{' {
			t.Errorf("%s: the second backend takes it for %q, want %q", name, got, test.want)
		}
	}

	// The other way round, on behalf of the user.
	credentials, err := secondAuth.Authenticate(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	base, err := discovery.BaseURL(t.Context(), "todo")
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(service.OnBehalfOf(t.Context(), credentials), http.MethodGet, base+"/who", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	got := backendtest.JSON[struct{ Principal principal }](t, res).Principal
	res.Body.Close()
	if got.UserEntityRef != guest || got.Actor == nil || got.Actor.Subject != "plugin:second" {
		t.Errorf("the first backend takes the second one for %+v", got)
	}
}
