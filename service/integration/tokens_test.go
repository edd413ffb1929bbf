package integration_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// githubServer is the part of GitHub's API that apps use. It checks what they sign.
type githubServer struct {
	*httptest.Server
	t     *testing.T
	key   *rsa.PrivateKey
	clock *clockwork.FakeClock

	mu            sync.Mutex
	installations []string
	lists, tokens int
	gone          bool
	repositories  []string
}

func newGitHub(t *testing.T, installations ...string) *githubServer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := &githubServer{t: t, key: key, clock: clockwork.NewFakeClockAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), installations: installations}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v3/app/installations", s.list)
	mux.HandleFunc("POST /api/v3/app/installations/{id}/access_tokens", s.create)
	mux.HandleFunc("GET /api/v3/installation/repositories", s.selected)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *githubServer) host() string { return strings.TrimPrefix(s.URL, "http://") }

// authenticated checks the JSON Web Token of the app.
func (s *githubServer) authenticated(w http.ResponseWriter, r *http.Request) bool {
	token, err := jwt.ParseSigned(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), []jose.SignatureAlgorithm{jose.RS256})
	var claims jwt.Claims
	if err == nil {
		err = token.Claims(&s.key.PublicKey, &claims)
	}
	if err == nil {
		err = claims.ValidateWithLeeway(jwt.Expected{Issuer: "42", Time: s.clock.Now()}, 0)
	}
	if life := claims.Expiry.Time().Sub(s.clock.Now()); err == nil && life > 10*time.Minute {
		err = fmt.Errorf("the token lives for %s", life)
	}
	if err != nil {
		s.t.Errorf("the app isn't authenticated: %v", err)
		w.WriteHeader(http.StatusUnauthorized)
	}
	return err == nil
}

func (s *githubServer) list(w http.ResponseWriter, r *http.Request) {
	if !s.authenticated(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	if r.URL.Query().Get("page") == "1" && len(s.installations) > 1 {
		w.Header().Set("Link", `<https://x>; rel="next"`)
		fmt.Fprintf(w, `[{"id": 1, "target_type": "Organization", "account": {"login": %q}}]`, s.installations[0])
		return
	}
	var items []string
	for i, owner := range s.installations {
		if i == 0 && len(s.installations) > 1 {
			continue
		}
		targetType := "Organization"
		if user, ok := strings.CutPrefix(owner, "user:"); ok {
			owner, targetType = user, "User"
		}
		items = append(items, fmt.Sprintf(`{"id": %d, "target_type": %q, "account": {"login": %q}, "suspended_at": %s}`, i+1, targetType, owner,
			map[bool]string{true: `"2026-01-01T00:00:00Z"`, false: "null"}[owner == "suspended"]))
	}
	fmt.Fprintf(w, "[%s]", strings.Join(items, ","))
}

func (s *githubServer) create(w http.ResponseWriter, r *http.Request) {
	if !s.authenticated(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.tokens++
	selection := "all"
	if s.repositories != nil {
		selection = "selected"
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"token": "token-%s-%d", "expires_at": %q, "repository_selection": %q}`,
		r.PathValue("id"), s.tokens, s.clock.Now().Add(time.Hour).Format(time.RFC3339), selection)
}

func (s *githubServer) selected(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer token-") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var items []string
	for _, name := range s.repositories {
		items = append(items, fmt.Sprintf(`{"name": %q}`, name))
	}
	fmt.Fprintf(w, `{"repositories": [%s]}`, strings.Join(items, ","))
}

func (s *githubServer) counts() (lists, tokens int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists, s.tokens
}

// app is the integration with the server, by an app.
func (s *githubServer) app(t *testing.T, more object) integration.Integration {
	t.Helper()
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.key)})
	settings := object{"appId": "42", "clientId": "a", "clientSecret": "b", "privateKey": strings.ReplaceAll(string(key), "\n", `\n`)}
	for k, v := range more {
		settings[k] = v
	}
	in, err := tryNew(t, object{"github": []any{object{"host": s.host(), "apiBaseUrl": s.URL + "/api/v3", "token": "fallback", "apps": []any{settings}}}},
		s.clock, slog.DiscardHandler)
	if err != nil {
		t.Fatal(err)
	}
	one, ok := in.ByHost(s.host())
	if !ok {
		t.Fatal("there is no integration")
	}
	return one
}

func wantToken(t *testing.T, one integration.Integration, owner, repo, want string) {
	t.Helper()
	c, err := one.Credentials(t.Context(), integration.Location{Owner: owner, Repo: repo})
	if err != nil || c.Token() != want {
		t.Errorf("the token for %s/%s is %q, %v; want %q", owner, repo, c.Token(), err, want)
	}
}

func TestGitHubApp(t *testing.T) {
	t.Parallel()
	t.Run("tokens are kept until shortly before their end", func(t *testing.T) {
		t.Parallel()
		s := newGitHub(t, "other", "Acme")
		one := s.app(t, nil)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { wantToken(t, one, "acme", "shop", "token-2-1") })
		}
		all.Wait()
		s.clock.Advance(49 * time.Minute)
		wantToken(t, one, "acme", "shop", "token-2-1")
		s.clock.Advance(2 * time.Minute)
		wantToken(t, one, "acme", "shop", "token-2-2")
		wantToken(t, one, "other", "shop", "token-1-3")
		if _, tokens := s.counts(); tokens != 3 {
			t.Errorf("%d tokens were made, want 3", tokens)
		}
	})
	t.Run("the token of the integration where it isn't installed", func(t *testing.T) {
		t.Parallel()
		s := newGitHub(t, "acme")
		one := s.app(t, nil)
		for range 5 {
			wantToken(t, one, "unknown", "shop", "fallback")
		}
		if lists, _ := s.counts(); lists != 1 {
			t.Errorf("installations were listed %d times, want once a minute at most", lists)
		}
		s.mu.Lock()
		s.installations = []string{"unknown"}
		s.mu.Unlock()
		s.clock.Advance(time.Minute)
		wantToken(t, one, "unknown", "shop", "token-1-1")
	})
	t.Run("not where it isn't allowed", func(t *testing.T) {
		t.Parallel()
		s := newGitHub(t, "acme", "other")
		one := s.app(t, object{"allowedInstallationOwners": []any{"Acme"}})
		wantToken(t, one, "ACME", "shop", "token-1-1")
		wantToken(t, one, "other", "shop", "fallback")
	})
	t.Run("any installation for what is public", func(t *testing.T) {
		t.Parallel()
		s := newGitHub(t, "acme")
		wantToken(t, s.app(t, object{"publicAccess": true}), "other", "shop", "token-1-1")
	})
	t.Run("only the selected repositories", func(t *testing.T) {
		t.Parallel()
		s := newGitHub(t, "acme")
		s.repositories = []string{"Shop"}
		one := s.app(t, nil)
		wantToken(t, one, "acme", "shop", "token-1-1")
		if _, err := one.Credentials(t.Context(), integration.Location{Owner: "acme", Repo: "other"}); !errors.Is(err, service.NotAllowedError) {
			t.Errorf("another repository: %v", err)
		}
	})
	t.Run("a suspended installation", func(t *testing.T) {
		t.Parallel()
		s := newGitHub(t, "suspended")
		if _, err := s.app(t, nil).Credentials(t.Context(), integration.Location{Owner: "suspended", Repo: "shop"}); err == nil ||
			!strings.Contains(err.Error(), "suspended") {
			t.Error(err)
		}
	})
	t.Run("an installation that is gone is looked for again", func(t *testing.T) {
		t.Parallel()
		s := newGitHub(t, "acme")
		one := s.app(t, nil)
		wantToken(t, one, "acme", "shop", "token-1-1")
		s.mu.Lock()
		s.gone = true
		s.mu.Unlock()
		s.clock.Advance(time.Hour)
		if _, err := one.Credentials(t.Context(), integration.Location{Owner: "acme", Repo: "shop"}); err == nil {
			t.Error("there were credentials")
		}
		s.mu.Lock()
		s.gone, s.installations = false, []string{"nobody", "acme"}
		s.mu.Unlock()
		wantToken(t, one, "acme", "shop", "token-2-2")
	})
}

// endpoint answers all requests for tokens.
type endpoint func(r *http.Request) (int, string)

func (e endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := e(r)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestOAuth(t *testing.T) {
	t.Parallel()
	config := object{
		"bitbucketCloud": []any{object{"clientId": "me", "clientSecret": "secret"}},
		"azure": []any{object{"credentials": []any{
			object{"organizations": []any{"app"}, "clientId": "id", "clientSecret": "secret", "tenantId": "tenant"},
			object{"organizations": []any{"machine"}, "clientId": "system-assigned"},
			object{"organizations": []any{"vouched"}, "clientId": "id", "tenantId": "tenant", "managedIdentityClientId": "mi"},
		}}},
	}
	tests := []struct {
		host, owner string
		// requests are the URLs that are asked, with their forms.
		requests []string
	}{
		{"bitbucket.org", "acme", []string{"https://bitbucket.org/site/oauth2/access_token grant_type=client_credentials"}},
		{"dev.azure.com", "App", []string{"https://login.microsoftonline.com/tenant/oauth2/v2.0/token client_id=id&client_secret=secret&grant_type=client_credentials&scope=499b84ac-1321-427f-aa17-267ca6975798%2F.default"}},
		{"dev.azure.com", "machine", []string{"http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=499b84ac-1321-427f-aa17-267ca6975798 "}},
		{"dev.azure.com", "vouched", []string{
			"http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&client_id=mi&resource=api%3A%2F%2FAzureADTokenExchange ",
			"https://login.microsoftonline.com/tenant/oauth2/v2.0/token client_assertion=token&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_id=id&grant_type=client_credentials&scope=499b84ac-1321-427f-aa17-267ca6975798%2F.default",
		}},
	}
	for _, test := range tests {
		t.Run(test.owner, func(t *testing.T) {
			t.Parallel()
			clock := clockwork.NewFakeClock()
			in, err := tryNew(t, config, clock, slog.DiscardHandler)
			if err != nil {
				t.Fatal(err)
			}
			var asked []string
			in.Through(endpoint(func(r *http.Request) (int, string) {
				form := ""
				if r.Body != nil {
					content, _ := io.ReadAll(r.Body)
					form = string(content)
				}
				asked = append(asked, r.URL.String()+" "+form)
				return 200, `{"access_token": "token", "expires_in": "3600"}`
			}))
			one, _ := in.ByHost(test.host)
			for range 3 {
				wantToken(t, one, test.owner, "shop", "token")
			}
			if fmt.Sprint(asked) != fmt.Sprint(test.requests) {
				t.Errorf("asked\n%q, want\n%q", asked, test.requests)
			}
			clock.Advance(51 * time.Minute)
			wantToken(t, one, test.owner, "shop", "token")
			if len(asked) != 2*len(test.requests) {
				t.Errorf("the token wasn't got anew: %q", asked)
			}
		})
	}
	t.Run("without credentials", func(t *testing.T) {
		t.Parallel()
		in := newIntegrations(t, config)
		one, _ := in.ByHost("dev.azure.com")
		wantToken(t, one, "unknown", "shop", "")
	})
}

func TestTokenEndpointsThatFail(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"refuses":   {401, `{"error": "secret"}`},
		"redirects": {302, ""},
		"no JSON":   {200, "<html>secret"},
		"no token":  {200, "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newIntegrations(t, object{"bitbucketCloud": []any{object{"clientId": "me", "clientSecret": "secret"}}})
			in.Through(endpoint(func(*http.Request) (int, string) { return answer.status, answer.body }))
			one, _ := in.ByHost("bitbucket.org")
			_, err := one.Credentials(t.Context(), integration.Location{Owner: "acme"})
			if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "bitbucket.org") {
				t.Error(err)
			}
		})
	}
	t.Run("who waits gives up when the context ends", func(t *testing.T) {
		t.Parallel()
		in := newIntegrations(t, object{"bitbucketCloud": []any{object{"clientId": "me", "clientSecret": "secret"}}})
		begun, release := make(chan struct{}), make(chan struct{})
		in.Through(endpoint(func(*http.Request) (int, string) {
			close(begun)
			<-release
			return 200, `{"access_token": "token"}`
		}))
		one, _ := in.ByHost("bitbucket.org")
		var first sync.WaitGroup
		first.Go(func() { wantToken(t, one, "acme", "shop", "token") })
		<-begun
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := one.Credentials(ctx, integration.Location{Owner: "acme"}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		first.Wait()
	})
}

func TestOrganizationsOfGitHubApps(t *testing.T) {
	t.Parallel()
	s := newGitHub(t, "Acme", "other", "user:someone")
	one := s.app(t, object{"allowedInstallationOwners": []any{"acme", "someone"}}).(*integration.GitHub)
	for _, apps := range [][]int64{nil, {42}} {
		if got, err := one.Organizations(t.Context(), apps...); err != nil || fmt.Sprint(got) != "[Acme]" {
			t.Errorf("the organizations of the apps %v are %v, %v", apps, got, err)
		}
	}
	if _, err := one.Organizations(t.Context(), 43); err == nil || !strings.Contains(err.Error(), "43 is not configured") {
		t.Errorf("an app that isn't configured: %v", err)
	}
	c, err := one.Credentials(t.Context(), integration.Location{Owner: "acme"})
	if err != nil || !c.IsApp() {
		t.Errorf("the credentials %v, %v aren't those of the app", c, err)
	}
	if c, err = one.Credentials(t.Context(), integration.Location{Owner: "other"}); err != nil || c.IsApp() {
		t.Errorf("the credentials %v, %v aren't the token", c, err)
	}
}
