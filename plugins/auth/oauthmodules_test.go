package auth_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/authtest"
	"github.com/portico-dev/portico/plugins/auth/github"
	"github.com/portico-dev/portico/plugins/auth/gitlab"
	"github.com/portico-dev/portico/plugins/auth/google"
	"github.com/portico-dev/portico/plugins/auth/microsoft"
	"github.com/portico-dev/portico/plugins/auth/oauth2"
	"github.com/portico-dev/portico/plugins/auth/okta"
	"github.com/portico-dev/portico/service"
)

const callbackURL = "https://portal.example.com/api/auth/x/handler/frame"

// forge stands in for a provider as its documentation describes it: a token endpoint that looks at everything it gets, and an API.
type forge struct {
	t       *testing.T
	token   string // its URL
	answer  object // of the token endpoint
	api     map[string]any
	header  bool         // the client proves itself in a header
	asked   []url.Values // of the token endpoint
	revoked []string
}

func (f *forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := "https://" + r.Host + r.URL.Path
	_ = r.ParseForm()
	switch {
	case at == f.token:
		id, secret, basic := r.BasicAuth()
		if !basic {
			id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
		}
		if id != "portal" || secret != "a-secret" || basic != f.header {
			f.t.Errorf("the client is %q, %q", id, secret)
		}
		f.asked = append(f.asked, r.PostForm)
		w.Header().Set("Content-Type", "application/json")
		if r.PostFormValue("code") == "wrong" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"with a-secret in it"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(f.answer)
	case strings.HasSuffix(at, "/revoke"):
		f.revoked = append(f.revoked, r.PostFormValue("token"))
	case f.api[at] != nil:
		if r.Header.Get("Authorization") != "Bearer access" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if text, ok := f.api[at].(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		_ = json.NewEncoder(w).Encode(f.api[at])
	default:
		f.t.Errorf("nobody should ask %s", at)
		w.WriteHeader(http.StatusNotFound)
	}
}

// realEnvironment has all hosts of a provider be a server with HTTPS.
func realEnvironment(t *testing.T, settings object, handler http.Handler) auth.Environment {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	dialer := &net.Dialer{Timeout: time.Minute}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // its certificate is for none of the hosts
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, server.Listener.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	e := authtest.Environment(settings, nil)
	e.Client = &http.Client{Transport: transport, Timeout: time.Minute}
	return e
}

// idToken is an ID token that nobody has signed.
func idToken(claims object) string {
	payload, _ := json.Marshal(claims)
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".x"
}

func TestOAuthProviders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		module   plugin.Module
		settings object
		start    string // where the browser is sent
		params   object // of that
		pkce     bool
		forge    forge
		want     auth.Login
	}{
		"github": {
			module: github.Module(), start: "https://github.com/login/oauth/authorize", params: object{"scope": "read:user"}, pkce: true,
			forge: forge{token: "https://github.com/login/oauth/access_token", answer: object{"scope": "read:user,repo"}, api: object{
				"https://api.github.com/user": object{"login": "jane", "node_id": "N_1", "name": "Jane", "email": "jane@example.com", "avatar_url": "https://x/y"}}},
			want: auth.Login{Username: "jane", UserID: "N_1", Profile: auth.Profile{Email: "jane@example.com", DisplayName: "Jane", Picture: "https://x/y"}},
		},
		"github enterprise": {
			module: github.Module(), settings: object{"enterpriseInstanceUrl": "https://github.example.com/"}, pkce: true,
			start: "https://github.example.com/login/oauth/authorize",
			forge: forge{token: "https://github.example.com/login/oauth/access_token", answer: object{"refresh_token": "r", "expires_in": 60}, api: object{
				"https://github.example.com/api/v3/user": object{"login": "jane", "name": nil, "email": nil}}},
			want: auth.Login{Username: "jane", Profile: auth.Profile{DisplayName: "jane"}},
		},
		"gitlab": {
			module: gitlab.Module(), settings: object{"audience": "https://gitlab.example.com"}, start: "https://gitlab.example.com/oauth/authorize", pkce: true,
			forge: forge{token: "https://gitlab.example.com/oauth/token", answer: object{"refresh_token": "r"}, api: object{
				"https://gitlab.example.com/api/v4/user": object{"id": 7, "username": "jane", "name": "Jane", "email": "jane@example.com", "confirmed_at": "2026-01-01T00:00:00Z"}}},
			want: auth.Login{Username: "jane", UserID: "7", Profile: auth.Profile{Email: "jane@example.com", DisplayName: "Jane"}, Claims: object{"host": "gitlab.example.com"}},
		},
		"gitlab, not confirmed": {
			module: gitlab.Module(), start: "https://gitlab.com/oauth/authorize", pkce: true,
			forge: forge{token: "https://gitlab.com/oauth/token", answer: object{}, api: object{
				"https://gitlab.com/api/v4/user": object{"id": 7, "username": "jane", "email": "ceo@example.com", "confirmed_at": nil}}},
			want: auth.Login{Username: "jane", UserID: "7", Claims: object{"host": "gitlab.com"}},
		},
		"google": {
			module: google.Module(), start: "https://accounts.google.com/o/oauth2/v2/auth", pkce: true,
			params: object{"access_type": "offline", "prompt": "consent", "include_granted_scopes": "true"},
			forge: forge{token: "https://oauth2.googleapis.com/token", answer: object{"refresh_token": "r"}, api: object{
				"https://openidconnect.googleapis.com/v1/userinfo": object{"sub": "1", "name": "Jane", "email": "jane@example.com", "email_verified": true}}},
			want: auth.Login{UserID: "1", Profile: auth.Profile{Email: "jane@example.com", DisplayName: "Jane"},
				Claims: object{"sub": "1", "name": "Jane", "email": "jane@example.com", "email_verified": true}},
		},
		"okta": {
			module: okta.Module(), settings: object{"audience": "https://acme.okta.com", "authServerId": "default", "idp": "0oa1"}, pkce: true,
			start: "https://acme.okta.com/oauth2/default/v1/authorize", params: object{"idp": "0oa1"},
			forge: forge{token: "https://acme.okta.com/oauth2/default/v1/token", header: true, answer: object{"refresh_token": "r"}, api: object{
				"https://acme.okta.com/oauth2/default/v1/userinfo": object{"sub": "1", "preferred_username": "jane", "email": "jane@example.com", "email_verified": false}}},
			want: auth.Login{Username: "jane", UserID: "1", Profile: auth.Profile{DisplayName: "jane"},
				Claims: object{"sub": "1", "preferred_username": "jane", "email": "jane@example.com", "email_verified": false}},
		},
		"oauth2": {
			module: oauth2.Module(), start: "https://idp.example.com/authorize?tenant=x",
			settings: object{"authorizationUrl": "https://idp.example.com/authorize?tenant=x", "tokenUrl": "https://idp.example.com/token", "includeBasicAuth": true},
			forge: forge{token: "https://idp.example.com/token", header: true, answer: object{"refresh_token": "r",
				"id_token": idToken(object{"aud": []any{"portal"}, "sub": "1", "preferred_username": "jane"})}},
			want: auth.Login{Username: "jane", UserID: "1", Profile: auth.Profile{DisplayName: "jane"},
				Claims: object{"aud": []any{"portal"}, "sub": "1", "preferred_username": "jane"}},
		},
		"microsoft": {
			module: microsoft.Module(), settings: object{"tenantId": "acme", "domainHint": "example.com"}, pkce: true,
			start: "https://login.microsoftonline.com/acme/oauth2/v2.0/authorize", params: object{"domain_hint": "example.com"},
			forge: forge{token: "https://login.microsoftonline.com/acme/oauth2/v2.0/token", answer: object{"refresh_token": "r", "scope": "openid User.Read"}, api: object{
				"https://graph.microsoft.com/v1.0/me/":                    object{"id": "1", "displayName": "Jane", "mail": "jane@example.com", "userPrincipalName": "jane@acme"},
				"https://graph.microsoft.com/v1.0/me/photos/96x96/$value": "JPEG"}},
			want: auth.Login{Username: "jane@acme", UserID: "1", Profile: auth.Profile{Email: "jane@example.com", DisplayName: "Jane", Picture: "data:image/jpeg;base64,SlBFRw=="}},
		},
		"microsoft, any tenant": {
			module: microsoft.Module(), settings: object{"tenantId": "common", "skipUserProfile": true}, pkce: true,
			start: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
			forge: forge{token: "https://login.microsoftonline.com/common/oauth2/v2.0/token", answer: object{
				"id_token": idToken(object{"aud": "portal", "oid": "1", "email": "ceo@example.com", "name": "Jane"})}},
			want: auth.Login{UserID: "1", Profile: auth.Profile{DisplayName: "Jane"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := c.forge
			f.t = t
			f.answer["access_token"], f.answer["token_type"] = "access", "bearer"
			settings := object{"clientId": "portal", "clientSecret": "a-secret"}
			for k, v := range c.settings {
				settings[k] = v
			}
			provider := authtest.Run(t, c.module, nil).OAuth[0]
			authenticator, err := provider.New(realEnvironment(t, settings, &f))
			if err != nil {
				t.Fatal(err)
			}
			attempt := auth.OAuthAttempt{CallbackURL: callbackURL, Nonce: "nonce", Verifier: strings.Repeat("v", 43)}
			to, err := authenticator.Start(t.Context(), auth.OAuthStart{OAuthAttempt: attempt, Scope: strings.Join(provider.Scopes.Required, " "), State: "state"})
			if err != nil || !strings.HasPrefix(to, c.start) {
				t.Fatalf("the browser is sent to %s, %v", to, err)
			}
			sent, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			params := object{"client_id": "portal", "redirect_uri": callbackURL, "response_type": "code", "state": "state"}
			if sent.Query().Has("prompt") != (c.params["prompt"] != nil) {
				t.Errorf("the user is prompted for %q", sent.Query().Get("prompt"))
			}
			if c.pkce {
				hash := sha256.Sum256([]byte(attempt.Verifier))
				params["code_challenge"], params["code_challenge_method"] = base64.RawURLEncoding.EncodeToString(hash[:]), "S256"
			}
			for k, v := range c.params {
				params[k] = v
			}
			for k, v := range params {
				if sent.Query().Get(k) != v {
					t.Errorf("the parameter %s is %q, want %q", k, sent.Query().Get(k), v)
				}
			}

			login, err := authenticator.Authenticate(t.Context(), auth.OAuthCallback{OAuthAttempt: attempt, Query: url.Values{"code": {"right"}}})
			if err != nil || !reflect.DeepEqual(login.Login, c.want) || login.AccessToken.Reveal() != "access" {
				t.Fatalf("the login is %+v, %v", login, err)
			}
			if asked := f.asked[0]; asked.Get("code") != "right" || asked.Get("redirect_uri") != callbackURL || c.pkce && asked.Get("code_verifier") != attempt.Verifier {
				t.Errorf("the token endpoint was asked %v", asked)
			}
			if token := login.RefreshToken; token.Reveal() != "" {
				login, err = authenticator.Refresh(t.Context(), auth.OAuthRefresh{RefreshToken: token, Scope: "a b", ScopeGranted: true})
				if err != nil || !reflect.DeepEqual(login.Login, c.want) {
					t.Errorf("the login is %+v, %v", login, err)
				}
				if asked := f.asked[len(f.asked)-1]; token.Reveal() == "r" && (asked.Get("grant_type") != "refresh_token" || asked.Get("refresh_token") != "r" || asked.Get("scope") != "a b") {
					t.Errorf("the token endpoint was asked %v", asked)
				}
			}

			for query, want := range map[string]service.ErrorName{
				"code=wrong": service.AuthenticationError, "": service.InputError, "error=access_denied&error_description=no": service.NotAllowedError,
				"error=login_required": service.AuthenticationError,
			} {
				values, _ := url.ParseQuery(query)
				_, err := authenticator.Authenticate(t.Context(), auth.OAuthCallback{OAuthAttempt: attempt, Query: values})
				if !errors.Is(err, want) || strings.Contains(err.Error(), "a-secret") {
					t.Errorf("%s: %v", query, err)
				}
			}
		})
	}
}

// TestLastingTokens has a GitHub app whose tokens don't end: the token is its own refresh token.
func TestLastingTokens(t *testing.T) {
	t.Parallel()
	f := &forge{t: t, token: "https://github.com/login/oauth/access_token", answer: object{"access_token": "access", "token_type": "bearer"},
		api: object{"https://api.github.com/user": object{"login": "jane"}}}
	a, err := authtest.Run(t, github.Module(), nil).OAuth[0].New(authtest.Environment(object{"clientId": "portal", "clientSecret": "a-secret"}, f))
	if err != nil {
		t.Fatal(err)
	}
	login, err := a.Authenticate(t.Context(), auth.OAuthCallback{Query: url.Values{"code": {"right"}}})
	if err != nil || login.RefreshToken.Reveal() != "access-token-v2.access" {
		t.Fatalf("%v, %v", login.RefreshToken.Reveal(), err)
	}
	again, err := a.Refresh(t.Context(), auth.OAuthRefresh{RefreshToken: login.RefreshToken, Scope: "repo", ScopeGranted: true})
	if err != nil || again.Username != "jane" || again.Scope != "repo" || len(f.asked) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := a.Refresh(t.Context(), auth.OAuthRefresh{RefreshToken: login.RefreshToken, Scope: "repo"}); !errors.Is(err, service.NotAllowedError) {
		t.Errorf("without the scope: %v", err)
	}
	if _, err := a.Refresh(t.Context(), auth.OAuthRefresh{RefreshToken: service.NewToken("access-token-v2.ended"), ScopeGranted: true}); !errors.Is(err, service.AuthenticationError) {
		t.Errorf("a token that has ended: %v", err)
	}
}

// TestTokensOfOtherSystems asks Microsoft for a token that Microsoft Graph doesn't take.
func TestTokensOfOtherSystems(t *testing.T) {
	t.Parallel()
	provider := authtest.Run(t, microsoft.Module(), nil).OAuth[0]
	got := provider.Scopes.Combine(auth.ScopeRequest{Requested: []string{"api://x/read"}, Required: provider.Scopes.Required, Granted: []string{"email"}})
	if !slices.Equal(got, []string{"api://x/read", "offline_access"}) {
		t.Errorf("it asks for %v", got)
	}
	f := &forge{t: t, token: "https://login.microsoftonline.com/acme/oauth2/v2.0/token", api: object{
		"https://graph.microsoft.com/v1.0/me/":                    object{"id": "1", "displayName": "Jane"},
		"https://graph.microsoft.com/v1.0/me/photos/96x96/$value": ""}}
	endpoint := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		f.answer = object{"access_token": "of-the-other", "token_type": "bearer", "scope": "api://x/read", "refresh_token": "r1", "expires_in": 60}
		if strings.Contains(r.PostFormValue("scope"), "User.Read") {
			f.answer = object{"access_token": "access", "token_type": "bearer", "scope": "User.Read", "refresh_token": "r2"}
		}
		f.ServeHTTP(w, r)
	})
	a, err := provider.New(realEnvironment(t, object{"clientId": "portal", "clientSecret": "a-secret", "tenantId": "acme"}, endpoint))
	if err != nil {
		t.Fatal(err)
	}
	login, err := a.Refresh(t.Context(), auth.OAuthRefresh{RefreshToken: service.NewToken("r0"), Scope: "api://x/read offline_access"})
	if err != nil || login.UserID != "1" || login.AccessToken.Reveal() != "of-the-other" || login.RefreshToken.Reveal() != "r2" || login.ExpiresIn != time.Minute {
		t.Errorf("%+v, %v", login, err)
	}
}

func TestGoogleLogout(t *testing.T) {
	t.Parallel()
	f := &forge{t: t}
	a, err := authtest.Run(t, google.Module(), nil).OAuth[0].New(authtest.Environment(object{"clientId": "portal", "clientSecret": "a-secret"}, f))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", "r"} {
		if to, err := a.(auth.OAuthLogouter).Logout(t.Context(), service.NewToken(token)); to != "" || err != nil {
			t.Error(to, err)
		}
	}
	if !slices.Equal(f.revoked, []string{"r"}) {
		t.Errorf("revoked: %v", f.revoked)
	}
}

// TestIDTokenOfOthers has a token endpoint that answers with what is meant for others.
func TestIDTokenOfOthers(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]object{
		"for another client": {"aud": "another", "sub": "1"}, "for nobody": {"sub": "1"}, "of another sign-in": {"aud": "portal", "nonce": "another"},
	} {
		f := &forge{t: t, token: "https://idp.example.com/token", answer: object{"access_token": "access", "token_type": "bearer", "id_token": idToken(claims)}}
		a, err := authtest.Run(t, oauth2.Module(), nil).OAuth[0].New(authtest.Environment(object{"clientId": "portal", "clientSecret": "a-secret",
			"authorizationUrl": "https://idp.example.com/authorize", "tokenUrl": "https://idp.example.com/token"}, f))
		if err != nil {
			t.Fatal(err)
		}
		if login, err := a.Authenticate(t.Context(), auth.OAuthCallback{Query: url.Values{"code": {"right"}}}); !errors.Is(err, service.AuthenticationError) {
			t.Errorf("%s: %+v, %v", name, login, err)
		}
	}
}

func TestMissingSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		module   plugin.Module
		settings object
		want     string
	}{
		"no secret":    {github.Module(), object{"clientId": "portal"}, "clientSecret"},
		"no tenant":    {microsoft.Module(), object{"clientId": "portal", "clientSecret": "x"}, "tenantId"},
		"no URL":       {okta.Module(), object{"clientId": "portal", "clientSecret": "x", "audience": "acme.okta.com"}, "audience"},
		"an old key":   {oauth2.Module(), object{"clientId": "portal", "clientSecret": "x", "authorizationUrl": "https://x", "tokenUrl": "https://x", "scope": "x"}, "additionalScopes"},
		"no addresses": {oauth2.Module(), object{"clientId": "portal", "clientSecret": "x"}, "authorizationUrl"},
	} {
		if _, err := authtest.Run(t, c.module, nil).OAuth[0].New(authtest.Environment(c.settings, nil)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
