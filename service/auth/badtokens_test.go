package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

// part is a part of a token, as JSON in base64.
func part(fields map[string]any) string {
	encoded, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(encoded)
}

func decodePart(t testing.TB, encoded string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

// withHMAC signs with a shared secret.
func withHMAC(header, claims map[string]any, secret []byte) string {
	input := part(header) + "." + part(claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// sign signs any header and claims with a key, by go-jose, which leaves the header as it is but for alg and kid.
func sign(t testing.TB, key any, alg jose.SignatureAlgorithm, kid, typ string, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, options)
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

func TestBadUserTokens(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	good := p.user(guest)
	if got := p.get("/api/todo/who", good); got.status != http.StatusOK {
		t.Fatalf("a good token: %d %s", got.status, got.message)
	}
	parts := strings.Split(good, ".")
	header, claims := decodePart(t, parts[0]), decodePart(t, parts[1])
	with := func(fields map[string]any, name string, value any) map[string]any {
		changed := map[string]any{}
		for k, v := range fields {
			changed[k] = v
		}
		changed[name] = value
		if value == nil {
			delete(changed, name)
		}
		return changed
	}
	now := p.Clock.Now()
	other, err := usertoken.GenerateKey("first") // the same name as the real key
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	known, err := usertoken.NewKey("known", "ES256", private)
	if err != nil {
		t.Fatal(err)
	}
	p.serveKeys(publish(p.key, known))
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	jwk, err := known.Public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	signed := func(claims map[string]any) string {
		return sign(t, private, jose.ES256, "known", usertoken.Type, claims)
	}
	if got := p.get("/api/todo/who", signed(claims)); got.status != http.StatusOK {
		t.Fatalf("a token signed by go-jose: %d %s", got.status, got.message)
	}
	for name, token := range map[string]string{
		"expired":                        p.issue(p.key, usertoken.Claims{Subject: guest, IssuedAt: now.Add(-2 * time.Hour)}),
		"expired this moment":            p.issue(p.key, usertoken.Claims{Subject: guest, IssuedAt: now.Add(-time.Hour)}),
		"of a forger":                    p.issue(other, usertoken.Claims{Subject: guest}),
		"with another subject":           parts[0] + "." + part(with(claims, "sub", "user:default/admin")) + "." + parts[2],
		"with another header":            part(with(header, "kid", "known")) + "." + parts[1] + "." + parts[2],
		"with the identity proof":        parts[0] + "." + parts[1] + "." + claims["uip"].(string),
		"without a signature":            parts[0] + "." + parts[1] + ".",
		"of two parts":                   parts[0] + "." + parts[1],
		"of four parts":                  good + ".x",
		"algorithm none":                 part(with(header, "alg", "none")) + "." + parts[1] + ".",
		"algorithm None":                 part(with(header, "alg", "None")) + "." + parts[1] + ".",
		"no algorithm":                   part(with(header, "alg", nil)) + "." + parts[1] + "." + parts[2],
		"algorithm none, signed":         part(with(header, "alg", "none")) + "." + parts[1] + "." + parts[2],
		"HS256 under the public key":     withHMAC(with(with(header, "alg", "HS256"), "kid", "known"), claims, publicPEM),
		"HS256 under the JWK":            withHMAC(with(with(header, "alg", "HS256"), "kid", "known"), claims, jwk),
		"HS256 under the SPKI":           withHMAC(with(with(header, "alg", "HS256"), "kid", "known"), claims, public),
		"HS256 under nothing":            withHMAC(with(header, "alg", "HS256"), claims, nil),
		"ES384 under a P-256 key":        part(with(header, "alg", "ES384")) + "." + parts[1] + "." + parts[2],
		"RS256 under an EC key":          part(with(header, "alg", "RS256")) + "." + parts[1] + "." + parts[2],
		"a signature of zeros":           parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"critical extensions":            part(with(with(header, "crit", []string{"x"}), "x", 1)) + "." + parts[1] + "." + parts[2],
		"an embedded key":                part(with(with(header, "kid", nil), "jwk", json.RawMessage(jwk))) + "." + parts[1] + "." + parts[2],
		"an unknown key":                 p.issue(must(usertoken.GenerateKey("unknown")), usertoken.Claims{Subject: guest}),
		"no subject":                     signed(with(claims, "sub", nil)),
		"a number as subject":            signed(with(claims, "sub", 1)),
		"no expiry":                      signed(with(claims, "exp", nil)),
		"a text as expiry":               signed(with(claims, "exp", "tomorrow")),
		"no beginning":                   signed(with(claims, "iat", nil)),
		"not yet":                        signed(with(claims, "nbf", now.Add(time.Second).Unix())),
		"no type, another audience":      sign(t, private, jose.ES256, "known", "", with(claims, "aud", "elsewhere")),
		"another type":                   sign(t, private, jose.ES256, "known", "vnd.backstage.other", with(claims, "aud", "elsewhere")),
		"a plugin token of no plugin":    sign(t, private, jose.ES256, "known", "vnd.backstage.plugin", with(claims, "sub", "nowhere")),
		"a plugin token to another host": sign(t, private, jose.ES256, "known", "vnd.backstage.plugin", with(claims, "sub", "x@evil.example/..")),
		"a plugin token of a user":       sign(t, private, jose.ES256, "known", "vnd.backstage.plugin", with(with(claims, "sub", "auth"), "aud", "todo")),
		"too long":                       p.user(guest)[:10] + strings.Repeat("A", 40<<10),
		"not base64":                     "a.b.c",
		"claims that are no object":      part(header) + "." + base64.RawURLEncoding.EncodeToString([]byte("[]")) + "." + parts[2],
		"doubled claims":                 part(header) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"a","sub":"b"}`)) + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/api/todo/who", "/api/todo/open/who", "/api/todo/images/who"} {
				if len(token) > 20<<10 && strings.HasPrefix(path, "/api/todo/images") {
					continue // the same again
				}
				if got := p.get(path, token); got.status != http.StatusUnauthorized {
					t.Errorf("%s: %d %+v", path, got.status, got.principal)
				}
			}
			if got := p.get("/api/todo/images/who", "", "Cookie", "backstage-auth="+token); got.status != http.StatusUnauthorized {
				t.Errorf("as a cookie: %d %+v", got.status, got.principal)
			}
		})
	}
	if log := p.Log.String(); strings.Contains(log, parts[2]) || strings.Contains(log, parts[1]) {
		t.Error("there are tokens in the log")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestOtherAlgorithms shows that an auth plugin may sign with other algorithms, and that limited tokens work with them.
func TestOtherAlgorithms(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	for algorithm, signer := range map[string]crypto.Signer{
		"ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), "ES512": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"EdDSA": edwards, "RS256": must(rsa.GenerateKey(rand.Reader, 2048)), "PS512": must(rsa.GenerateKey(rand.Reader, 2048)),
	} {
		key, err := usertoken.NewKey(algorithm, algorithm, signer)
		if err != nil {
			t.Fatal(err)
		}
		p.serveKeys(publish(key))
		token := p.issue(key, usertoken.Claims{Subject: guest})
		if got := p.get("/api/todo/who", token); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", algorithm, got.status, got.message)
		}
		if got := p.get("/api/todo/images/who", p.limited(token)); got.status != http.StatusOK {
			t.Errorf("%s, limited: %d %s", algorithm, got.status, got.message)
		}
	}
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	if _, err := usertoken.NewKey("weak", "RS256", weak); err == nil {
		t.Error("a weak key signs")
	}
	p.serveKeys(func(c echo.Context) error {
		return c.JSON(http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &weak.PublicKey, KeyID: "weak"}}})
	})
	p.Clock.Advance(time.Minute) // so that there is no limit on getting keys
	token := sign(t, weak, jose.RS256, "weak", usertoken.Type, map[string]any{"sub": guest, "iat": p.Clock.Now().Unix(), "exp": p.Clock.Now().Unix() + 60})
	if got := p.get("/api/todo/who", token); got.status != http.StatusUnauthorized {
		t.Errorf("a weak key: %d", got.status)
	}
}

// TestForgedPluginTokens has a plugin whose keys belong to somebody who means ill: they are good for that plugin only.
func TestForgedPluginTokens(t *testing.T) {
	t.Parallel()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	evil := plugin.New("evil", plugin.Init(func(g *echo.Group, policies service.AuthPolicies) {
		policies.AllowUnauthenticated("/")
		g.GET("/keys", publish(must(usertoken.NewKey("evil", "ES256", private))))
	}))
	p := newPortal(t, nil, evil)
	now := p.Clock.Now().Unix()
	claims := func(sub, aud, obo string) map[string]any {
		c := map[string]any{"sub": sub, "aud": aud, "iat": now, "exp": now + 60}
		if obo != "" {
			c["obo"] = obo
		}
		return c
	}
	for name, token := range map[string]string{
		"in the name of another plugin": sign(t, private, jose.ES256, "evil", "vnd.backstage.plugin", claims("notes", "todo", "")),
		"with a path":                   sign(t, private, jose.ES256, "evil", "vnd.backstage.plugin", claims("evil/keys?", "todo", "")),
		"with an escaped path":          sign(t, private, jose.ES256, "evil", "vnd.backstage.plugin", claims("evil%2Fkeys%23", "todo", "")),
		"of a plugin with dots":         sign(t, private, jose.ES256, "evil", "vnd.backstage.plugin", claims("..", "todo", "")),
	} {
		if got := p.get("/api/todo/who", token); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %+v", name, got.status, got.principal)
		}
	}
}

func TestOnBehalfOf(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	token := p.issue(p.key, usertoken.Claims{Subject: guest, Expiry: p.Clock.Now().Add(10 * time.Minute)})
	forNotes := p.pluginToken("todo", "notes", p.credentials("todo", token))
	claims := decodePart(t, strings.Split(forNotes, ".")[1])
	if claims["sub"] != "todo" || claims["aud"] != "notes" || claims["obo"] != p.limited(token) ||
		claims["exp"] != float64(p.Clock.Now().Add(10*time.Minute).Unix()) {
		t.Errorf("claims: %v", claims)
	}
	if header := decodePart(t, strings.Split(forNotes, ".")[0]); header["typ"] != "vnd.backstage.plugin" || header["alg"] != "ES256" || header["kid"] == "" {
		t.Errorf("header: %v", header)
	}
	c := p.credentials("notes", forNotes)
	if c.Kind != service.AllowUser || c.Subject != guest || c.Actor != "plugin:todo" || c.Token.Reveal() != p.limited(token) ||
		c.ExpiresAt.Unix() != p.Clock.Now().Add(10*time.Minute).Unix() {
		t.Errorf("credentials: %s until %s", c, c.ExpiresAt)
	}
	// From there on to a third plugin, still for the user.
	back := p.credentials("todo", p.pluginToken("notes", "todo", c))
	if back.Subject != guest || back.Actor != "plugin:notes" {
		t.Errorf("further on: %s", back)
	}
	p.Clock.Advance(11 * time.Minute)
	if got := p.get("/api/notes/who", forNotes); got.status != http.StatusUnauthorized {
		t.Errorf("after the end of the user's token: %d", got.status)
	}
}

func TestRefusedPluginTokens(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	a := p.plugins["todo"].auth
	restricted := func(r map[string]service.AccessRestriction) service.Credentials {
		return service.Credentials{Kind: service.AllowService, Subject: "external:ci", Restrictions: r}
	}
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	now := p.Clock.Now().Unix()
	proofless := sign(t, private, jose.ES256, "k", usertoken.Type, map[string]any{"sub": guest, "iat": now, "exp": now + 60})
	for name, test := range map[string]struct {
		credentials service.Credentials
		want        error
	}{
		"nobody":                     {service.Credentials{Kind: service.AllowNone}, service.AuthenticationError},
		"no credentials at all":      {service.Credentials{}, service.AuthenticationError},
		"a user without token":       {service.Credentials{Kind: service.AllowUser, Subject: guest}, service.AuthenticationError},
		"a token without proof":      {service.Credentials{Kind: service.AllowUser, Token: service.NewToken(proofless)}, service.AuthenticationError},
		"access to another plugin":   {restricted(map[string]service.AccessRestriction{"todo": {}}), service.NotAllowedError},
		"access to some permissions": {restricted(map[string]service.AccessRestriction{"notes": {Permissions: []string{"p"}}}), service.NotAllowedError},
		"access to some actions":     {restricted(map[string]service.AccessRestriction{"notes": {Actions: []string{"read"}}}), service.NotAllowedError},
		"access to the plugin":       {restricted(map[string]service.AccessRestriction{"notes": {}}), nil},
		"unrestricted access":        {restricted(nil), nil},
	} {
		if _, err := a.PluginToken(t.Context(), test.credentials, "notes"); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	for name, c := range map[string]service.Credentials{"a service": a.OwnCredentials(), "nobody": {Kind: service.AllowNone}, "no token": {Kind: service.AllowUser}} {
		if _, _, err := a.LimitedUserToken(t.Context(), c); !errors.Is(err, service.AuthenticationError) {
			t.Errorf("a limited token for %s: %v", name, err)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	kid := func(token string) any { return decodePart(t, strings.Split(token, ".")[0])["kid"] }
	todo := p.plugins["todo"].auth
	first := p.pluginToken("todo", "notes", todo.OwnCredentials())
	p.credentials("notes", first)
	p.Clock.Advance(25 * time.Minute)
	if again := p.pluginToken("todo", "notes", todo.OwnCredentials()); again != first {
		t.Error("a token that is good for longer is not used again")
	}
	p.Clock.Advance(34 * time.Minute)
	late := p.pluginToken("todo", "notes", todo.OwnCredentials())
	if late == first || kid(late) != kid(first) {
		t.Errorf("a token at the end of the key's time is of key %v, and that of its beginning of %v", kid(late), kid(first))
	}
	p.credentials("notes", late)
	p.Clock.Advance(2 * time.Minute)
	// The key is replaced while somebody makes requests with a token of the old one; the other plugin has just looked at the keys.
	p.Clock.Advance(40 * time.Minute)
	p.credentials("notes", late)
	second := p.pluginToken("todo", "notes", todo.OwnCredentials())
	if kid(second) == kid(late) {
		t.Error("the key is not replaced")
	}
	p.credentials("notes", second)
	p.credentials("notes", late)
	if keys, err := todo.PublicKeys(t.Context()); err != nil || len(keys) != 2 {
		t.Errorf("%d keys are listed, %v", len(keys), err)
	}
	p.Clock.Advance(2 * time.Hour)
	if keys, err := todo.PublicKeys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("%d keys are listed after three hours, %v", len(keys), err)
	}
}

func TestRevokedKey(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	token := p.user(guest)
	p.credentials("todo", token)
	p.serveKeys(publish())
	p.Clock.Advance(11 * time.Minute)
	if got := p.get("/api/todo/who", token); got.status != http.StatusUnauthorized {
		t.Errorf("a remembered token whose key was withdrawn: %d", got.status)
	}
}

// TestRotationBetweenReplicas has a replica whose key is new to somebody who has just looked, again and again.
func TestRotationBetweenReplicas(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	published := []*usertoken.Key{p.key}
	use := func(name string) int {
		key := must(usertoken.GenerateKey(name))
		published = append(published, key)
		p.serveKeys(publish(published...))
		return p.get("/api/todo/who", p.issue(key, usertoken.Claims{Subject: guest})).status
	}
	p.get("/api/todo/who", p.user(guest))
	for i := range 10 {
		if got := use(strings.Repeat("x", i+1)); got != http.StatusOK {
			t.Fatalf("key %d: %d", i, got)
		}
	}
	if got := use("one too many"); got != http.StatusUnauthorized {
		t.Errorf("the key after the limit: %d", got)
	}
	if n := p.fetches.Load(); n != 11 {
		t.Errorf("%d fetches", n)
	}
	p.Clock.Advance(time.Minute)
	if got := use("later"); got != http.StatusOK {
		t.Errorf("a key after a minute: %d", got)
	}
}

func TestUnknownKeysAreLimited(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	forger := must(usertoken.GenerateKey("forged"))
	for range 50 {
		if got := p.get("/api/todo/who", p.issue(forger, usertoken.Claims{Subject: guest})); got.status != http.StatusUnauthorized {
			t.Fatal(got.status)
		}
	}
	if n := p.fetches.Load(); n > 11 {
		t.Errorf("50 forged tokens had the keys fetched %d times", n)
	}
}
