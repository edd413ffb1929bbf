package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugins/auth/github"
	"github.com/portico-dev/portico/plugins/auth/gitlab"
	"github.com/portico-dev/portico/plugins/auth/okta"
)

// documented is a server that answers as the documentation of a provider has it.
type documented struct {
	authorize, token, user string // paths
	// granted and refused are what the token endpoint answers, with a status for the latter; profile is what the API answers.
	granted, refused string
	refusedStatus    int
	profile          string
}

func (d *documented) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content := "application/json; charset=utf-8"
	write := func(status int, body string) {
		if !strings.HasPrefix(body, "{") {
			content = "application/x-www-form-urlencoded; charset=utf-8"
		}
		w.Header().Set("Content-Type", content)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	switch r.URL.Path {
	case d.authorize:
		back := r.FormValue("redirect_uri") + "?" + url.Values{"code": {"right"}, "state": {r.FormValue("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusFound)
	case d.token:
		if r.PostFormValue("code") == "right" || r.PostFormValue("refresh_token") == "a-refresh-token" {
			write(http.StatusOK, d.granted)
			return
		}
		write(d.refusedStatus, d.refused)
	case d.user:
		if r.Header.Get("Authorization") != "Bearer an-access-token" {
			write(http.StatusUnauthorized, `{"message":"Bad credentials"}`)
			return
		}
		write(http.StatusOK, d.profile)
	default:
		write(http.StatusNotFound, `{"message":"Not Found"}`)
	}
}

// TestProviderFlows goes through whole sign-ins of a pop-up, with servers in place of the providers that can be elsewhere than in public.
func TestProviderFlows(t *testing.T) {
	t.Parallel()
	for id, c := range map[string]struct {
		module   backend.Feature
		url      string // the key with the URL of the server
		resolver string
		server   documented
	}{
		"github": {github.Module(), "enterpriseInstanceUrl", "usernameMatchingUserEntityName", documented{
			authorize: "/login/oauth/authorize", token: "/login/oauth/access_token", user: "/api/v3/user",
			granted: "access_token=an-access-token&expires_in=28800&refresh_token=a-refresh-token&refresh_token_expires_in=15897600&scope=&token_type=bearer",
			refused: "error=bad_verification_code&error_description=The+code+passed+is+incorrect+or+expired.", refusedStatus: http.StatusOK,
			profile: `{"login":"jane","id":1,"node_id":"MDQ6VXNlcjE=","avatar_url":"https://github.com/images/error/octocat_happy.gif","type":"User","name":"Jane Doe","email":"jane@example.com"}`,
		}},
		"gitlab": {gitlab.Module(), "audience", "usernameMatchingUserEntityName", documented{
			authorize: "/oauth/authorize", token: "/oauth/token", user: "/api/v4/user",
			granted: `{"access_token":"an-access-token","token_type":"bearer","expires_in":7200,"refresh_token":"a-refresh-token","created_at":1607635748}`,
			refused: `{"error":"invalid_grant","error_description":"The provided authorization grant is invalid, expired or revoked."}`, refusedStatus: http.StatusBadRequest,
			profile: `{"id":1,"username":"jane","email":"jane@example.com","name":"Jane Doe","state":"active","avatar_url":"http://localhost:3000/a.png","confirmed_at":"2012-05-23T09:05:22Z"}`,
		}},
		"okta": {okta.Module(), "audience", "emailMatchingUserEntityProfileEmail", documented{
			authorize: "/oauth2/v1/authorize", token: "/oauth2/v1/token", user: "/oauth2/v1/userinfo",
			granted: `{"access_token":"an-access-token","token_type":"Bearer","expires_in":3600,"scope":"openid email profile offline_access","refresh_token":"a-refresh-token"}`,
			refused: `{"error":"invalid_grant","error_description":"The authorization code is invalid or has expired."}`, refusedStatus: http.StatusBadRequest,
			profile: `{"sub":"00uid4BxXw6I6TV4m0g3","name":"Jane Doe","email":"jane@example.com","email_verified":true,"preferred_username":"jane@example.com"}`,
		}},
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(&c.server)
			t.Cleanup(server.Close)
			p := startPortal(t, object{"providers": object{id: object{"development": object{"clientId": "portal", "clientSecret": "a-secret", c.url: server.URL,
				"signIn": object{"resolvers": []any{object{"resolver": c.resolver}}}}}}}, c.module)
			base, b := p.URL()+"/api/auth/"+id, newBrowser(t)
			start := func() string {
				at := b.get(base + "/start?env=development&flow=popup&origin=" + url.QueryEscape(appOrigin)).header.Get("Location")
				if !strings.HasPrefix(at, server.URL+c.server.authorize+"?") {
					t.Fatalf("the browser is sent to %q", at)
				}
				return b.get(at).header.Get("Location")
			}
			if a := b.get(strings.Replace(start(), "code=right", "code=wrong", 1)); !strings.Contains(a.body, "AuthenticationError") || strings.Contains(a.body, "a-secret") {
				t.Errorf("with a wrong code: %d %s\n%s", a.status, a.body, p.Log)
			}
			a := b.get(start())
			for _, want := range []string{"user%3Adefault%2Fjane", "an-access-token", "Jane%20Doe", url.QueryEscape(appOrigin)} {
				if !strings.Contains(a.body, want) {
					t.Errorf("the message has no %s: %s\n%s", want, a.body, p.Log)
				}
			}
			if strings.Contains(a.body, "a-refresh-token") || strings.Contains(p.Log.String(), "-token\"") {
				t.Error("a token is where it shouldn't be")
			}
			script := []string{"X-Requested-With", "XMLHttpRequest"}
			if s := b.get(base+"/refresh?optional&env=development", script...).session(t); s.BackstageIdentity.Identity.UserEntityRef != "user:default/jane" {
				t.Errorf("the refresh answers %+v", s)
			}
			b.do(http.MethodPost, base+"/logout?env=development", nil, script...)
			if a := b.get(base+"/refresh?optional&env=development", script...); a.status != http.StatusUnauthorized {
				t.Errorf("after signing out: %d %s", a.status, a.body)
			}
		})
	}
}
