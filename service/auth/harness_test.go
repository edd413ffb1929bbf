package auth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const guest = "user:default/guest"

// portal is a backend with the real services of package auth, a plugin auth that publishes keys, and some plugins that tell who calls.
type portal struct {
	*backendtest.Backend
	t       testing.TB
	key     *usertoken.Key
	keys    atomic.Pointer[echo.HandlerFunc] // serves the keys of users
	fetches atomic.Int64                     // of the keys of users
	users   atomic.Pointer[echo.HandlerFunc] // serves user info
	plugins map[string]*guarded
}

// guarded is what a plugin of the test has got.
type guarded struct {
	auth     service.Auth
	userInfo service.UserInfo
}

// newPortal starts a portal with the configuration below backend.auth.
func newPortal(t testing.TB, settings map[string]any, features ...backend.Feature) *portal {
	t.Helper()
	p := preparePortal(t)
	p.Backend = backendtest.Start(t, p.features(settings, features...)...)
	return p
}

func preparePortal(t testing.TB) *portal {
	t.Helper()
	key, err := usertoken.GenerateKey("first")
	if err != nil {
		t.Fatal(err)
	}
	p := &portal{t: t, key: key, plugins: map[string]*guarded{"todo": {}, "notes": {}}}
	p.serveKeys(publish(key))
	p.serveUsers(func(c echo.Context) error { return c.String(http.StatusNotFound, "User info not found") })
	return p
}

func (p *portal) features(settings map[string]any, more ...backend.Feature) []backend.Feature {
	all := []backend.Feature{backendtest.Config(map[string]any{"backend": map[string]any{"auth": settings}})}
	if settings == nil {
		all = nil
	}
	for _, s := range auth.Services() {
		all = append(all, s)
	}
	all = append(all, plugin.New("auth", plugin.Init(func(g *echo.Group, policies service.AuthPolicies) {
		policies.AllowUnauthenticated("/")
		g.GET("/.well-known/jwks.json", func(c echo.Context) error {
			p.fetches.Add(1)
			return (*p.keys.Load())(c)
		})
		g.GET("/v1/userinfo", func(c echo.Context) error { return (*p.users.Load())(c) })
	})))
	for id, got := range p.plugins {
		all = append(all, plugin.New(id, plugin.Init(
			func(g *echo.Group, policies service.AuthPolicies, a service.Auth, h service.HTTPAuth, u service.UserInfo) {
				got.auth, got.userInfo = a, u
				who := func(allow ...service.PrincipalKind) echo.HandlerFunc {
					return func(c echo.Context) error {
						credentials, err := h.Credentials(c.Request(), allow...)
						if err != nil {
							return err
						}
						return c.JSON(http.StatusOK, credentials)
					}
				}
				policies.AllowUnauthenticated("/open")
				policies.AllowUserCookie("/images")
				g.GET("/who", who())
				g.GET("/open/who", who())
				g.GET("/images/who", who(service.AllowUser, service.AllowLimitedUser))
				g.GET("/users/who", who(service.AllowUser))
			})))
	}
	return append(all, more...)
}

func (p *portal) serveKeys(h echo.HandlerFunc)  { p.keys.Store(&h) }
func (p *portal) serveUsers(h echo.HandlerFunc) { p.users.Store(&h) }

// publish serves the public keys.
func publish(keys ...*usertoken.Key) echo.HandlerFunc {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.Public())
	}
	return func(c echo.Context) error { return c.JSON(http.StatusOK, set) }
}

// user is a token of the user, good for an hour.
func (p *portal) user(ref string) string {
	p.t.Helper()
	return p.issue(p.key, usertoken.Claims{Subject: ref})
}

func (p *portal) issue(key *usertoken.Key, c usertoken.Claims) string {
	p.t.Helper()
	c.Issuer = "http://localhost:7007/api/auth"
	if c.IssuedAt.IsZero() {
		c.IssuedAt = p.Clock.Now()
	}
	if c.Expiry.IsZero() {
		c.Expiry = c.IssuedAt.Add(time.Hour)
	}
	token, err := usertoken.Issue(key, c)
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

func (p *portal) limited(token string) string {
	p.t.Helper()
	limited, _, err := usertoken.Limit(token)
	if err != nil {
		p.t.Fatal(err)
	}
	return limited
}

// pluginToken is a token of one plugin for another.
func (p *portal) pluginToken(from, to string, onBehalfOf service.Credentials) string {
	p.t.Helper()
	token, err := p.plugins[from].auth.PluginToken(p.t.Context(), onBehalfOf, to)
	if err != nil {
		p.t.Fatal(err)
	}
	return token.Reveal()
}

// credentials are what the plugin makes of the token.
func (p *portal) credentials(plugin, token string) service.Credentials {
	p.t.Helper()
	c, err := p.plugins[plugin].auth.Authenticate(p.t.Context(), token)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// answer is what came of a request.
type answer struct {
	status int
	header http.Header
	// message is that of an error.
	message   string
	principal principal
	expiresAt string
}

type principal struct {
	Type          string
	UserEntityRef string
	Subject       string
	Actor         *principal
}

// get requests the path with a token, if there is one, and further headers.
func (p *portal) get(path, token string, headers ...string) answer {
	p.t.Helper()
	return p.do(http.MethodGet, path, token, headers...)
}

func (p *portal) do(method, path, token string, headers ...string) answer {
	p.t.Helper()
	req := httptest.NewRequestWithContext(p.t.Context(), method, p.URL()+path, nil)
	req.RequestURI = ""
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotFound {
		return a
	}
	var body struct {
		Error     struct{ Message string }
		Principal principal
		ExpiresAt string
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		p.t.Fatalf("%s: %v", path, err)
	}
	a.message, a.principal, a.expiresAt = body.Error.Message, body.Principal, body.ExpiresAt
	return a
}
