package auth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
)

// offline has a client get a refresh token of the user.
func (p *toolPortal) offline(c registered) string {
	p.t.Helper()
	return p.refreshToken(p.exchange(p.approve(p.askFor("openid offline_access", c.ID, back)).Get("code"), back))
}

func (p *toolPortal) refreshToken(a answer) string {
	p.t.Helper()
	var tokens struct {
		Refresh string `json:"refresh_token"`
		Access  string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &tokens); err != nil || a.status != http.StatusOK || tokens.Refresh == "" || tokens.Access == "" {
		p.t.Fatalf("no refresh token: %d %s", a.status, a.body)
	}
	if who := p.b.get(p.URL()+"/api/todo/who", "Authorization", "Bearer "+tokens.Access); who.status != http.StatusOK {
		p.t.Errorf("the token is of %d %s", who.status, who.body)
	}
	return tokens.Refresh
}

func (p *toolPortal) form(path string, form url.Values) answer {
	p.t.Helper()
	return p.b.do(http.MethodPost, p.URL()+"/api/auth"+path, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

func (p *toolPortal) refresh(token string, c registered) answer {
	p.t.Helper()
	return p.form("/v1/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {c.ID}, "client_secret": {c.Secret}})
}

func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		t.Parallel()
		p := startToolPortal(t, backendtest.Config(object{"backend": object{"database": section}}))
		client, other := p.register(), p.register()
		first := p.offline(client)
		second := p.refreshToken(p.refresh(first, client))
		id, _, _ := strings.Cut(second, ".")
		for name, a := range map[string]answer{
			"used":                        p.refresh(first, client),
			"of another client":           p.refresh(second, other),
			"with another secret":         p.refresh(second, registered{client.ID, other.Secret}),
			"guessed":                     p.refresh(id+".x", client),
			"without a secret":            p.refresh(id, client),
			"empty":                       p.refresh("", client),
			"garbage":                     p.refresh("x.y.z", client),
			"that is a token of the user": p.refresh(p.token, client),
		} {
			if a.status == http.StatusOK || a.refusal() == "" || a.status >= http.StatusInternalServerError {
				t.Errorf("a token %s: %d %s", name, a.status, a.body)
			}
		}
		third := p.refreshToken(p.refresh(second, registered{ID: client.ID}))

		for name, c := range map[string]struct {
			form url.Values
			want int
		}{
			"by nobody":         {url.Values{"token": {third}}, http.StatusUnauthorized},
			"without a secret":  {url.Values{"token": {third}, "client_id": {client.ID}}, http.StatusUnauthorized},
			"by another client": {url.Values{"token": {third}, "client_id": {other.ID}, "client_secret": {other.Secret}}, http.StatusOK},
			"of a guess":        {url.Values{"token": {id + ".x"}, "client_id": {client.ID}, "client_secret": {client.Secret}}, http.StatusOK},
		} {
			if a := p.form("/v1/revoke", c.form); a.status != c.want {
				t.Errorf("revocation %s: %d %s", name, a.status, a.body)
			}
		}
		fourth := p.refreshToken(p.refresh(third, client)) // nobody has revoked it
		if a := p.form("/v1/revoke", url.Values{"token": {fourth}, "client_id": {client.ID}, "client_secret": {client.Secret}}); a.status != http.StatusOK || a.body != "" {
			t.Errorf("revocation: %d %s", a.status, a.body)
		}
		if a := p.refresh(fourth, client); a.refusal() != "invalid_grant" {
			t.Errorf("a revoked token: %d %s", a.status, a.body)
		}
		for _, token := range []string{first, second, third, fourth} {
			if strings.Contains(p.Log.String(), token) {
				t.Error("a refresh token is in the log")
			}
		}
	})
}

// TestEndsOfRefreshTokens looks at how long refresh tokens live, and how many there are.
func TestEndsOfRefreshTokens(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	p := startToolPortal(t)
	clients := []registered{p.register(), p.register(), p.register()}
	var tokens []string
	for _, c := range clients {
		tokens = append(tokens, p.offline(c))
		p.clock.Advance(time.Second)
	}
	if a := p.refresh(tokens[0], clients[0]); a.refusal() != "invalid_grant" {
		t.Errorf("a user with too many: %d %s", a.status, a.body)
	}
	again := p.offline(clients[1])
	if a := p.refresh(tokens[1], clients[1]); a.refusal() != "invalid_grant" {
		t.Errorf("a second one of a client: %d %s", a.status, a.body)
	}
	p.clock.Advance(30*day - time.Minute)
	again = p.refreshToken(p.refresh(again, clients[1]))
	p.clock.Advance(time.Minute)
	if a := p.refresh(tokens[2], clients[2]); a.refusal() != "invalid_grant" {
		t.Errorf("unused for 30 days: %d %s", a.status, a.body)
	}
	for range 11 {
		p.clock.Advance(29 * day)
		again = p.refreshToken(p.refresh(again, clients[1]))
	}
	p.clock.Advance(29 * day)
	if a := p.refresh(again, clients[1]); a.refusal() != "invalid_grant" {
		t.Errorf("after a year: %d %s", a.status, a.body)
	}
}

// TestRefreshOfStrangers has a user whom the catalog doesn't have.
func TestRefreshOfStrangers(t *testing.T) {
	t.Parallel()
	p := startToolPortalFor(t, "user:default/stranger")
	client := p.register()
	token := p.offline(client)
	for _, want := range []string{"User entity no longer exists in the catalog", "Invalid refresh token"} {
		if a := p.refresh(token, client); a.refusal() != "invalid_grant" || !strings.Contains(a.body, want) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// TestRefreshRace has many use a refresh token at once.
func TestRefreshRace(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t)
	client := p.register()
	token := p.offline(client)
	var all sync.WaitGroup
	var mu sync.Mutex
	succeeded := 0
	for range 8 {
		all.Go(func() {
			if a := p.refresh(token, client); a.status == http.StatusOK {
				mu.Lock()
				succeeded++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if succeeded != 1 {
		t.Errorf("%d got another", succeeded)
	}
}

func TestBadRevocations(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t)
	client := p.register()
	credentials := "&client_id=" + client.ID + "&client_secret=" + client.Secret
	for form, want := range map[string]string{
		"": "invalid_request", credentials: "invalid_request", "token=x": "invalid_client", "token=x&client_id=" + client.ID: "invalid_client",
		"token=x" + credentials: "",
	} {
		a := p.b.do(http.MethodPost, p.URL()+"/api/auth/v1/revoke", strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded")
		if a.refusal() != want {
			t.Errorf("%s: %d %s", form, a.status, a.body)
		}
	}
}

func TestRefreshSettings(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]object{
		"tokenLifetime": {"tokenLifetime": "0s"}, "maxRotationLifetime": {"maxRotationLifetime": object{"days": 30}}, "maxTokensPerUser": {"maxTokensPerUser": 0},
	} {
		settings["enabled"] = true
		_, err := tryPortal(t, object{"clientIdMetadataDocuments": object{"enabled": true}, "experimentalRefreshToken": settings})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
