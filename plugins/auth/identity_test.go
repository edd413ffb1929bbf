package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/guest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

// guests is a configuration in which everybody is the guest.
func guests(more object) object {
	settings := object{"providers": object{"guest": object{"dangerouslyAllowOutsideDevelopment": true}}}
	for k, v := range more {
		settings[k] = v
	}
	return settings
}

// todo is a plugin whose routes tell who calls and what they own.
func todo() backend.Feature {
	return plugin.New("todo", plugin.Init(func(g *echo.Group, a service.HTTPAuth, u service.UserInfo) {
		g.GET("/who", func(c echo.Context) error {
			user, err := a.Credentials(c.Request(), service.AllowUser)
			if err != nil {
				return err
			}
			info, err := u.UserInfo(c.Request().Context(), user)
			if err != nil {
				return err
			}
			return c.JSON(http.StatusOK, info)
		})
	}))
}

func TestGuest(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		t.Parallel()
		p := startPortal(t, guests(nil), guest.Module(), todo(), backendtest.Config(object{"backend": object{"database": section}}))
		b := newBrowser(t)
		for range 2 { // the second sign-in replaces what the first has stored
			signedIn := b.get(p.URL() + "/api/auth/guest/refresh").session(t)
			if strings.Contains(signedIn.BackstageIdentity.Token, "=") || len(signedIn.Profile) != 0 || signedIn.Profile == nil || signedIn.ProviderInfo != nil {
				t.Errorf("the session is %+v", signedIn)
			}
			identity := signedIn.BackstageIdentity.Identity
			if identity.Type != "user" || identity.UserEntityRef != "user:development/guest" ||
				!reflect.DeepEqual(identity.OwnershipEntityRefs, []string{"user:development/guest"}) || signedIn.BackstageIdentity.ExpiresInSeconds != 3600 {
				t.Errorf("the identity is %+v", signedIn.BackstageIdentity)
			}
			bearer := "Bearer " + signedIn.BackstageIdentity.Token
			if a := b.get(p.URL()+"/api/todo/who", "Authorization", bearer); a.status != http.StatusOK || !strings.Contains(a.body, "user:development/guest") {
				t.Errorf("another plugin says %d %s", a.status, a.body)
			}
			a := b.get(p.URL()+"/api/auth/v1/userinfo", "Authorization", bearer)
			if a.body != `{"claims":{"ent":["user:development/guest"],"sub":"user:development/guest"}}` {
				t.Errorf("the user info is %d %s", a.status, a.body)
			}
			p.clock.Advance(time.Second)
		}
		if strings.Contains(p.Log.String(), "eyJ") {
			t.Error("a token is in the log")
		}
	})
}

func TestGuestOfTheCatalog(t *testing.T) {
	t.Parallel()
	p := startPortal(t, object{"omitIdentityTokenOwnershipClaim": false, "backstageTokenExpiration": object{"minutes": 30}, "providers": object{"guest": object{
		"dangerouslyAllowOutsideDevelopment": true, "userEntityRef": "user:Default/Jane", "ownershipEntityRefs": []any{"group:default/nobody"},
	}}}, guest.Module(), todo())
	b := newBrowser(t)
	signedIn := b.get(p.URL() + "/api/auth/guest/refresh").session(t).BackstageIdentity
	owned := []string{"user:default/jane", "group:default/payments", "group:default/platform"}
	if signedIn.Identity.UserEntityRef != "user:default/jane" || !reflect.DeepEqual(signedIn.Identity.OwnershipEntityRefs, owned) || signedIn.ExpiresInSeconds != 1800 {
		t.Errorf("signed in as %+v", signedIn)
	}
	claims := claimsOf(t, signedIn.Token)
	if claims["iss"] != p.URL()+"/api/auth" || claims["aud"] != "backstage" || claims["exp"].(float64)-claims["iat"].(float64) != 1800 ||
		!reflect.DeepEqual(claims["ent"], []any{owned[0], owned[1], owned[2]}) || claims["uip"] == "" {
		t.Errorf("the claims are %v", claims)
	}
	bearer := "Bearer " + signedIn.Token
	if a := b.get(p.URL()+"/api/todo/who", "Authorization", bearer); a.status != http.StatusOK {
		t.Error(a)
	}
	p.clock.Advance(30 * time.Minute)
	if a := b.get(p.URL()+"/api/todo/who", "Authorization", bearer); a.status != http.StatusUnauthorized {
		t.Errorf("after its end: %v", a)
	}
}

// TestUserInfo asks for user info with all kinds of tokens.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	p := startPortal(t, guests(nil), guest.Module(), backendtest.Config(object{"backend": object{"auth": object{"externalAccess": []any{
		object{"type": "static", "options": object{"token": "a-static-token", "subject": "ci"}},
	}}}}))
	b := newBrowser(t)
	token := b.get(p.URL() + "/api/auth/guest/refresh").session(t).BackstageIdentity.Token
	limited, _, err := usertoken.Limit(token)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		token, failure string
		status         int
	}{
		"limited": {token: limited, status: http.StatusOK},
		"none":    {status: http.StatusUnauthorized, failure: "AuthenticationError: No token provided"},
		"service": {token: "a-static-token", status: http.StatusBadRequest,
			failure: "InputError: Userinfo endpoint must be called with a token that represents a user principal"},
		"garbage": {token: "garbage", status: http.StatusUnauthorized, failure: "AuthenticationError: Illegal token"},
	} {
		var headers []string
		if want.token != "" {
			headers = []string{"Authorization", "Bearer " + want.token}
		}
		a := b.get(p.URL()+"/api/auth/v1/userinfo", headers...)
		if a.status != want.status || want.failure != "" && a.failure() != want.failure {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be cached", name)
		}
	}
	if a := b.get(p.URL()+"/api/auth/v1/userinfo", "Cookie", "backstage-auth="+limited); a.status != http.StatusUnauthorized {
		t.Errorf("by the cookie: %d %s", a.status, a.body)
	}
}

// TestGuestOutsideDevelopment can't be parallel: the environment is that of the process.
func TestGuestOutsideDevelopment(t *testing.T) {
	for mode, want := range map[string]int{"": http.StatusForbidden, "production": http.StatusForbidden, "development": http.StatusOK} {
		t.Setenv("NODE_ENV", mode)
		p := startPortal(t, object{"providers": object{"guest": object{}}}, guest.Module())
		if a := newBrowser(t).get(p.URL() + "/api/auth/guest/refresh"); a.status != want {
			t.Errorf("NODE_ENV=%q: %d %s", mode, a.status, a.body)
		}
	}
}

func TestRoutesOfProviders(t *testing.T) {
	t.Parallel()
	p := startPortal(t, guests(nil), guest.Module(), badges())
	b := newBrowser(t)
	for path, want := range map[string]string{
		"GET guest/start":         "NotImplementedError: Not implemented",
		"GET guest/handler/frame": "NotImplementedError: Not implemented",
		"POST guest/logout":       "NotFoundError: Unknown auth provider 'guest'",
		"GET github/start":        "NotFoundError: Unknown auth provider 'github'",
		"GET github":              "NotFoundError: Unknown auth provider 'github'",
		"POST badge/refresh":      "NotFoundError: No auth provider registered for 'badge'",
		"GET guest/start/":        "NotImplementedError: Not implemented",
		"GET guest/start/x/":      "NotFoundError: Unknown auth provider 'guest'",
	} {
		method, path, _ := strings.Cut(path, " ")
		if a := b.do(method, p.URL()+"/api/auth/"+path, nil); a.failure() != want {
			t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
		}
	}
	for path, want := range map[string]int{"guest/start": 501, ".well-known/jwks.json": 200, ".well-known/jwks.json/": 200, "v1/userinfo": 401, "guest": 404} {
		if a := b.do(http.MethodHead, p.URL()+"/api/auth/"+path, nil); a.status != want {
			t.Errorf("HEAD %s: %d, want %d", path, a.status, want)
		}
	}
}

// TestKeys has two replicas with one database: both believe each other's tokens, also after the end of one of them.
func TestKeys(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		t.Parallel()
		if section["connection"] == ":memory:" {
			t.Skip("replicas can't share it")
		}
		shared := backendtest.Config(object{"backend": object{"database": section}})
		first := startPortal(t, guests(nil), guest.Module(), todo(), shared)
		second := startPortal(t, guests(nil), guest.Module(), todo(), shared)
		b := newBrowser(t)
		token := b.get(first.URL() + "/api/auth/guest/refresh").session(t).BackstageIdentity.Token
		if err := first.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := b.get(second.URL()+"/api/todo/who", "Authorization", "Bearer "+token); a.status != http.StatusOK {
			t.Errorf("the other replica says %v", a)
		}
		if n := len(published(t, b, second)); n != 1 {
			t.Errorf("%d keys are published", n)
		}
		b.get(second.URL() + "/api/auth/guest/refresh").session(t)
		second.clock.Advance(time.Hour)
		b.get(second.URL() + "/api/auth/guest/refresh").session(t)
		if n := len(published(t, b, second)); n != 3 {
			t.Errorf("%d keys are published after a rotation", n)
		}
		second.clock.Advance(2 * time.Hour)
		if n := len(published(t, b, second)); n != 1 {
			t.Errorf("%d keys are published after three hours", n)
		}
	})
}

type publicKey struct{ Kty, Crv, Alg, Kid, X, Y, N, D string }

func published(t testing.TB, b *browser, p *portal) []publicKey {
	t.Helper()
	var set struct{ Keys []publicKey }
	if err := json.Unmarshal([]byte(b.get(p.URL()+"/api/auth/.well-known/jwks.json").body), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if k.Kid == "" || k.Alg == "" || k.D != "" {
			t.Errorf("a published key is %+v", k)
		}
	}
	return set.Keys
}

func TestKeyStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"private.pem": {Type: "PRIVATE KEY", Bytes: private}, "public.pem": {Type: "PUBLIC KEY", Bytes: public}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := object{"keyId": "of-files", "publicKeyFile": filepath.Join(dir, "public.pem"), "privateKeyFile": filepath.Join(dir, "private.pem")}
	for name, settings := range map[string]object{
		"memory":          {"keyStore": object{"provider": "memory"}},
		"static":          {"keyStore": object{"provider": "static", "static": object{"keys": []any{files}}}},
		"other algorithm": {"identityTokenAlgorithm": "EdDSA"},
		"RSA":             {"identityTokenAlgorithm": "PS256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPortal(t, guests(settings), guest.Module(), todo())
			b := newBrowser(t)
			token := b.get(p.URL() + "/api/auth/guest/refresh").session(t).BackstageIdentity.Token
			if a := b.get(p.URL()+"/api/todo/who", "Authorization", "Bearer "+token); a.status != http.StatusOK {
				t.Errorf("another plugin says %v", a)
			}
			if n := len(published(t, b, p)); n != 1 {
				t.Errorf("%d keys are published", n)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	var found struct {
		Issuer   string
		JWKSURI  string `json:"jwks_uri"`
		UserInfo string `json:"userinfo_endpoint"`
	}
	if err := json.Unmarshal([]byte(newBrowser(t).get(p.URL()+"/api/auth/.well-known/openid-configuration").body), &found); err != nil {
		t.Fatal(err)
	}
	base := p.URL() + "/api/auth"
	if found.Issuer != base || found.JWKSURI != base+"/.well-known/jwks.json" || found.UserInfo != base+"/v1/userinfo" {
		t.Errorf("%+v", found)
	}
}

// TestOwnershipResolver has a module decide what users own.
func TestOwnershipResolver(t *testing.T) {
	t.Parallel()
	decide := func(name string) backend.Feature {
		return plugin.NewModule("auth", name, plugin.Init(func(o auth.Ownership) {
			o.SetOwnershipResolver(func(_ context.Context, user catalogmodel.Entity) ([]string, error) {
				return []string{user.Ref().String(), "group:default/everybody"}, nil
			})
		}))
	}
	settings := object{"providers": object{"guest": object{"dangerouslyAllowOutsideDevelopment": true, "userEntityRef": "user:default/jane"}}}
	p := startPortal(t, settings, guest.Module(), decide("first"))
	signedIn := newBrowser(t).get(p.URL() + "/api/auth/guest/refresh").session(t)
	if got := signedIn.BackstageIdentity.Identity.OwnershipEntityRefs; !reflect.DeepEqual(got, []string{"user:default/jane", "group:default/everybody"}) {
		t.Error(got)
	}
	if _, err := tryPortal(t, settings, guest.Module(), decide("first"), decide("second")); err == nil || !strings.Contains(err.Error(), "two modules") {
		t.Errorf("with two modules: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]struct {
		settings object
		features []backend.Feature
		want     string
	}{
		"no key for guests":      {object{}, []backend.Feature{guest.Module()}, "auth.providers.guest is required"},
		"no guest":               {object{"providers": object{"guest": object{"userEntityRef": "user:"}}}, []backend.Feature{guest.Module()}, "userEntityRef"},
		"unknown algorithm":      {object{"identityTokenAlgorithm": "HS256"}, nil, "auth.identityTokenAlgorithm"},
		"no algorithm":           {object{"identityTokenAlgorithm": "none"}, nil, "auth.identityTokenAlgorithm"},
		"no static keys":         {object{"keyStore": object{"provider": "static"}}, nil, "auth.keyStore.static.keys"},
		"unknown store":          {object{"keyStore": object{"provider": "firestore"}}, nil, "auth.keyStore.provider"},
		"wrong pattern":          {object{"experimentalExtraAllowedOrigins": []any{"https://["}}, nil, "experimentalExtraAllowedOrigins"},
		"no resolver":            {object{"providers": object{"badge": object{"secret": "x"}}}, []backend.Feature{badges()}, "auth.providers.badge.signIn.resolvers is required"},
		"unknown resolver":       {badge(object{"resolver": "magic"}), []backend.Feature{badges()}, "'magic' is not available; there are badgeMatching"},
		"resolver of another":    {badge(object{"resolver": "usernameMatchingUserEntityName"}), []backend.Feature{badges()}, "is not available"},
		"domains as text":        {badge(object{"resolver": "emailMatchingUserEntityProfileEmail", "allowedDomains": "example.com"}), []backend.Feature{badges()}, "allowedDomains"},
		"no domains":             {badge(object{"resolver": "emailMatchingUserEntityProfileEmail", "allowedDomains": []any{}}), []backend.Feature{badges()}, "allowedDomains"},
		"neither true":           {badge(object{"resolver": "emailMatchingUserEntityProfileEmail", "dangerouslyAllowSignInWithoutUserInCatalog": "maybe"}), []backend.Feature{badges()}, "neither true nor false"},
		"two of a provider":      {badge(object{"resolver": "emailMatchingUserEntityProfileEmail"}), []backend.Feature{badges(), again("badge")}, "two providers"},
		"a provider without New": {nil, []backend.Feature{again("x")}, "no function New"},
		"an id that isn't one":   {nil, []backend.Feature{again("a/b")}, `the id "a/b"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryPortal(t, m.settings, m.features...)
			if err == nil || !strings.Contains(err.Error(), m.want) {
				t.Errorf("the error is %v, want %q", err, m.want)
			}
		})
	}
}

// badge is a configuration for the provider of the example.
func badge(resolvers ...any) object {
	return object{"providers": object{"badge": object{"secret": "of-the-gateway", "signIn": object{"resolvers": resolvers}}}}
}

func again(id string) backend.Feature {
	return plugin.NewModule("auth", "again", plugin.Init(func(p auth.Providers) {
		p.AddProxyProvider(auth.ProxyProvider{ID: id})
	}))
}

// claimsOf reads a token without verifying it.
func claimsOf(t testing.TB, token string) object {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	return decodePart(t, parts[1])
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	p := startPortal(t, object{"providers": object{"guest": object{"dangerouslyAllowOutsideDevelopment": true, "userEntityRef": "user:default/jane"}}},
		guest.Module(), backendtest.Config(object{"backend": object{"auth": object{"externalAccess": []any{
			object{"type": "static", "options": object{"token": "a-static-token", "subject": "ci"}},
		}}}}))
	b := newBrowser(t)
	jane := "Bearer " + b.get(p.URL()+"/api/auth/guest/refresh").session(t).BackstageIdentity.Token
	invoke := func(authorization string) answer {
		return b.do(http.MethodPost, p.URL()+"/api/auth/.backstage/actions/v1/actions/auth:who-am-i/invoke", strings.NewReader("{}"),
			"Authorization", authorization, "Content-Type", "application/json")
	}
	a := invoke(jane)
	for _, want := range []string{`"name":"jane"`, `"userEntityRef":"user:default/jane"`, `"ownershipEntityRefs":["user:default/jane"`} {
		if a.status != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("%d %s, want %s", a.status, a.body, want)
		}
	}
	if a := invoke("Bearer a-static-token"); a.status != http.StatusForbidden {
		t.Errorf("a service: %d %s", a.status, a.body)
	}
	if a := b.get(p.URL()+"/api/auth/.well-known/backstage/permissions/metadata", "Authorization", jane); a.body != `{"permissions":[],"rules":[]}` {
		t.Errorf("the permissions are %d %s", a.status, a.body)
	}
}
