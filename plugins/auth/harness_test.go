package auth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
	"github.com/portico-dev/portico/service"
	serviceauth "github.com/portico-dev/portico/service/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const appOrigin = "http://localhost:3000"

type object = map[string]any

// portal is a backend with the plugin and the real services of package service/auth. Its catalog has Jane, who is in two groups.
type portal struct {
	*backendtest.Backend
	clock *clockwork.FakeClock
}

// startPortal starts a portal with the configuration below the key auth.
func startPortal(t testing.TB, settings object, features ...backend.Feature) *portal {
	t.Helper()
	p, err := tryPortal(t, settings, features...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryPortal(t testing.TB, settings object, features ...backend.Feature) (*portal, error) {
	t.Helper()
	p := &portal{clock: clockwork.NewFakeClockAt(time.Now())}
	all := []backend.Feature{
		backendtest.Config(object{"app": object{"baseUrl": appOrigin + "/portal"}, "auth": settings}),
		service.Root[clockwork.Clock](func() clockwork.Clock { return p.clock }),
		auth.Plugin(), catalogtest.Service(users(t)...),
	}
	for _, s := range serviceauth.Services() {
		all = append(all, s)
	}
	var err error
	p.Backend, err = backendtest.TryStart(t, append(all, features...)...)
	return p, err
}

// users are the users of the catalog.
func users(t testing.TB) []catalogmodel.Entity {
	t.Helper()
	var all []catalogmodel.Entity
	for _, text := range []string{
		`{"apiVersion":"backstage.io/v1alpha1","kind":"User","metadata":{"name":"jane","annotations":{"acme.com/id":"AbC"}},
			"spec":{"profile":{"email":"jane@example.com"}},"relations":[
			{"type":"memberOf","targetRef":"group:default/payments"},{"type":"memberOf","targetRef":"group:default/platform"},
			{"type":"ownerOf","targetRef":"component:default/shop"}]}`,
		`{"apiVersion":"backstage.io/v1alpha1","kind":"User","metadata":{"name":"twin-1"},"spec":{"profile":{"email":"twin@example.com"}}}`,
		`{"apiVersion":"backstage.io/v1alpha1","kind":"User","metadata":{"name":"twin-2"},"spec":{"profile":{"email":"TWIN@example.com"}}}`,
		`{"apiVersion":"backstage.io/v1alpha1","kind":"Group","metadata":{"name":"payments"},"spec":{"type":"team","children":[],"profile":{"email":"payments@example.com"}}}`,
	} {
		e, err := catalogmodel.ParseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// answer is what came of a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// session is the body of a successful sign-in.
type session struct {
	Profile           object
	ProviderInfo      object
	BackstageIdentity struct {
		Token            string
		ExpiresInSeconds int
		Identity         struct {
			Type, UserEntityRef string
			OwnershipEntityRefs []string
		}
	}
}

func (a answer) session(t testing.TB) session {
	t.Helper()
	var s session
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != http.StatusOK {
		t.Fatalf("no sign-in: %d %s", a.status, a.body)
	}
	return s
}

// failure is the name and the message of an answered error.
func (a answer) failure() string {
	var body struct {
		Error struct{ Name, Message string }
	}
	_ = json.Unmarshal([]byte(a.body), &body)
	return body.Error.Name + ": " + body.Error.Message
}

// browser is a client with cookies that doesn't follow redirects by itself.
type browser struct {
	t testing.TB
	*http.Client
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do sends a request with headers.
func (b *browser) do(method, url string, body io.Reader, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, url, body)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, strings.TrimSpace(string(content))}
}

func (b *browser) get(url string, headers ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, url, nil, headers...)
}
