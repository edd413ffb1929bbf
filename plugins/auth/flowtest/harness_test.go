package flowtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/oidc"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
	"github.com/portico-dev/portico/service"
	serviceauth "github.com/portico-dev/portico/service/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

const (
	clientID     = "portal"
	clientSecret = "a-secret-of-the-portal"
	password     = "a-password-of-users"

	// Browsers know the portal by this name; it leads to wherever the test has the portal listen.
	portalURL  = "http://portal.test"
	authURL    = portalURL + "/api/auth"
	oidcURL    = authURL + "/oidc"
	anotherApp = "http://pr-1.preview.test"
)

// people are the users of the provider.
type people struct{}

var directory = map[string]*storage.User{
	"1": {ID: "1", Username: "jane", Password: password, FirstName: "Jane", LastName: "Doe", Email: "jane@example.com", EmailVerified: true},
	"2": {ID: "2", Username: "mallory", Password: password, FirstName: "Mallory", Email: "jane@example.com"}, // says so, but nobody has verified it
	"3": {ID: "3", Username: "john", Password: password, FirstName: "John", Email: "john@example.com", EmailVerified: true},
}

func (people) GetUserByID(id string) *storage.User { return directory[id] }
func (people) ExampleClientID() string             { return clientID }
func (people) GetUserByUsername(name string) *storage.User {
	for _, user := range directory {
		if user.Username == name {
			return user
		}
	}
	return nil
}

// provider is a running OpenID provider.
type provider struct {
	*httptest.Server
	storage *storage.Storage

	mu       sync.Mutex
	requests map[string]int                 // by path
	tamper   func(path string, body object) // changes answers with JSON
}

func startProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{requests: map[string]int{}}
	p.storage = storage.NewStorageWithClients(people{}, map[string]*storage.Client{
		clientID: storage.WebClient(clientID, clientSecret, oidcURL+"/handler/frame"),
	})
	var handler http.Handler
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests[r.URL.Path]++
		tamper := p.tamper
		p.mu.Unlock()
		if tamper == nil {
			handler.ServeHTTP(w, r)
			return
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		body := recorder.Body.Bytes()
		var answer object
		if json.Unmarshal(body, &answer) == nil {
			tamper(r.URL.Path, answer)
			body, _ = json.Marshal(answer)
			recorder.Header().Del("Content-Length")
		}
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(p.Close)
	handler = p.handler(t)
	return p
}

// handler is the provider with a page to sign in.
func (p *provider) handler(t testing.TB) http.Handler {
	t.Helper()
	protocol, err := op.NewProvider(&op.Config{CodeMethodS256: true, AuthMethodPost: true, GrantTypeRefreshToken: true}, p.storage,
		op.StaticIssuer(p.URL), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.Handle("/", protocol)
	routes.HandleFunc("GET /login/username", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `<input name="id" value="`+html.EscapeString(r.FormValue("authRequestID"))+`">`)
	})
	routes.Handle("POST /login/username", op.NewIssuerInterceptor(protocol.IssuerFromRequest).Handler(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			id := r.FormValue("id")
			if err := p.storage.CheckUsernamePassword(r.FormValue("username"), r.FormValue("password"), id); err != nil {
				http.Error(w, err.Error(), http.StatusForbidden)
				return
			}
			http.Redirect(w, r, op.AuthCallbackURL(protocol)(r.Context(), id), http.StatusFound)
		})))
	return routes
}

// setTamper has answers with JSON changed before they are sent.
func (p *provider) setTamper(tamper func(path string, body object)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tamper = tamper
}

func (p *provider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}

// portal is a portal whose users sign in with a provider.
type portal struct {
	*backendtest.Backend
	clock *clockwork.FakeClock
	op    *provider
}

// startPortal starts both. The settings are added to those of the environment development.
func startPortal(t testing.TB, settings object, more ...backend.Feature) *portal {
	t.Helper()
	p := &portal{clock: clockwork.NewFakeClockAt(time.Now()), op: startProvider(t)}
	development := object{
		"metadataUrl": p.op.URL + "/.well-known/openid-configuration", "clientId": clientID, "clientSecret": clientSecret, "prompt": "auto",
		"additionalScopes": "offline_access",
		"signIn":           object{"resolvers": []any{object{"resolver": "emailMatchingUserEntityProfileEmail"}}},
	}
	for k, v := range settings {
		development[k] = v
	}
	production := object{"metadataUrl": p.op.URL, "clientId": "another", "clientSecret": "another-secret"}
	features := []backend.Feature{
		backendtest.Config(object{
			"app": object{"baseUrl": portalURL}, "backend": object{"baseUrl": portalURL},
			"auth": object{"experimentalExtraAllowedOrigins": []any{"http://*.preview.test"},
				"providers": object{"oidc": object{"development": development, "production": production}}},
		}),
		service.Root[clockwork.Clock](func() clockwork.Clock { return p.clock }),
		auth.Plugin(), oidc.Module(), catalogtest.Service(jane(t)),
	}
	for _, s := range serviceauth.Services() {
		features = append(features, s)
	}
	p.Backend = backendtest.Start(t, append(features, more...)...)
	return p
}

func jane(t testing.TB) catalogmodel.Entity {
	t.Helper()
	e, err := catalogmodel.ParseJSON([]byte(`{"apiVersion":"backstage.io/v1alpha1","kind":"User","metadata":{"name":"jane.doe"},
		"spec":{"profile":{"email":"jane@example.com"}},"relations":[{"type":"memberOf","targetRef":"group:default/payments"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// browser keeps cookies as browsers do, and follows redirects when it is told to.
type browser struct {
	t      testing.TB
	client *http.Client
	jar    *cookiejar.Jar
}

func (p *portal) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimPrefix(p.LocalURL(t), "http://")
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "portal.test:80" {
			address = at
		}
		return dialer.DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, jar}
}

// LocalURL is where the portal listens.
func (p *portal) LocalURL(t testing.TB) string {
	t.Helper()
	found := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(p.Log.String())
	if found == nil {
		t.Fatal("the portal doesn't tell where it listens")
	}
	return "http://" + found[1]
}

// answer is what came of a request.
type answer struct {
	status int
	header http.Header
	body   string
	url    string
}

func (b *browser) do(method, to string, form url.Values, headers ...string) answer {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, to, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(content), to}
}

// location is where the answer redirects to.
func (a answer) location(t testing.TB) string {
	t.Helper()
	base, err := url.Parse(a.url)
	if err != nil {
		t.Fatal(err)
	}
	to, err := base.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusFound || a.header.Get("Location") == "" {
		t.Fatalf("%s doesn't redirect: %d %s %v", a.url, a.status, a.body, err)
	}
	return to.String()
}

// failure is the name and the message of an answered error.
func (a answer) failure() string {
	var body struct {
		Error struct{ Name, Message string }
	}
	_ = json.Unmarshal([]byte(a.body), &body)
	return body.Error.Name + ": " + body.Error.Message
}

// start begins a sign-in and returns where the provider is asked.
func (b *browser) start(query string) string {
	b.t.Helper()
	return b.do(http.MethodGet, oidcURL+"/start?"+query, nil).location(b.t)
}

// atProvider signs in at the provider and returns where that sends the browser back.
func (b *browser) atProvider(to, user string) string {
	b.t.Helper()
	for range 10 {
		a := b.do(http.MethodGet, to, nil)
		if a.status == http.StatusOK {
			id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(a.body)
			if id == nil {
				b.t.Fatalf("no form to sign in: %s", a.body)
			}
			base, _, _ := strings.Cut(to, "?")
			a = b.do(http.MethodPost, base, url.Values{"id": {id[1]}, "username": {user}, "password": {password}})
		}
		to = a.location(b.t)
		if strings.HasPrefix(to, portalURL) {
			return to
		}
	}
	b.t.Fatal("the provider sends the browser in circles")
	return ""
}

// popup signs in completely, as the frontend does by a pop-up.
func (b *browser) popup(user string) message {
	b.t.Helper()
	return b.do(http.MethodGet, b.atProvider(b.start("env=development&origin=http%3A%2F%2Fportal.test&flow=popup&scope="), user), nil).message(b.t)
}

// message is what the window that opened the pop-up gets.
type message struct {
	origin   string
	Type     string
	Response session
	Error    struct{ Name, Message string }
}

type session struct {
	Profile      object
	ProviderInfo struct {
		IDToken, AccessToken, Scope string
		ExpiresInSeconds            int
	}
	BackstageIdentity *struct {
		Token    string
		Identity struct {
			UserEntityRef       string
			OwnershipEntityRefs []string
		}
	}
}

var (
	targetOf  = regexp.MustCompile(`appOrigin = decodeURIComponent\('([^']*)'\)`)
	messageOf = regexp.MustCompile(`JSON.parse\(decodeURIComponent\('([^']*)'\)\)`)
)

// message reads the page at the end of a pop-up.
func (a answer) message(t testing.TB) message {
	t.Helper()
	target, encoded := targetOf.FindStringSubmatch(a.body), messageOf.FindStringSubmatch(a.body)
	if a.status != http.StatusOK || target == nil || encoded == nil {
		t.Fatalf("no page of a pop-up: %d %s", a.status, a.body)
	}
	var m message
	text, err := url.PathUnescape(encoded[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&m); err != nil {
		t.Fatal(err)
	}
	if m.origin, err = url.PathUnescape(target[1]); err != nil {
		t.Fatal(err)
	}
	if m.Type != "authorization_response" {
		t.Errorf("the type is %q", m.Type)
	}
	return m
}

// refresh asks for a session as the frontend does.
func (b *browser) refresh(query string, headers ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, oidcURL+"/refresh?optional&env=development"+query, nil, append(headers, "X-Requested-With", "XMLHttpRequest")...)
}

func (a answer) session(t testing.TB) session {
	t.Helper()
	var s session
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != http.StatusOK {
		t.Fatalf("no session: %d %s", a.status, a.body)
	}
	return s
}

// cookies are those that the browser sends to the URL, by their names.
func (b *browser) cookies(to string) map[string]string {
	b.t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		b.t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range b.jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}
