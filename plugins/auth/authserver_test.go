package auth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/auth/guest"
)

// toolPortal is a portal whose users let programs act for them.
type toolPortal struct {
	*portal
	t     testing.TB
	b     *browser
	token string // of the user who is asked
}

func startToolPortal(t testing.TB, more ...backend.Feature) *toolPortal {
	t.Helper()
	return startToolPortalFor(t, "user:default/jane", more...)
}

func startToolPortalFor(t testing.TB, user string, more ...backend.Feature) *toolPortal {
	t.Helper()
	p := &toolPortal{t: t, b: newBrowser(t)}
	p.portal = startPortal(t, object{
		"experimentalDynamicClientRegistration": object{"enabled": true}, "clientIdMetadataDocuments": object{"enabled": true},
		"experimentalRefreshToken": object{"enabled": true, "maxTokensPerUser": 2},
		"providers":                object{"guest": object{"dangerouslyAllowOutsideDevelopment": true, "userEntityRef": user}},
	}, append(more, guest.Module(), todo())...)
	p.token = p.b.get(p.URL() + "/api/auth/guest/refresh").session(t).BackstageIdentity.Token
	return p
}

const (
	verifier = "a-code-verifier-that-is-long-enough-0123456789"
	back     = "http://127.0.0.1:9999/callback?x=y"
)

func challengeOf(verifier string) string {
	hash := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

type registered struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

func (p *toolPortal) json(method, path, body string, headers ...string) answer {
	p.t.Helper()
	return p.b.do(method, p.URL()+"/api/auth"+path, strings.NewReader(body), append(headers, "Content-Type", "application/json")...)
}

func (p *toolPortal) register() registered {
	p.t.Helper()
	a := p.json(http.MethodPost, "/v1/register", `{"client_name":"A tool","redirect_uris":["`+back+`"]}`)
	var r registered
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.status != http.StatusCreated || r.ID == "" || r.Secret == "" {
		p.t.Fatalf("no client: %d %s", a.status, a.body)
	}
	return r
}

// ask begins an authorization and returns the id of the session.
func (p *toolPortal) ask(clientID, redirect string) string {
	p.t.Helper()
	return p.askFor("openid", clientID, redirect)
}

func (p *toolPortal) askFor(scope, clientID, redirect string) string {
	p.t.Helper()
	query := url.Values{"client_id": {clientID}, "redirect_uri": {redirect}, "response_type": {"code"}, "state": {"a state"}, "scope": {scope},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}}
	a := p.b.get(p.URL() + "/api/auth/v1/authorize?" + query.Encode())
	id, ok := strings.CutPrefix(a.header.Get("Location"), appOrigin+"/portal/oauth2/authorize/")
	if a.status != http.StatusFound || !ok {
		p.t.Fatalf("the user isn't asked: %d %s %s", a.status, a.header.Get("Location"), a.body)
	}
	return id
}

// approve has the user agree, and returns the query with which the browser goes back to the client.
func (p *toolPortal) approve(session string) url.Values {
	p.t.Helper()
	a := p.json(http.MethodPost, "/v1/sessions/"+session+"/approve", "", "Authorization", "Bearer "+p.token)
	var body struct{ RedirectURL string }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK {
		p.t.Fatalf("no consent: %d %s", a.status, a.body)
	}
	to, err := url.Parse(body.RedirectURL)
	if err != nil {
		p.t.Fatal(err)
	}
	return to.Query()
}

// exchange asks for a token, with changes to what is right.
func (p *toolPortal) exchange(code, redirect string, changes ...string) answer {
	p.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	var headers []string
	for i := 0; i < len(changes); i += 2 {
		if changes[i] == "Authorization" {
			headers = changes[i : i+2]
		} else {
			form.Set(changes[i], changes[i+1])
		}
	}
	return p.b.do(http.MethodPost, p.URL()+"/api/auth/v1/token", strings.NewReader(form.Encode()),
		append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
}

// refusal is the error of OAuth in an answer.
func (a answer) refusal() string {
	var body struct{ Error, Description string }
	_ = json.Unmarshal([]byte(a.body), &body)
	return body.Error
}

func TestAuthorizationServer(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		t.Parallel()
		p := startToolPortal(t, backendtest.Config(object{"backend": object{"database": section}}))
		cli := p.URL() + "/api/auth/.well-known/oauth-client/cli.json"
		for _, c := range []struct{ id, redirect, name string }{
			{p.register().ID, back, "A tool"}, {cli, "http://127.0.0.1:8055/callback", "Backstage CLI"}, {cli, "http://127.0.0.1:45678/callback", "Backstage CLI"},
		} {
			session := p.ask(c.id, c.redirect)
			var shown struct{ ID, ClientID, ClientName, Scope, RedirectURI string }
			a := p.b.get(p.URL() + "/api/auth/v1/sessions/" + session)
			if err := json.Unmarshal([]byte(a.body), &shown); err != nil || shown.ID != session || shown.ClientID != c.id || shown.ClientName != c.name ||
				shown.Scope != "openid" || shown.RedirectURI != c.redirect {
				t.Errorf("the user is shown %s", a.body)
			}
			query := p.approve(session)
			if query.Get("state") != "a state" || query.Get("x") != map[bool]string{true: "y"}[c.redirect == back] {
				t.Errorf("the client gets %v", query)
			}
			a = p.exchange(query.Get("code"), c.redirect, "client_id", c.id)
			var tokens struct {
				AccessToken string `json:"access_token"`
				IDToken     string `json:"id_token"`
				TokenType   string `json:"token_type"`
				ExpiresIn   int    `json:"expires_in"`
				Scope       string
			}
			if err := json.Unmarshal([]byte(a.body), &tokens); err != nil || a.status != http.StatusOK || tokens.TokenType != "Bearer" ||
				tokens.ExpiresIn != 3600 || tokens.Scope != "openid" || tokens.IDToken != tokens.AccessToken || a.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("no token: %d %s", a.status, a.body)
			}
			who := p.b.get(p.URL()+"/api/todo/who", "Authorization", "Bearer "+tokens.AccessToken)
			if !strings.Contains(who.body, "user:default/jane") || !strings.Contains(who.body, "group:default/payments") {
				t.Errorf("the token is of %d %s", who.status, who.body)
			}
			if again := p.exchange(query.Get("code"), c.redirect); again.refusal() != "invalid_grant" || again.status != http.StatusBadRequest {
				t.Errorf("the code a second time: %d %s", again.status, again.body)
			}
			if strings.Contains(p.Log.String(), query.Get("code")) || strings.Contains(p.Log.String(), tokens.AccessToken) {
				t.Error("a secret is in the log")
			}
		}
	})
}

func TestRefusedConsent(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t)
	session := p.ask(p.register().ID, back)
	a := p.json(http.MethodPost, "/v1/sessions/"+session+"/reject", "", "Authorization", "Bearer "+p.token)
	if !strings.Contains(a.body, "error=access_denied") || !strings.Contains(a.body, "state=a+state") {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, action := range []string{"", "/approve", "/reject"} {
		method := http.MethodPost
		if action == "" {
			method = http.MethodGet
		}
		if a := p.json(method, "/v1/sessions/"+session+action, "", "Authorization", "Bearer "+p.token); a.status != http.StatusBadRequest || a.refusal() != "invalid_request" {
			t.Errorf("%s afterwards: %d %s", action, a.status, a.body)
		}
	}
	late := p.ask(p.register().ID, back)
	p.clock.Advance(time.Hour)
	p.token = p.b.get(p.URL() + "/api/auth/guest/refresh").session(t).BackstageIdentity.Token
	if a := p.json(http.MethodPost, "/v1/sessions/"+late+"/approve", "", "Authorization", "Bearer "+p.token); a.status != http.StatusBadRequest {
		t.Errorf("an hour later: %d %s", a.status, a.body)
	}
}

// TestConsentIsOfUsers has others agree than a user in person.
func TestConsentIsOfUsers(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t, backendtest.Config(object{"backend": object{"auth": object{"externalAccess": []any{
		object{"type": "static", "options": object{"token": "a-static-token", "subject": "ci"}},
	}}}}))
	session := p.ask(p.register().ID, back)
	for name, header := range map[string]string{"nobody": "", "a program": "Bearer a-static-token"} {
		for _, action := range []string{"approve", "reject"} {
			if a := p.json(http.MethodPost, "/v1/sessions/"+session+"/"+action, "", "Authorization", header); a.status != http.StatusForbidden || a.refusal() != "access_denied" {
				t.Errorf("%s by %s: %d %s", action, name, a.status, a.body)
			}
		}
	}
	if a := p.json(http.MethodPost, "/v1/sessions/"+session+"/approve", "", "Authorization", "Bearer garbage"); a.status != http.StatusUnauthorized {
		t.Errorf("by a bad token: %d %s", a.status, a.body)
	}
	// A cookie alone, which a page of another site could have sent along, is not enough.
	cookie := p.b.get(p.URL()+"/api/todo/.backstage/auth/v1/cookie", "Authorization", "Bearer "+p.token).header.Get("Set-Cookie")
	cookie, _, _ = strings.Cut(cookie, ";")
	if a := p.json(http.MethodPost, "/v1/sessions/"+session+"/approve", "", "Cookie", cookie); cookie == "" || a.status != http.StatusForbidden {
		t.Errorf("by the cookie %q: %d %s", cookie, a.status, a.body)
	}
}

// TestStolenCodes has others than the client come with a code, each with one of its own.
func TestStolenCodes(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t)
	client, other := p.register(), p.register()
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	for name, c := range map[string]struct {
		changes []string
		want    string
	}{
		"without a verifier":     {[]string{"code_verifier", ""}, "invalid_grant"},
		"with another verifier":  {[]string{"code_verifier", verifier + "x"}, "invalid_grant"},
		"with the challenge":     {[]string{"code_verifier", challengeOf(verifier)}, "invalid_grant"},
		"back to somewhere else": {[]string{"redirect_uri", "http://127.0.0.1:1/"}, "invalid_grant"},
		"as another client":      {[]string{"client_id", other.ID}, "invalid_grant"},
		"with its secret":        {[]string{"client_id", other.ID, "client_secret", other.Secret}, "invalid_grant"},
		"with a wrong secret":    {[]string{"client_id", client.ID, "client_secret", "wrong"}, "invalid_client"},
		"with a wrong header":    {[]string{"Authorization", basic(client.ID, "wrong")}, "invalid_client"},
		"with two ids":           {[]string{"Authorization", basic(client.ID, client.Secret), "client_id", other.ID}, "invalid_client"},
		"without a code":         {[]string{"code", ""}, "invalid_request"},
		"by another grant":       {[]string{"grant_type", "password"}, "unsupported_grant_type"},
		"by no grant":            {[]string{"grant_type", ""}, "invalid_request"},
		"with a code of nobody":  {[]string{"code", "x"}, "invalid_grant"},
		"with the right secret":  {[]string{"Authorization", basic(client.ID, client.Secret)}, ""},
	} {
		code := p.approve(p.ask(client.ID, back)).Get("code")
		if a := p.exchange(code, back, c.changes...); a.refusal() != c.want {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	late := p.approve(p.ask(client.ID, back)).Get("code")
	p.clock.Advance(10 * time.Minute)
	if a := p.exchange(late, back); a.refusal() != "invalid_grant" {
		t.Errorf("too late: %d %s", a.status, a.body)
	}
}

// TestCodeRace has many come with a code at once.
func TestCodeRace(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t)
	code := p.approve(p.ask(p.register().ID, back)).Get("code")
	var all sync.WaitGroup
	var mu sync.Mutex
	succeeded := 0
	for range 8 {
		all.Go(func() {
			if a := p.exchange(code, back); a.status == http.StatusOK {
				mu.Lock()
				succeeded++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if succeeded != 1 {
		t.Errorf("%d got a token", succeeded)
	}
}

// TestBadAuthorizations never lead back to the client.
func TestBadAuthorizations(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t)
	client := p.register()
	cli := p.URL() + "/api/auth/.well-known/oauth-client/cli.json"
	for name, change := range map[string]url.Values{
		"an unknown client":             {"client_id": {"x"}},
		"no client":                     {"client_id": nil},
		"another address":               {"redirect_uri": {"http://127.0.0.1:9999/other"}},
		"another host":                  {"redirect_uri": {"http://evil.com/callback?x=y"}},
		"no address":                    {"redirect_uri": nil},
		"a script":                      {"redirect_uri": {"javascript:alert(1)"}},
		"another flow":                  {"response_type": {"token"}},
		"the challenge in plain":        {"code_challenge_method": {"plain"}},
		"no method":                     {"code_challenge_method": nil},
		"a challenge that is none":      {"code_challenge": {"x"}},
		"a public client, no PKCE":      {"client_id": {cli}, "redirect_uri": {"http://127.0.0.1:8055/callback"}, "code_challenge": nil},
		"a public client elsewhere":     {"client_id": {cli}, "redirect_uri": {"http://evil.com:8055/callback"}},
		"a document that isn't allowed": {"client_id": {"https://evil.com/client.json"}},
		"a document inside":             {"client_id": {"https://claude.ai@127.0.0.1/client.json"}},
		"a state without end":           {"state": {strings.Repeat("x", 3000)}},
	} {
		query := url.Values{"client_id": {client.ID}, "redirect_uri": {back}, "response_type": {"code"}, "code_challenge": {challengeOf(verifier)},
			"code_challenge_method": {"S256"}}
		for k, v := range change {
			query[k] = v
		}
		if a := p.b.get(p.URL() + "/api/auth/v1/authorize?" + query.Encode()); a.status != http.StatusBadRequest || !strings.HasPrefix(a.failure(), "InputError: ") {
			t.Errorf("%s: %d %s %s", name, a.status, a.header.Get("Location"), a.body)
		}
	}
}

func TestBadRegistrations(t *testing.T) {
	t.Parallel()
	p := startToolPortal(t)
	for _, body := range []string{
		`{"redirect_uris":["http://evil.com/callback"]}`, `{"redirect_uris":["javascript:alert(1)"]}`, `{"redirect_uris":["http://localhost@evil.com/"]}`,
		`{"redirect_uris":["http://localhost.evil.com/"]}`, `{"client_name":"` + strings.Repeat("x", 300) + `"}`, `nonsense`, ``,
		`{"client_name":"A tool"}`, `{"redirect_uris":[]}`, `null`,
	} {
		if a := p.json(http.MethodPost, "/v1/register", body); a.status != http.StatusBadRequest || a.refusal() != "invalid_request" {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// TestNoAuthorizationServer has it switched off, which is the default.
func TestNoAuthorizationServer(t *testing.T) {
	t.Parallel()
	p := startPortal(t, guests(nil), guest.Module())
	b := newBrowser(t)
	for _, path := range []string{"GET /v1/authorize", "POST /v1/token", "POST /v1/register", "GET /.well-known/oauth-client/cli.json"} {
		method, path, _ := strings.Cut(path, " ")
		if a := b.do(method, p.URL()+"/api/auth"+path, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := b.get(p.URL() + "/api/auth/.well-known/openid-configuration"); strings.Contains(a.body, "registration_endpoint") {
		t.Error(a.body)
	}
	for name, settings := range map[string]object{
		"a pattern without a scheme": {"clientIdMetadataDocuments": object{"enabled": true, "allowedClientIdPatterns": []any{"claude.ai/*"}}},
		"a redirect without one":     {"experimentalDynamicClientRegistration": object{"enabled": true, "allowedRedirectUriPatterns": []any{"//localhost"}}},
	} {
		if _, err := tryPortal(t, settings); err == nil || !strings.Contains(err.Error(), "Patterns") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
