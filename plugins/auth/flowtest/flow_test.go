package flowtest_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPopup(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	if a := b.refresh(""); a.status != http.StatusUnauthorized || a.failure() != "AuthenticationError: Refresh failed; caused by InputError: Missing session cookie" {
		t.Errorf("before the sign-in: %d %s", a.status, a.body)
	}
	m := b.popup("jane")
	if m.Error.Name != "" || m.origin != portalURL {
		t.Fatalf("the message is %+v", m)
	}
	if want := (object{"email": "jane@example.com", "displayName": "Jane Doe"}); !reflect.DeepEqual(m.Response.Profile, want) {
		t.Errorf("the profile is %v", m.Response.Profile)
	}
	info := m.Response.ProviderInfo
	if info.AccessToken == "" || info.IDToken == "" || info.ExpiresInSeconds == 0 || info.Scope != "openid profile email offline_access" {
		t.Errorf("the provider's info is %+v", info)
	}
	identity := m.Response.BackstageIdentity.Identity
	if identity.UserEntityRef != "user:default/jane.doe" || !reflect.DeepEqual(identity.OwnershipEntityRefs, []string{"user:default/jane.doe", "group:default/payments"}) {
		t.Errorf("the identity is %+v", identity)
	}

	before := b.cookies(oidcURL + "/refresh")
	s := b.refresh("&scope=openid").session(t)
	if s.BackstageIdentity.Identity.UserEntityRef != "user:default/jane.doe" || s.ProviderInfo.AccessToken == info.AccessToken ||
		len(strings.Fields(s.ProviderInfo.Scope)) != 4 {
		t.Errorf("the refreshed session is %+v", s)
	}
	if after := b.cookies(oidcURL + "/refresh"); after["oidc-refresh-token"] == before["oidc-refresh-token"] {
		t.Error("the refresh token has not been replaced")
	}

	if a := b.do(http.MethodPost, oidcURL+"/logout?env=development", nil, "X-Requested-With", "XMLHttpRequest", "Origin", portalURL); a.status != http.StatusOK || a.body != "" {
		t.Errorf("signing out: %d %s", a.status, a.body)
	}
	if n := p.op.count("/revoke"); n != 1 {
		t.Errorf("the token was revoked %d times", n)
	}
	if left := b.cookies(oidcURL + "/refresh"); len(left) > 0 {
		t.Errorf("cookies are left: %v", left)
	}
	if a := b.refresh(""); a.status != http.StatusUnauthorized {
		t.Errorf("after the sign-out: %d", a.status)
	}
}

func TestRedirectFlow(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	query := url.Values{"env": {"development"}, "flow": {"redirect"}, "redirectUrl": {portalURL + "/catalog?filter=x#top"}, "origin": {portalURL}}
	if to := b.do(http.MethodGet, b.atProvider(b.start(query.Encode()), "jane"), nil).location(t); to != portalURL+"/catalog?filter=x#top" {
		t.Errorf("it ends at %s", to)
	}
	b.refresh("").session(t)
	// Somebody whom the catalog doesn't know.
	to := p.browser(t)
	end, err := url.Parse(to.do(http.MethodGet, to.atProvider(to.start(query.Encode()), "john"), nil).location(t))
	if err != nil || end.Host != "portal.test" || !strings.Contains(end.Query().Get("error"), "unable to resolve user identity") || end.Query().Get("filter") != "x" {
		t.Errorf("it ends at %s", end)
	}
}

// TestWithoutSession has the provider asked not to ask users anything, which is the default.
func TestWithoutSession(t *testing.T) {
	t.Parallel()
	p := startPortal(t, object{"prompt": "none"})
	b := p.browser(t)
	if m := b.do(http.MethodGet, b.atProvider(b.start("env=development"), "jane"), nil).message(t); m.Error.Name != "AuthenticationError" || m.Error.Message == "" {
		t.Errorf("the message is %+v", m)
	}
}

// TestAccessOnly has no sign-in resolver: users get access to the provider's system, but are not signed in.
func TestAccessOnly(t *testing.T) {
	t.Parallel()
	p := startPortal(t, object{"signIn": nil})
	if m := p.browser(t).popup("john"); m.Error.Name != "" || m.Response.BackstageIdentity != nil || m.Response.ProviderInfo.AccessToken == "" {
		t.Errorf("the message is %+v", m)
	}
}

// TestUnverifiedEmail has somebody who claims the email of somebody else.
func TestUnverifiedEmail(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	if m := p.browser(t).popup("mallory"); m.Error.Message != "Login failed, user profile does not contain an email" || m.Response.BackstageIdentity != nil {
		t.Errorf("the message is %+v", m)
	}
}

// TestTabs refreshes from many tabs at once: the provider takes each refresh token once.
func TestTabs(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	b.popup("jane")
	before, kept := p.op.count("/oauth/token"), b.cookies(oidcURL+"/refresh")
	var cookie []string
	for name, value := range kept {
		cookie = append(cookie, name+"="+value)
	}
	var tabs sync.WaitGroup
	for range 8 {
		tab := p.browser(t) // with the cookies as they were
		tabs.Go(func() {
			if a := tab.refresh("", "Cookie", strings.Join(cookie, "; ")); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	tabs.Wait()
	if n := p.op.count("/oauth/token") - before; n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	p.clock.Advance(time.Minute)
	if a := p.browser(t).refresh("", "Cookie", strings.Join(cookie, "; ")); a.status != http.StatusUnauthorized {
		t.Errorf("much later: %d %s", a.status, a.body)
	}
}

// TestProviderStartsLate has a provider that can't be reached when the portal starts.
func TestProviderStartsLate(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	p.op.setTamper(func(path string, body object) {
		if strings.HasSuffix(path, "openid-configuration") {
			delete(body, "token_endpoint")
		}
	})
	b := p.browser(t)
	if a := b.do(http.MethodGet, oidcURL+"/start?env=development", nil); a.status != http.StatusInternalServerError {
		t.Errorf("without metadata: %d %s", a.status, a.body)
	}
	p.op.setTamper(nil)
	if m := b.popup("jane"); m.Error.Name != "" {
		t.Errorf("the message is %+v", m)
	}
}

// TestSecretsAreNotLogged greps the log of everything that can go on.
func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	callback := b.atProvider(b.start("env=development"), "jane")
	m := b.do(http.MethodGet, callback, nil).message(t)
	cookies := b.cookies(oidcURL + "/handler/frame")
	s := b.refresh("").session(t)
	failing := p.browser(t)
	failing.do(http.MethodGet, callback, nil)                                  // a replay
	failing.refresh("", "Cookie", "oidc-refresh-token="+"a-stolen-token-0123") // that the provider doesn't know
	back, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{clientSecret, back.Query().Get("code"), m.Response.ProviderInfo.AccessToken, m.Response.ProviderInfo.IDToken,
		m.Response.BackstageIdentity.Token, s.ProviderInfo.AccessToken, s.BackstageIdentity.Token, "a-stolen-token-0123", password}
	for _, value := range cookies {
		if decoded, err := url.PathUnescape(value); err == nil && !strings.HasPrefix(decoded, "openid") {
			secrets = append(secrets, decoded)
		}
	}
	if len(secrets) < 10 {
		t.Errorf("only %d secrets", len(secrets))
	}
	for _, secret := range secrets {
		if len(secret) < 8 || strings.Contains(p.Log.String(), secret) {
			t.Errorf("in the log: %q", secret)
		}
	}
}
