package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

const cookiePath = "/api/todo/.backstage/auth/v1/cookie"

// setCookie is the cookie that an answer sets, or nil.
func setCookie(t testing.TB, a answer) *http.Cookie {
	t.Helper()
	lines := a.header.Values("Set-Cookie")
	if len(lines) == 0 {
		return nil
	}
	cookie, err := http.ParseSetCookie(lines[0])
	if err != nil || len(lines) > 1 {
		t.Fatalf("%q: %v", lines, err)
	}
	return cookie
}

func TestCookie(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	token := p.user(guest)
	expiry := p.Clock.Now().Add(time.Hour).UTC().Truncate(time.Second)
	got := p.get(cookiePath, token)
	if got.status != http.StatusOK || got.expiresAt != expiry.Format("2006-01-02T15:04:05.000Z") {
		t.Fatalf("%d %s %s", got.status, got.message, got.expiresAt)
	}
	cookie := setCookie(t, got)
	if cookie == nil || cookie.Name != "backstage-auth" || cookie.Value != p.limited(token) || cookie.Path != "/" || !cookie.HttpOnly ||
		!cookie.Expires.Equal(expiry) || cookie.Domain != "127.0.0.1" || cookie.Secure || cookie.SameSite != http.SameSiteLaxMode ||
		!strings.HasSuffix(cookie.Raw, "; Priority=High") {
		t.Fatalf("cookie: %v", cookie)
	}

	header := "backstage-auth=" + cookie.Value
	for _, test := range []struct {
		name, method, path, token, cookie string
		status                            int
		message                           string
	}{
		{"where cookies are enough", "GET", "/api/todo/images/who", "", header, 200, ""},
		{"among others", "GET", "/api/todo/images/who", "", "a=b; " + header + "; c=d", 200, ""},
		{"with a bad token in the header", "GET", "/api/todo/images/who", "bad", header, 401, "Illegal token"},
		{"where a token is needed", "GET", "/api/todo/who", "", header, 401, "Missing credentials"},
		{"where only users are let in", "GET", "/api/todo/users/who", "", header, 401, "Missing credentials"},
		{"next to where it is enough", "GET", "/api/todo/imagesx/who", "", header, 401, "Missing credentials"},
		{"out of where it is enough", "GET", "/api/todo/images/../who", "", header, 401, "Missing credentials"},
		{"out of where it is enough, encoded", "GET", "/api/todo/images/%2e%2e/who", "", header, 401, "Missing credentials"},
		{"for a new cookie", "GET", cookiePath, "", header, 401, "Missing credentials"},
		{"as a token for a new cookie", "GET", cookiePath, cookie.Value, "", 401, "Illegal limited user token"},
		{"for its own removal", "DELETE", cookiePath, "", header, 401, "Missing credentials"},
		{"of another name", "GET", "/api/todo/images/who", "", "backstage-auth2=" + cookie.Value, 401, "Missing credentials"},
		{"with a full token", "GET", "/api/todo/images/who", "", "backstage-auth=" + token, 200, ""},
		{"empty", "GET", "/api/todo/images/who", "", "backstage-auth=", 401, "Missing credentials"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := p.do(test.method, test.path, test.token, "Cookie", test.cookie)
			if got.status != test.status || got.message != test.message {
				t.Errorf("got %d %q, want %d %q", got.status, got.message, test.status, test.message)
			}
			if test.status == http.StatusOK && got.principal.UserEntityRef != guest {
				t.Errorf("principal: %+v", got.principal)
			}
		})
	}
	for name, who := range map[string]string{
		"a plugin": p.pluginToken("notes", "todo", p.plugins["notes"].auth.OwnCredentials()),
	} {
		if got := p.get(cookiePath, who); got.status != http.StatusForbidden || setCookie(t, got) != nil {
			t.Errorf("a cookie for %s: %d", name, got.status)
		}
	}
}

func TestCookieRenewal(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	token := p.user(guest)
	cookie := "backstage-auth=" + p.limited(token)
	later := p.issue(p.key, usertoken.Claims{Subject: guest, Expiry: p.Clock.Now().Add(2 * time.Hour)})
	if got := p.get(cookiePath, later, "Cookie", cookie); got.status != http.StatusOK || setCookie(t, got) != nil ||
		got.expiresAt != p.Clock.Now().Add(time.Hour).UTC().Truncate(time.Second).Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("a good cookie is not left alone: %d %v until %s", got.status, setCookie(t, got), got.expiresAt)
	}
	if got := p.get(cookiePath, p.user("user:default/other"), "Cookie", cookie); setCookie(t, got) == nil {
		t.Error("the cookie of another user is left alone")
	}
	if got := p.get(cookiePath+"/", token); got.status != http.StatusOK || setCookie(t, got) == nil {
		t.Errorf("with a slash at the end: %d", got.status)
	}
	for name, bad := range map[string]string{"a broken cookie": "backstage-auth=x", "an altered cookie": cookie[:len(cookie)-9] + "AAAAAAAAA"} {
		if got := p.get(cookiePath, later, "Cookie", bad); got.status != http.StatusOK || setCookie(t, got) == nil {
			t.Errorf("%s is not replaced: %d", name, got.status)
		}
	}
	p.Clock.Advance(55*time.Minute + time.Second)
	if got := p.get(cookiePath, later, "Cookie", cookie); setCookie(t, got) == nil {
		t.Error("a cookie is not replaced five minutes before its end")
	}
	p.Clock.Advance(5 * time.Minute)
	if got := p.get("/api/todo/images/who", "", "Cookie", cookie); got.status != http.StatusUnauthorized {
		t.Errorf("an expired cookie: %d", got.status)
	}
}

func TestCookieRemoval(t *testing.T) {
	t.Parallel()
	p := newPortal(t, nil)
	got := p.do(http.MethodDelete, cookiePath, p.user(guest))
	cookie := setCookie(t, got)
	if got.status != http.StatusNoContent || cookie == nil || cookie.Value != "" || cookie.Expires.Year() != 1970 || cookie.Path != "/" {
		t.Errorf("%d %v", got.status, cookie)
	}
	// The plugin auth is open, as is the app: there, everybody may remove the cookie, and nobody gets one without a token.
	const open = "/api/auth/.backstage/auth/v1/cookie"
	if got := p.do(http.MethodDelete, open, ""); got.status != http.StatusNoContent {
		t.Errorf("removal where it is open: %d", got.status)
	}
	if got := p.get(open, ""); got.status != http.StatusUnauthorized {
		t.Errorf("a cookie for nobody: %d", got.status)
	}
}

func TestCookieOfSecureSites(t *testing.T) {
	t.Parallel()
	for base, domain := range map[string]string{"https://portal.example.com:8443/x": "portal.example.com", "http://localhost:7007": "localhost"} {
		p := newPortal(t, nil, backendtest.Config(map[string]any{"backend": map[string]any{"baseUrl": base}}))
		cookie := setCookie(t, p.get(cookiePath, p.user(guest)))
		if cookie == nil || cookie.Domain != domain || !cookie.Secure || cookie.SameSite != http.SameSiteNoneMode {
			t.Errorf("%s: %v", base, cookie)
		}
	}
}
