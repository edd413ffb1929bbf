package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
)

func TestLegacyTokens(t *testing.T) {
	t.Parallel()
	first, second := []byte("0123456789\xfb\xff\xfe short"), []byte("another secret")
	p := newPortal(t, map[string]any{
		"externalAccess": []any{
			map[string]any{"type": "legacy", "options": map[string]any{"secret": base64.URLEncoding.EncodeToString(first), "subject": "old"}},
		},
		"keys": []any{map[string]any{"secret": base64.StdEncoding.EncodeToString(second)}},
	})
	now := p.Clock.Now().Unix()
	hs256 := map[string]any{"alg": "HS256"}
	claims := func(fields ...any) map[string]any {
		c := map[string]any{"sub": "backstage-server", "exp": now + 60}
		for i := 0; i < len(fields); i += 2 {
			if c[fields[i].(string)] = fields[i+1]; fields[i+1] == nil {
				delete(c, fields[i].(string))
			}
		}
		return c
	}
	for _, test := range []struct {
		name, token string
		status      int
		subject     string
	}{
		{"good", withHMAC(hs256, claims(), first), 200, "old"},
		{"by the deprecated key", withHMAC(hs256, claims(), second), 200, "external:backstage-plugin"},
		{"without expiry", withHMAC(hs256, claims("exp", nil), first), 200, "old"},
		{"expired", withHMAC(hs256, claims("exp", now-1), first), 401, ""},
		{"of another secret", withHMAC(hs256, claims(), []byte("third")), 401, ""},
		{"of an empty secret", withHMAC(hs256, claims(), nil), 401, ""},
		{"of another subject", withHMAC(hs256, claims("sub", "someone"), first), 401, ""},
		{"with an audience", withHMAC(hs256, claims("aud", "x"), first), 401, ""},
		{"with another algorithm", withHMAC(map[string]any{"alg": "HS384"}, claims(), first), 401, ""},
		{"with algorithm none", withHMAC(map[string]any{"alg": "none"}, claims(), first), 401, ""},
		{"without its end", strings.TrimRight(withHMAC(hs256, claims(), first), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 401, ""},
	} {
		if got := p.get("/api/todo/who", test.token); got.status != test.status || got.principal.Subject != test.subject {
			t.Errorf("%s: got %d %q %+v, want %d %s", test.name, got.status, got.message, got.principal, test.status, test.subject)
		}
	}
}

func TestJWKSTokens(t *testing.T) {
	t.Parallel()
	idp := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{
			jose.JSONWebKey{Key: &idp.PublicKey, KeyID: "ec"}, jose.JSONWebKey{Key: &rsaKey.PublicKey, KeyID: "rsa"},
			map[string]any{"kty": "new", "kid": "unknown"}, "nonsense", map[string]any{"kty": "oct", "k": "AAAA", "kid": "shared"},
		}})
	}))
	defer server.Close()
	p := newPortal(t, map[string]any{"externalAccess": []any{map[string]any{"type": "jwks", "options": map[string]any{
		"url": server.URL, "issuer": "https://idp, https://idp2", "audience": []any{"portal", "other one"}, "algorithm": "ES256", "subjectPrefix": "idp",
	}}}})
	now := p.Clock.Now().Unix()
	claims := func(fields ...any) map[string]any {
		c := map[string]any{"sub": "robot", "iss": "https://idp", "aud": "portal", "exp": now + 60}
		for i := 0; i < len(fields); i += 2 {
			if c[fields[i].(string)] = fields[i+1]; fields[i+1] == nil {
				delete(c, fields[i].(string))
			}
		}
		return c
	}
	es256 := func(c map[string]any) string { return sign(t, idp, jose.ES256, "ec", "JWT", c) }
	for _, test := range []struct {
		name, token string
		status      int
	}{
		{"good", es256(claims()), 200},
		{"of the other issuer", es256(claims("iss", "https://idp2")), 200},
		{"with several audiences", es256(claims("aud", []string{"x", "one"})), 200},
		{"without a key id", sign(t, idp, jose.ES256, "", "", claims()), 200},
		{"of a wrong issuer", es256(claims("iss", "https://evil")), 401},
		{"without an issuer", es256(claims("iss", nil)), 401},
		{"for a wrong audience", es256(claims("aud", "elsewhere")), 401},
		{"without an audience", es256(claims("aud", nil)), 401},
		{"without a subject", es256(claims("sub", nil)), 401},
		{"expired", es256(claims("exp", now)), 401},
		{"with another algorithm", sign(t, rsaKey, jose.RS256, "rsa", "", claims()), 401},
		{"with an unknown key", sign(t, idp, jose.ES256, "other", "", claims()), 401},
		{"of a forger", sign(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), jose.ES256, "ec", "", claims()), 401},
		{"under a shared key that is listed", withHMAC(map[string]any{"alg": "HS256", "kid": "shared"}, claims(), []byte{0, 0, 0}), 401},
	} {
		got := p.get("/api/todo/who", test.token)
		if got.status != test.status || test.status == 200 && got.principal.Subject != "external:idp:robot" {
			t.Errorf("%s: %d %q %+v", test.name, got.status, got.message, got.principal)
		}
	}
	server.Close()
	p.Clock.Advance(15 * time.Minute)
	if got := p.get("/api/todo/who", es256(claims("exp", p.Clock.Now().Unix()+60))); got.status != http.StatusOK {
		t.Errorf("when the issuer can't be reached any more: %d", got.status)
	}
	p.Clock.Advance(time.Hour)
	if got := p.get("/api/todo/who", es256(claims("exp", p.Clock.Now().Unix()+60))); got.status != http.StatusUnauthorized {
		t.Errorf("when the issuer could not be reached for more than an hour: %d", got.status)
	}
}

func TestAccessRestrictions(t *testing.T) {
	t.Parallel()
	p := newPortal(t, map[string]any{"externalAccess": []any{
		map[string]any{"type": "static", "options": map[string]any{"token": "for-notes-only", "subject": "ci"}, "accessRestrictions": []any{
			map[string]any{"plugin": "notes", "permission": "a, b", "permissionAttribute": map[string]any{"action": []any{"read", "create,read"}}},
			map[string]any{"plugin": "catalog"},
		}},
		map[string]any{"type": "static", "options": map[string]any{"token": "for-everything", "subject": "admin"}},
	}})
	if got := p.get("/api/todo/who", "for-notes-only"); got.status != 403 || got.message != "This token's access is restricted to plugin(s) 'catalog', 'notes'" {
		t.Errorf("another plugin: %d %q", got.status, got.message)
	}
	c := p.credentials("notes", "for-notes-only")
	want := map[string]service.AccessRestriction{"notes": {Permissions: []string{"a", "b"}, Actions: []string{"read", "create"}}, "catalog": {}}
	if c.Subject != "ci" || !reflect.DeepEqual(c.Restrictions, want) {
		t.Errorf("%s: %+v", c, c.Restrictions)
	}
	if c := p.credentials("todo", "for-everything"); c.Restrictions != nil || c.Subject != "admin" {
		t.Errorf("%s: %+v", c, c.Restrictions)
	}
	for _, token := range []string{"for-notes-onl", "for-notes-only2", "FOR-EVERYTHING", "for-everything "} {
		if _, err := p.plugins["todo"].auth.Authenticate(t.Context(), token); err == nil {
			t.Errorf("%q is believed", token)
		}
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	external := func(entry map[string]any) map[string]any { return map[string]any{"externalAccess": []any{entry}} }
	static := func(options map[string]any, restrictions ...any) map[string]any {
		entry := map[string]any{"type": "static", "options": options}
		if restrictions != nil {
			entry["accessRestrictions"] = restrictions
		}
		return external(entry)
	}
	good := map[string]any{"token": "a-secret-token", "subject": "ci"}
	for name, test := range map[string]struct {
		settings map[string]any
		want     string
	}{
		"unknown type":        {external(map[string]any{"type": "magic", "options": map[string]any{}}), "magic"},
		"no type":             {external(map[string]any{"options": map[string]any{}}), "type"},
		"short token":         {static(map[string]any{"token": "sesame", "subject": "ci"}), "externalAccess[0].options.token must have at least 8 characters"},
		"token with spaces":   {static(map[string]any{"token": "open sesame", "subject": "ci"}), "externalAccess[0].options.token must not have spaces"},
		"no token":            {static(map[string]any{"subject": "ci"}), "externalAccess[0].options.token is required"},
		"no subject":          {static(map[string]any{"token": "a-secret-token"}), "externalAccess[0].options.subject is required"},
		"unknown action":      {static(good, map[string]any{"plugin": "a", "permissionAttribute": map[string]any{"action": "run"}}), `"run" is none of create`},
		"plugin twice":        {static(good, map[string]any{"plugin": "a"}, map[string]any{"plugin": "a"}), "restrictions for a already"},
		"no plugin":           {static(good, map[string]any{"permission": "x"}), "plugin"},
		"unknown key":         {static(good, map[string]any{"plugin": "a", "permisson": "x"}), "permisson"},
		"secret not base64":   {external(map[string]any{"type": "legacy", "options": map[string]any{"secret": "?!", "subject": "s"}}), "options.secret must be base64"},
		"empty secret":        {map[string]any{"keys": []any{map[string]any{"secret": ""}}}, "backend.auth.keys[0].secret must be base64"},
		"keys without URL":    {external(map[string]any{"type": "jwks", "options": map[string]any{}}), "options.url"},
		"keys in a file":      {external(map[string]any{"type": "jwks", "options": map[string]any{"url": "file:///etc/keys"}}), "file:///etc/keys"},
		"unknown key store":   {map[string]any{"pluginKeyStore": map[string]any{"type": "vault"}}, "pluginKeyStore"},
		"no key pairs":        {map[string]any{"pluginKeyStore": map[string]any{"type": "static", "static": map[string]any{"keys": []any{}}}}, "keys"},
		"missing key file":    {map[string]any{"pluginKeyStore": map[string]any{"type": "static", "static": map[string]any{"keys": []any{map[string]any{"keyId": "k", "publicKeyFile": "/nowhere.pem"}}}}}, "/nowhere.pem"},
		"key store without a": {map[string]any{"pluginKeyStore": map[string]any{"type": "static"}}, "key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := preparePortal(t)
			b, err := backendtest.TryStart(t, p.features(test.settings)...)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "backend.auth") && !strings.Contains(err.Error(), "auth") {
				t.Errorf("got %v, want something with %q", err, test.want)
			}
			if text := b.Log.String(); strings.Contains(text, "sesame") || err != nil && strings.Contains(err.Error(), "sesame") {
				t.Error("the secret shows")
			}
		})
	}
}
