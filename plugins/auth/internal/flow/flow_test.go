package flow_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/plugins/auth/internal/flow"
)

func TestStateBelongsToItsAttempt(t *testing.T) {
	t.Parallel()
	attempt := flow.NewAttempt()
	state := flow.State{Env: "development", Origin: "http://localhost:3000", RedirectURL: "http://localhost:3000/catalog?x=y&z", Flow: "redirect", Scope: "a b"}
	encoded := state.Encode(attempt)
	if encoded != strings.ToLower(encoded) {
		t.Error("the state is not in lower case")
	}
	parsed, err := flow.ParseState(encoded)
	if err != nil || !parsed.Belongs(attempt) || parsed.RedirectURL != state.RedirectURL || parsed.Scope != state.Scope {
		t.Fatalf("%+v, %v", parsed, err)
	}
	resumed, err := flow.ResumeAttempt(attempt.Cookie())
	if err != nil || !parsed.Belongs(resumed) || resumed.Nonce() != attempt.Nonce() || resumed.Verifier() != attempt.Verifier() {
		t.Error("the attempt goes on with another")
	}
	if attempt.Nonce() == attempt.Verifier() || len(attempt.Verifier()) < 43 {
		t.Error("the verifier is not one")
	}
	if parsed.Belongs(flow.NewAttempt()) {
		t.Error("the state belongs to another attempt")
	}
	query, err := hex.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"env", "origin", "redirectUrl", "flow", "scope", "nonce"} {
		values, err := url.ParseQuery(string(query))
		if err != nil {
			t.Fatal(err)
		}
		values.Set(name, values.Get(name)+"x")
		changed, err := flow.ParseState(hex.EncodeToString([]byte(values.Encode())))
		if err != nil {
			t.Fatal(err)
		}
		if changed.Belongs(attempt) {
			t.Errorf("with another %s the state still belongs", name)
		}
	}
}

func TestBadCookie(t *testing.T) {
	t.Parallel()
	for _, cookie := range []string{"", "x", "AAAA", strings.Repeat("A", 10_000)} {
		if _, err := flow.ResumeAttempt(cookie); err == nil {
			t.Errorf("%q is taken", cookie)
		}
	}
}

func FuzzParseState(f *testing.F) {
	attempt := flow.NewAttempt()
	good := flow.State{Env: "development", Origin: "http://localhost:3000", Flow: "popup"}
	genuine := good.Encode(attempt)
	for _, seed := range []string{genuine, "", "zz", "00", hex.EncodeToString([]byte("env=x")), hex.EncodeToString([]byte("env=x&nonce=")),
		hex.EncodeToString([]byte("env=x&nonce=y;z")), hex.EncodeToString([]byte("%zz&env=x&nonce=y")), genuine + "26656e763d78", strings.ToUpper(genuine)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		state, err := flow.ParseState(encoded)
		if err != nil {
			return
		}
		if state.Belongs(attempt) && (state.Env != good.Env || state.Origin != good.Origin || state.Flow != good.Flow || state.RedirectURL != "" || state.Scope != "") {
			t.Fatalf("a forged state is believed: %+v", state)
		}
		again, err := flow.ParseState(state.Encode(attempt))
		if err != nil || !again.Belongs(attempt) {
			t.Fatalf("%+v can't be encoded again", state)
		}
	})
}

// jar applies the cookies of an answer to the next request.
func jar(t *testing.T, before *http.Request, w *httptest.ResponseRecorder) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	kept := map[string]string{}
	for _, c := range before.Cookies() {
		kept[c.Name] = c.Value
	}
	for _, c := range w.Result().Cookies() {
		delete(kept, c.Name)
		if c.MaxAge > 0 {
			kept[c.Name] = c.Value
		}
		if len(c.Name)+len(c.Value) > 4096 {
			t.Errorf("the cookie %s has %d bytes", c.Name, len(c.Value))
		}
	}
	for name, value := range kept {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func TestLongCookies(t *testing.T) {
	t.Parallel()
	callback, err := url.Parse("https://portal.example.com/api/auth/oidc/handler/frame")
	if err != nil {
		t.Fatal(err)
	}
	cookies, place := flow.Cookies{Provider: "oidc"}, flow.Place{Callback: callback, AppOrigin: "https://portal.example.com"}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, value := range []string{"short", strings.Repeat("long;%+ü", 1500), strings.Repeat("x", 5000), "a b;c=d\"é", strings.Repeat("y", 9000), ""} {
		w := httptest.NewRecorder()
		cookies.SetRefreshToken(w, r, place, value)
		r = jar(t, r, w)
		if got := cookies.RefreshToken(r); got != value {
			t.Errorf("the value of %d bytes comes back with %d", len(value), len(got))
		}
		if value == "" && len(r.Cookies()) > 0 {
			t.Errorf("left: %v", r.Cookies())
		}
	}
}

func TestPlaceOfCookies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		callback, app, path string
		secure              bool
		same                http.SameSite
	}{
		{"http://localhost:7007/api/auth/oidc/handler/frame", "http://localhost:3000", "/api/auth/oidc", false, http.SameSiteLaxMode},
		{"https://portal.example.com/api/auth/oidc/handler/frame", "https://portal.example.com", "/api/auth/oidc", true, http.SameSiteLaxMode},
		{"https://backend.example.com/api/auth/oidc/handler/frame", "https://portal.example.com", "/api/auth/oidc", true, http.SameSiteNoneMode},
		{"http://backend.example.com/api/auth/oidc/handler/frame", "http://portal.example.com", "/api/auth/oidc", false, http.SameSiteLaxMode},
		{"https://portal.example.com/callback", "https://portal.example.com", "/callback/oidc", true, http.SameSiteLaxMode},
	} {
		callback, err := url.Parse(c.callback)
		if err != nil {
			t.Fatal(err)
		}
		cookies, place := flow.Cookies{Provider: "oidc", Age: time.Hour}, flow.Place{Callback: callback, AppOrigin: c.app}
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		cookies.SetAttempt(w, r, place, "attempt")
		cookies.SetRefreshToken(w, r, place, "token")
		cookies.SetGrantedScope(w, r, place, "scope")
		for i, got := range w.Result().Cookies() {
			path, age := c.path, 3600
			if i == 0 {
				path, age = c.path+"/handler", 600
			}
			if got.Path != path || got.Secure != c.secure || got.SameSite != c.same || !got.HttpOnly || got.Domain != "" || got.MaxAge != age {
				t.Errorf("%s: %s", c.callback, got)
			}
		}
	}
}

// TestMessage has messages that would break out of the script.
func TestMessage(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"plain", "</script><script>alert(1)</script>", `'+alert(1)+'`, "\\', \u2028 \u2029 \n", "<!--", "100%25 + %27"} {
		w := httptest.NewRecorder()
		if err := flow.WriteMessage(w, "https://portal.example.com/'"+text, map[string]string{"message": text}); err != nil {
			t.Fatal(err)
		}
		page := w.Body.String()
		script := page[strings.Index(page, "<script>")+len("<script>") : strings.LastIndex(page, "</script>")]
		if strings.Count(page, "<script>") != 1 || strings.Count(page, "</script>") != 1 || strings.Count(script, "'") != 8 {
			t.Errorf("%q breaks out: %s", text, script)
		}
		hash := sha256.Sum256([]byte(script))
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'") {
			t.Errorf("the policy is %s", policy)
		}
		begin := strings.Index(script, "JSON.parse(decodeURIComponent('") + len("JSON.parse(decodeURIComponent('")
		encoded, _, _ := strings.Cut(script[begin:], "'")
		decoded, err := url.PathUnescape(encoded)
		if err != nil {
			t.Fatal(err)
		}
		var message map[string]string
		if err := json.Unmarshal([]byte(decoded), &message); err != nil || message["message"] != text {
			t.Errorf("%q arrives as %q, %v", text, message, err)
		}
	}
}
