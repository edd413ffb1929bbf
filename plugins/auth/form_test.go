package auth_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

// counter is a provider at whose counter users fill in a form.
type counter struct{}

func (counter) Start(_ context.Context, a auth.FormAttempt) (string, error) {
	return "https://counter.test/?" + url.Values{"id": {a.ID}, "back": {a.CallbackURL}}.Encode(), nil
}

func (counter) Authenticate(_ context.Context, a auth.FormAttempt, form url.Values) (auth.Login, error) {
	if form.Get("id") != a.ID {
		return auth.Login{}, &service.Error{Name: service.AuthenticationError, Message: "The form can't be trusted", Cause: context.Canceled}
	}
	return auth.Login{Username: form.Get("name"), Profile: auth.Profile{DisplayName: form.Get("name")}}, nil
}

func counters() plugin.Module {
	return plugin.NewModule("auth", "counter", plugin.Init(func(providers auth.Providers) {
		providers.AddFormProvider(auth.FormProvider{
			ID: "counter", New: func(auth.Environment) (auth.FormAuthenticator, error) { return counter{}, nil }, SignIn: byUsername,
		})
	}))
}

func byUsername(ctx context.Context, login auth.Login, users auth.Users) (auth.Identity, error) {
	resolver, err := auth.UsernameMatchingUserEntityName(auth.ResolverOptions{})
	if err != nil {
		return auth.Identity{}, err
	}
	return resolver(ctx, login, users)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// TestForms signs in with a form that another site has the browser post, which leaves cookies out.
func TestForms(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		t.Parallel()
		p := startPortal(t, object{"providers": object{"counter": object{}}}, counters(), backendtest.Config(object{"backend": object{"database": section}}))
		base, b := p.URL()+"/api/auth/counter", newBrowser(t)
		post := func(b *browser, query string, form url.Values) answer {
			return b.do(http.MethodPost, base+"/handler/frame"+query, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded", "Origin", "null")
		}
		started := b.get(base + "/start?env=production")
		to, err := url.Parse(started.header.Get("Location"))
		if err != nil || to.Host != "counter.test" || to.Query().Get("back") != base+"/handler/frame" {
			t.Fatalf("the browser is sent to %s, %v", to, err)
		}
		if cookie := started.header.Get("Set-Cookie"); !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "HttpOnly") ||
			!strings.Contains(cookie, "Path=/api/auth/counter/handler") || strings.Contains(cookie, to.Query().Get("id")) {
			t.Errorf("the cookie is %s", cookie)
		}
		first := post(newBrowser(t), "", url.Values{"id": {to.Query().Get("id")}, "name": {"jane"}, `"><script>`: {`"></form><script>alert(1)</script>`}})
		if strings.Count(first.body, "<script>") != 1 || !strings.Contains(first.header.Get("Content-Security-Policy"), "form-action 'self'") {
			t.Fatalf("the page is %v %s", first.header, first.body)
		}
		form := url.Values{}
		for _, input := range hidden.FindAllStringSubmatch(first.body, -1) {
			form.Set(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
		}
		if form.Get(`"><script>`) != `"></form><script>alert(1)</script>` {
			t.Errorf("the form becomes %v", form)
		}
		if a := post(newBrowser(t), "?again=1", form); !strings.Contains(a.body, "NotAllowedError") {
			t.Errorf("another browser comes back: %s", a.body)
		}
		at, err := url.Parse(base + "/handler/frame")
		if err != nil {
			t.Fatal(err)
		}
		kept := b.Jar.Cookies(at)
		if a := post(b, "?again=1", form); a.status != http.StatusOK || !strings.Contains(a.body, "user%3Adefault%2Fjane") || !strings.Contains(a.body, url.QueryEscape(appOrigin)) {
			t.Fatalf("no sign-in: %d %s\n%s", a.status, a.body, p.Log)
		}
		if left := b.Jar.Cookies(at); len(left) > 0 {
			t.Errorf("the browser still has %v", left)
		}
		b.Jar.SetCookies(at, kept)
		if a := post(b, "?again=1", form); !strings.Contains(a.body, "used%20already") {
			t.Errorf("a second time: %s", a.body)
		}
		b.get(base + "/start")
		if a := post(b, "?again=1", form); !strings.Contains(a.body, "The%20form%20can%27t%20be%20trusted") || strings.Contains(a.body, "canceled") {
			t.Errorf("the form of another attempt: %s", a.body)
		}
		if !strings.Contains(p.Log.String(), "The form can't be trusted: context canceled") {
			t.Error("the log doesn't tell why")
		}
		if a := post(b, "", url.Values{"x": {strings.Repeat("x", 600<<10)}}); a.status != http.StatusBadRequest {
			t.Errorf("a form that is too large: %d", a.status)
		}
		if a := b.do(http.MethodPost, base+"/logout", nil, "X-Requested-With", "XMLHttpRequest"); a.status != http.StatusOK {
			t.Errorf("signing out: %d %s", a.status, a.body)
		}
		if a := b.do(http.MethodPost, base+"/logout", nil); a.status != http.StatusUnauthorized {
			t.Errorf("another site signs out: %d %s", a.status, a.body)
		}
	})
}
