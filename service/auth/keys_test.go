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
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

func TestReplicasShareKeys(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		if section["connection"] == ":memory:" {
			t.Skip("a database in memory has no replicas")
		}
		clock := clockwork.NewFakeClock()
		replica := func() *portal {
			return newPortal(t, nil, backendtest.Config(map[string]any{"backend": map[string]any{"database": section}}),
				service.Root[clockwork.Clock](func() clockwork.Clock { return clock }))
		}
		a, b := replica(), replica()
		var tokens []string
		for _, p := range []*portal{a, b} {
			tokens = append(tokens, p.pluginToken("todo", "notes", p.plugins["todo"].auth.OwnCredentials()))
		}
		// Each replica knows the tokens of the other, which has never been asked.
		for _, p := range []*portal{a, b} {
			for i, token := range tokens {
				if got := p.get("/api/notes/who", token); got.status != http.StatusOK {
					t.Errorf("token %d: %d %s", i, got.status, got.message)
				}
			}
		}
		clock.Advance(3 * time.Hour)
		if keys, err := a.plugins["todo"].auth.PublicKeys(t.Context()); err != nil || len(keys) != 0 {
			t.Errorf("%d keys after three hours, %v", len(keys), err)
		}
	})
}

// TestKeysAreServedEarly has a plugin that calls others while it starts.
func TestKeysAreServedEarly(t *testing.T) {
	t.Parallel()
	var set struct{ Keys []json.RawMessage }
	early := plugin.New("early", plugin.Init(func(ctx context.Context, _ *echo.Group, a service.Auth, discovery service.Discovery) error {
		if _, err := a.PluginToken(ctx, a.OwnCredentials(), "todo"); err != nil {
			return err
		}
		base, err := discovery.BaseURL(ctx, "early")
		if err != nil {
			return err
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get(base + "/.backstage/auth/v1/jwks.json")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return json.NewDecoder(res.Body).Decode(&set)
	}))
	newPortal(t, nil, early)
	if len(set.Keys) != 1 {
		t.Errorf("%d keys", len(set.Keys))
	}
}

// publicKey is a row of the table in which Backstage has public keys.
type publicKey struct {
	bun.BaseModel `bun:"table:backstage_backend_public_keys__keys"`

	ID        string `bun:"id,pk,type:varchar(255)"`
	Key       string `bun:"key,type:text"`
	ExpiresAt string `bun:"expires_at,type:varchar(255)"`
}

// TestKeysOfBackstage has a database that a Backstage backend has used: the table is there, and has keys.
func TestKeysOfBackstage(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		var db *bun.DB
		var old service.Auth
		p := newPortal(t, nil, backendtest.Config(map[string]any{"backend": map[string]any{"database": section}}),
			plugin.New("old", plugin.Init(func(found *bun.DB, a service.Auth) { db, old = found, a })))
		if _, err := db.NewCreateTable().Model((*publicKey)(nil)).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := p.Clock.Now().UTC()
		const format = "2006-01-02T15:04:05.000Z"
		rows := []publicKey{
			{ID: "good", Key: `{"kid":"good"}`, ExpiresAt: now.Add(time.Minute).Format(format)},
			{ID: "expired", Key: `{"kid":"expired"}`, ExpiresAt: now.Add(-time.Minute).Format(format)},
			{ID: "broken", Key: `{`, ExpiresAt: now.Add(time.Minute).Format(format)},
		}
		if _, err := db.NewInsert().Model(&rows).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := old.PluginToken(t.Context(), old.OwnCredentials(), "notes"); err != nil {
			t.Fatal(err)
		}
		keys, err := old.PublicKeys(t.Context())
		if err != nil || len(keys) != 2 || string(keys[0]) != `{"kid":"good"}` {
			t.Errorf("%s, %v", keys, err)
		}
		var left []string
		if err := db.NewSelect().Model((*publicKey)(nil)).Column("id").Where("id IN ('good', 'expired')").Scan(t.Context(), &left); err != nil || len(left) != 1 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

func TestPluginsWithoutTokensHaveNoDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := newPortal(t, nil, backendtest.Config(map[string]any{"backend": map[string]any{"database": map[string]any{
		"client": "better-sqlite3", "connection": map[string]any{"directory": dir}}}}))
	if got := p.get("/api/notes/who", p.user(guest)); got.status != http.StatusOK {
		t.Fatal(got.status)
	}
	files := func() string {
		found, err := filepath.Glob(filepath.Join(dir, "*.sqlite"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.Join(found, " "), dir+"/", "")
	}
	if got := files(); got != "" {
		t.Errorf("databases before anybody needs one: %s", got)
	}
	p.pluginToken("todo", "notes", p.plugins["todo"].auth.OwnCredentials())
	if got := files(); got != "todo.sqlite" {
		t.Errorf("databases after plugin todo has signed: %s", got)
	}
}

func TestStaticKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, kind string, content []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pair := func(name string, curve elliptic.Curve) (public, private string) {
		key := must(ecdsa.GenerateKey(curve, rand.Reader))
		content, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		public = write(name+".pub", "PUBLIC KEY", content, err)
		content, err = x509.MarshalPKCS8PrivateKey(key)
		return public, write(name+".pem", "PRIVATE KEY", content, err)
	}
	newPublic, newPrivate := pair("new", elliptic.P256())
	oldPublic, oldPrivate := pair("old", elliptic.P384())
	settings := func(keys ...any) map[string]any {
		return map[string]any{"pluginKeyStore": map[string]any{"type": "static", "static": map[string]any{"keys": keys}}}
	}
	old := newPortal(t, settings(map[string]any{"keyId": "old", "publicKeyFile": oldPublic, "privateKeyFile": oldPrivate, "algorithm": "ES384"}))
	both := newPortal(t, settings(map[string]any{"keyId": "new", "publicKeyFile": newPublic, "privateKeyFile": newPrivate},
		map[string]any{"keyId": "old", "publicKeyFile": oldPublic, "algorithm": "ES384"}))
	for _, p := range []*portal{old, both} {
		token := p.pluginToken("todo", "notes", p.plugins["todo"].auth.OwnCredentials())
		if got := both.get("/api/notes/who", token); got.status != http.StatusOK || got.principal.Subject != "plugin:todo" {
			t.Errorf("%d %s", got.status, got.message)
		}
	}
	for name, test := range map[string]struct {
		key  map[string]any
		want string
	}{
		"two halves":      {map[string]any{"keyId": "k", "publicKeyFile": newPublic, "privateKeyFile": oldPrivate}, "are not the two parts of one key"},
		"no private key":  {map[string]any{"keyId": "k", "publicKeyFile": newPublic}, "privateKeyFile is required"},
		"swapped files":   {map[string]any{"keyId": "k", "publicKeyFile": newPrivate, "privateKeyFile": newPublic}, `PEM type "PRIVATE KEY"`},
		"wrong algorithm": {map[string]any{"keyId": "k", "publicKeyFile": newPublic, "privateKeyFile": newPrivate, "algorithm": "RS256"}, `"RS256"`},
		"symmetric":       {map[string]any{"keyId": "k", "publicKeyFile": newPublic, "privateKeyFile": newPrivate, "algorithm": "HS256"}, `"HS256"`},
	} {
		_, err := backendtest.TryStart(t, preparePortal(t).features(settings(test.key))...)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "static.keys") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBadEndpoints has the keys of users served by something that hangs, lies or does not end.
func TestBadEndpoints(t *testing.T) {
	t.Parallel()
	p := preparePortal(t)
	forger := must(usertoken.GenerateKey("forged"))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{forger.Public()}})
	}))
	defer elsewhere.Close()
	p.Backend = backendtest.Start(t, p.features(nil)...)
	genuine := publish(p.key)
	for _, test := range []struct {
		name  string
		serve echo.HandlerFunc
	}{
		{"a failure", func(echo.Context) error { return service.ServiceUnavailableError.Errorf("no") }},
		{"nothing there", func(c echo.Context) error { return c.NoContent(http.StatusNotFound) }},
		{"a web page", func(c echo.Context) error { return c.HTML(http.StatusOK, "<html>") }},
		{"another JSON", func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]any{"hello": 1}) }},
		{"keys that are none", func(c echo.Context) error {
			return c.JSON(http.StatusOK, map[string]any{"keys": []any{1, "x", nil, map[string]any{}}})
		}},
		{"a redirect", func(c echo.Context) error { return c.Redirect(http.StatusFound, elsewhere.URL) }},
		{"nothing at all", func(echo.Context) error { panic(http.ErrAbortHandler) }},
		{"half of it", func(c echo.Context) error {
			c.Response().Header().Set("Content-Length", "1000")
			return c.String(http.StatusOK, `{"keys":[`)
		}},
		{"too much", func(c echo.Context) error {
			_, err := c.Response().Write([]byte(`{"keys":["`))
			for err == nil {
				_, err = c.Response().Write([]byte(strings.Repeat("x", 1<<16)))
			}
			return err
		}},
		{"two keys of the name", publish(forger, must(usertoken.GenerateKey("forged")))},
	} {
		p.serveKeys(test.serve)
		if got := p.get("/api/todo/who", p.issue(forger, usertoken.Claims{Subject: guest})); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", test.name, got.status)
		}
		p.serveKeys(genuine)
		p.Clock.Advance(2 * time.Hour)
		if got := p.get("/api/todo/who", p.user(guest)); got.status != http.StatusOK {
			t.Errorf("after %s: %d %s", test.name, got.status, got.message)
		}
		p.Clock.Advance(2 * time.Hour)
	}
}

// TestHangingEndpoint shows that requests give up when their clients do, that only one fetch is under way, and that a backend stops in
// spite of it.
func TestHangingEndpoint(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	entered := make(chan struct{}, 1)
	p.serveKeys(func(c echo.Context) error {
		entered <- struct{}{}
		<-c.Request().Context().Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			if _, err := p.plugins["todo"].auth.Authenticate(ctx, p.user(guest)); err == nil {
				t.Error("a token is believed without a key")
			}
		})
	}
	<-entered
	cancel()
	waiting.Wait()
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches at the same time", n)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := p.plugins["todo"].auth.Authenticate(t.Context(), p.user(guest)); err == nil {
		t.Error("a token is believed after the end")
	}
}
