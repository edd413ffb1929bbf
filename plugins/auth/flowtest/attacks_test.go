package flowtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TestReplayedCallback comes back a second time, in the same browser and in another one.
func TestReplayedCallback(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	callback := b.atProvider(b.start("env=development"), "jane")
	if m := b.do(http.MethodGet, callback, nil).message(t); m.Error.Name != "" {
		t.Fatalf("the first time: %+v", m)
	}
	for name, again := range map[string]*browser{"the same browser": b, "another browser": p.browser(t)} {
		m := again.do(http.MethodGet, callback, nil).message(t)
		if m.Error.Name != "NotAllowedError" || m.Error.Message != "Auth response is missing cookie nonce" {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

// TestFixedState has a victim come back from a sign-in that an attacker has begun, so as to work in the account of the attacker.
func TestFixedState(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	attacker, victim := p.browser(t), p.browser(t)
	callback := attacker.atProvider(attacker.start("env=development"), "jane")
	victim.start("env=development") // so that there is a cookie
	if m := victim.do(http.MethodGet, callback, nil).message(t); m.Error.Name != "NotAllowedError" || m.Error.Message != "Invalid nonce" {
		t.Errorf("the message is %+v", m)
	}
	if got := victim.cookies(oidcURL + "/refresh"); got["oidc-refresh-token"] != "" {
		t.Error("the victim has the session of the attacker")
	}
}

// TestInjectedCode has an attacker come back with the code of a victim in a sign-in of their own: PKCE and the nonce are in the way.
func TestInjectedCode(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	attacker, victim := p.browser(t), p.browser(t)
	stolen, err := url.Parse(victim.atProvider(victim.start("env=development"), "jane"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := url.Parse(attacker.atProvider(attacker.start("env=development"), "john"))
	if err != nil {
		t.Fatal(err)
	}
	query := own.Query()
	query.Set("code", stolen.Query().Get("code"))
	own.RawQuery = query.Encode()
	m := attacker.do(http.MethodGet, own.String(), nil).message(t)
	if m.Error.Name != "AuthenticationError" || m.Response.BackstageIdentity != nil || m.Response.ProviderInfo.AccessToken != "" {
		t.Errorf("the message is %+v", m)
	}
}

// TestChangedState changes each part of a state in the address.
func TestChangedState(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	for name, value := range map[string]string{
		"redirectUrl": "http://evil.test/", "flow": "redirect", "origin": anotherApp, "env": "production", "scope": "openid admin", "nonce": "x",
	} {
		b := p.browser(t)
		callback, err := url.Parse(b.atProvider(b.start("env=development&flow=popup"), "jane"))
		if err != nil {
			t.Fatal(err)
		}
		query := callback.Query()
		decoded, err := hex.DecodeString(query.Get("state"))
		if err != nil {
			t.Fatal(err)
		}
		state, err := url.ParseQuery(string(decoded))
		if err != nil {
			t.Fatal(err)
		}
		state.Set(name, value)
		query.Set("state", hex.EncodeToString([]byte(state.Encode())))
		callback.RawQuery = query.Encode()
		a := b.do(http.MethodGet, callback.String(), nil)
		if m := a.message(t); m.Error.Name != "NotAllowedError" || m.Error.Message != "Invalid nonce" || a.header.Get("Location") != "" {
			t.Errorf("another %s: %+v", name, m)
		}
	}
}

// TestOpenRedirects has addresses that lead out of the portal.
func TestOpenRedirects(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	for _, to := range []string{
		"http://evil.test/", "https://portal.test/", "http://portal.test.evil.test/", "http://portal.test@evil.test/", "//evil.test/", "/catalog",
		"javascript:alert(1)", "http://evil.test\\.preview.test/", "http://evil.test/.preview.test", "http:portal.test", "http://portal.test\t.evil.test",
	} {
		query := url.Values{"env": {"development"}, "flow": {"redirect"}, "redirectUrl": {to}}
		if a := b.do(http.MethodGet, oidcURL+"/start?"+query.Encode(), nil); a.status != http.StatusForbidden || a.header.Get("Location") != "" {
			t.Errorf("%s: %d to %s", to, a.status, a.header.Get("Location"))
		}
	}
	// A state that nobody has signed leads nowhere, whether there is a cookie or not.
	forged := hex.EncodeToString([]byte("env=development&flow=redirect&nonce=x&redirectUrl=http%3A%2F%2Fportal.test%2F"))
	for range 2 {
		if a := b.do(http.MethodGet, oidcURL+"/handler/frame?state="+forged, nil); a.status != http.StatusOK || a.header.Get("Location") != "" {
			t.Errorf("a forged state: %d to %s", a.status, a.header.Get("Location"))
		}
		b.start("env=development")
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	for origin, want := range map[string]string{
		"http://evil.test":     "NotAllowedError: Origin 'http://evil.test' is not allowed",
		"https://portal.test":  "NotAllowedError: Origin 'https://portal.test' is not allowed",
		"http://portal.test:1": "NotAllowedError: Origin 'http://portal.test:1' is not allowed",
		"null":                 "InputError: App origin is invalid, failed to parse",
	} {
		if a := b.do(http.MethodGet, oidcURL+"/start?env=development&origin="+url.QueryEscape(origin), nil); a.failure() != want {
			t.Errorf("%s: %d %s", origin, a.status, a.body)
		}
	}
	// The message goes to the frontend that has asked for it.
	m := b.do(http.MethodGet, b.atProvider(b.start("env=development&origin="+url.QueryEscape(anotherApp+"/page")), "jane"), nil).message(t)
	if m.origin != anotherApp || m.Error.Name != "" {
		t.Errorf("the message for %s is %+v", m.origin, m.Error)
	}
	forged := hex.EncodeToString([]byte("env=development&nonce=x&origin=http%3A%2F%2Fevil.test"))
	if m := b.do(http.MethodGet, oidcURL+"/handler/frame?state="+forged, nil).message(t); m.origin != portalURL || m.Error.Name != "NotAllowedError" {
		t.Errorf("a forged origin: %+v", m)
	}
}

// TestCrossSiteRequests are those that a page of another site can have a browser make, with its cookies.
func TestCrossSiteRequests(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	b.popup("jane")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, headers := range [][]string{nil, {"X-Requested-With", "fetch"}, {"X-Requested-With", "xmlhttprequest"}} {
			if a := b.do(method, oidcURL+"/refresh?env=development", nil, headers...); a.failure() != "AuthenticationError: Invalid X-Requested-With header" {
				t.Errorf("%s refresh with %s: %d %s", method, headers, a.status, a.body)
			}
		}
	}
	if a := b.do(http.MethodPost, oidcURL+"/logout?env=development", nil); a.status != http.StatusUnauthorized {
		t.Errorf("logout: %d", a.status)
	}
	if a := b.do(http.MethodGet, oidcURL+"/logout?env=development", nil, "X-Requested-With", "XMLHttpRequest"); a.status != http.StatusNotFound {
		t.Errorf("logout by GET: %d", a.status)
	}
	for _, origin := range []string{"http://evil.test", "null"} {
		a := b.do(http.MethodPost, oidcURL+"/logout?env=development", nil, "X-Requested-With", "XMLHttpRequest", "Origin", origin)
		if a.status != http.StatusForbidden {
			t.Errorf("logout from %s: %d", origin, a.status)
		}
	}
	b.refresh("").session(t) // still signed in
}

// TestCookiesStayInPlace looks at which addresses get the cookies of a provider.
func TestCookiesStayInPlace(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	b.popup("jane")
	b.start("env=development")
	for to, want := range map[string]int{
		portalURL + "/":                     0,
		portalURL + "/api/catalog/entities": 0,
		authURL + "/v1/userinfo":            0,
		authURL + "/github/refresh":         0,
		authURL + "/oidc2/refresh":          0,
		p.op.URL + "/auth":                  0,
		oidcURL + "/refresh":                2, // refresh token and scopes
		oidcURL + "/handler/frame":          3, // and the sign-in under way
	} {
		if got := b.cookies(to); len(got) != want {
			t.Errorf("%s gets %v", to, got)
		}
	}
	a := p.browser(t).do(http.MethodGet, oidcURL+"/start?env=development", nil)
	for _, line := range a.header.Values("Set-Cookie") {
		if !strings.Contains(line, "HttpOnly") || !strings.Contains(line, "SameSite=Lax") || strings.Contains(line, "Domain") {
			t.Errorf("a cookie is %s", line)
		}
	}
}

func TestEnvironments(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	for query, want := range map[string]string{
		"start":                          "InputError: Must specify 'env' query to select environment",
		"start?env=staging":              "NotFoundError: No configuration available for the 'staging' environment of this provider.",
		"handler/frame":                  "InputError: Must specify 'env' query to select environment",
		"handler/frame?state=zz":         "NotAllowedError: OAuth state is invalid, missing env",
		"handler/frame?state=656e763d78": "NotFoundError: No configuration available for the 'x' environment of this provider.",
		"refresh?env=":                   "InputError: Must specify 'env' query to select environment",
		"start?env=development&flow=x":   `InputError: The flow is "x"; it must be popup or redirect`,
	} {
		if a := b.do(http.MethodGet, oidcURL+"/"+query, nil); a.failure() != want && !strings.Contains(want, "environment of this") || a.status >= 500 {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	// The pop-up has to tell the frontend, or it would wait.
	for _, query := range []string{"", "&state=zz", "&error=access_denied"} {
		m := b.do(http.MethodGet, oidcURL+"/handler/frame?env=development"+query, nil).message(t)
		if m.origin != portalURL || m.Error.Name != "NotAllowedError" || !strings.HasPrefix(m.Error.Message, "OAuth state is invalid") {
			t.Errorf("without a state%s: %+v", query, m)
		}
	}
	to, err := url.Parse(b.start("env=production"))
	if err != nil || to.Query().Get("client_id") != "another" || to.Query().Get("prompt") != "none" || to.Query().Get("code_challenge_method") != "S256" ||
		to.Query().Get("nonce") == "" {
		t.Errorf("production asks %s", to)
	}
	// What began in one environment doesn't end in another.
	callback := b.atProvider(b.start("env=development"), "jane")
	if m := b.do(http.MethodGet, callback+"&env=production", nil).message(t); m.Error.Message != "Invalid nonce" {
		t.Errorf("in another environment: %+v", m)
	}
}

// TestBadIDTokens has a provider, or somebody in between, answer with ID tokens that are not for this sign-in.
func TestBadIDTokens(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := p.op.storage.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	genuine := signing.Key().(*rsa.PrivateKey)
	public, err := x509.MarshalPKIXPublicKey(genuine.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	earlier := p.browser(t).popup("jane").Response.ProviderInfo.IDToken

	sign := func(algorithm jose.SignatureAlgorithm, key any, claims object) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", signing.ID()))
		if err != nil {
			t.Fatal(err)
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	with := func(claims object, name string, value any) object {
		claims[name] = value
		return claims
	}
	for name, forge := range map[string]func(claims object) string{
		"by another key": func(c object) string { return sign(jose.RS256, foreign, c) },
		"expired": func(c object) string {
			return sign(jose.RS256, genuine, with(c, "exp", time.Now().Add(-time.Hour).Unix()))
		},
		"for somebody else":             func(c object) string { return sign(jose.RS256, genuine, with(c, "aud", "another")) },
		"of another issuer":             func(c object) string { return sign(jose.RS256, genuine, with(c, "iss", "https://evil.test")) },
		"of another sign-in":            func(c object) string { return sign(jose.RS256, genuine, with(c, "nonce", "another")) },
		"without a nonce":               func(c object) string { delete(c, "nonce"); return sign(jose.RS256, genuine, c) },
		"about another user":            func(c object) string { return sign(jose.RS256, genuine, with(c, "sub", "3")) },
		"by another algorithm":          func(c object) string { return sign(jose.PS256, genuine, c) },
		"by the public key as a secret": func(c object) string { return sign(jose.HS256, publicPEM, c) },
		"replayed":                      func(object) string { return earlier },
		"unsigned": func(c object) string {
			payload, _ := json.Marshal(c)
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
		},
		"garbage": func(object) string { return "garbage" },
		"missing": func(object) string { return "" },
	} {
		p.op.setTamper(func(path string, body object) {
			if raw, ok := body["id_token"].(string); ok && path == "/oauth/token" {
				body["id_token"] = forge(claimsOf(t, raw))
			}
		})
		m := p.browser(t).popup("jane")
		if m.Error.Name != "AuthenticationError" || m.Error.Message != "The answer of the provider can't be trusted" || m.Response.BackstageIdentity != nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	// The other way round: user info about somebody else.
	p.op.setTamper(func(path string, body object) {
		if path == "/userinfo" {
			body["sub"] = "3"
		}
	})
	if m := p.browser(t).popup("jane"); m.Error.Name != "AuthenticationError" {
		t.Errorf("user info of another: %+v", m)
	}
}

func claimsOf(t testing.TB, token string) object {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims object
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
