package clients_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/plugins/auth/internal/clients"
	"github.com/portico-dev/portico/service/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, url string
		want         bool
	}{
		{"http://localhost:*/*", "http://localhost:1234/callback", true},
		{"http://localhost:*/*", "http://localhost/callback", true},
		{"http://localhost:*/*", "https://localhost:1234/callback", false},
		{"http://localhost:*/*", "http://localhost.evil.com:1/callback", false},
		{"http://localhost:*/*", "http://evil.com/localhost:1/", false},
		{"http://localhost:*", "http://localhost:1234/", true},
		{"http://localhost:*", "http://localhost:1234", true},
		{"http://localhost:*", "http://localhost:1234/callback", false},
		{"http://localhost/*", "http://localhost:1234/", false},
		{"http://localhost/*", "http://localhost:80/", true},
		{"http://[::1]:*/*", "http://[::1]:1234/callback", true},
		{"https://*.example.com/cb", "https://a.b.example.com/cb", true},
		{"https://*.example.com/cb", "https://A.Example.com/cb", true},
		{"https://*.example.com/cb", "https://evil.com/.example.com/cb", false},
		{"https://*.example.com/cb", "https://evil.com?.example.com/cb", false},
		{"https://*.example.com/cb", "https://a.example.com/cb/more", false},
		{"https://example.com/*/client.json", "https://example.com/a/b/client.json", true},
		{"https://example.com/*/client.json", "https://example.com/client.json", false},
		{"cursor://*", "cursor://anysphere.cursor/callback", true},
		{"cursor://*", "https://cursor/callback", false},
		{"*", "anything://at/all", true},
	} {
		p, err := clients.ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Matches(u); got != c.want {
			t.Errorf("%s of %s: %t", c.url, c.pattern, got)
		}
	}
	for _, pattern := range []string{"", "localhost", "*.example.com/*", "//example.com", "https://[", ":*"} {
		if _, err := clients.ParsePattern(pattern); err == nil {
			t.Errorf("%q is taken for a pattern", pattern)
		}
	}
}

// TestOddURLs are those that browsers understand in another way than they look (CVE-2026-32235).
func TestOddURLs(t *testing.T) {
	t.Parallel()
	everything, err := clients.ParsePatterns([]string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "/callback", "http://user@localhost/", "http://user:x@localhost/", "http://localhost%40evil.com/", "http://localhost\\@evil.com/", "http://localhost/\tx",
		"http://localhost/#fragment", "http://localhost/#", "javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "blob:http://x/y", "file:///etc/passwd",
		"http:localhost", "http:///x", "http://l\u00f6calhost/", "http://localhost/\u202e", "https://" + strings.Repeat("x", 3000), "view-source:http://x",
	} {
		if clients.CheckRedirect(text, everything) == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range []string{"http://localhost:1/x?y=z", "cursor://callback", "com.example.app:/callback", "https://example.com"} {
		if err := clients.CheckRedirect(text, everything); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRegistered(t *testing.T) {
	t.Parallel()
	list := []string{"http://127.0.0.1:8055/callback", "https://example.com/cb", "http://localhost/x?y=1"}
	for text, want := range map[string]bool{
		"http://127.0.0.1:8055/callback": true, "http://127.0.0.1:1/callback": true, "http://127.0.0.1/callback": true, "https://example.com/cb": true,
		"http://localhost:7/x?y=1": true, "http://localhost:7/x?y=2": false, "http://localhost:1/callback": false, "https://127.0.0.1:1/callback": false,
		"https://example.com:444/cb": false, "https://example.com/cb/": false, "http://127.0.0.1:1/other": false, "http://127.0.0.1.evil.com/callback": false,
	} {
		if clients.Registered(text, list) != want {
			t.Errorf("%s: %t", text, !want)
		}
	}
}

func FuzzRedirect(f *testing.F) {
	for _, seed := range []string{"http://localhost:1/x", "http://localhost", "http://localhost@evil.com", "http://evil.com/http://localhost/", "\\\\localhost", "http://localhost\\.evil.com"} {
		f.Add(seed)
	}
	patterns, err := clients.ParsePatterns(clients.Loopback())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if clients.CheckRedirect(text, patterns) != nil {
			return
		}
		lower := strings.ToLower(text)
		for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
			if rest, ok := strings.CutPrefix(lower, "http://"+host); ok && (rest == "" || strings.ContainsAny(rest[:1], "/:?")) {
				return
			}
		}
		t.Fatalf("%q is let through", text)
	})
}

// site is a client's site, which answers with a document.
type site struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request)
}

// documents are those of clients whose ids match the patterns. All names lead to the site.
func (s *site) documents(t *testing.T, patterns ...string) *clients.Documents {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	d, err := clients.NewDocuments(patterns, func(p egress.Policy) http.RoundTripper {
		transport := egress.NewTransport(p)
		transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		transport.TLSClientConfig.RootCAs = pool
		transport.TLSClientConfig.InsecureSkipVerify = true // the names of the tests are not in the certificate
		guarded := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(s.Listener.Addr().String())
			if err != nil {
				return nil, err
			}
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return guarded(ctx, network, net.JoinHostPort(host, port))
		}
		return transport
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(w, r) }))
	t.Cleanup(s.Close)
	return s
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const id = "https://localhost/client.json"
	d := s.documents(t, id)
	text := func(body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	s.answer = text(`{"client_id":"` + id + `","client_name":"A tool","redirect_uris":["http://127.0.0.1/cb"]}`)
	if m, err := d.Fetch(t.Context(), id); err != nil || m.ClientName != "A tool" || len(m.RedirectURIs) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"of another client":    text(`{"client_id":"https://localhost/other.json","redirect_uris":["http://127.0.0.1/cb"]}`),
		"without redirects":    text(`{"client_id":"` + id + `","redirect_uris":[]}`),
		"with a script":        text(`{"client_id":"` + id + `","redirect_uris":["javascript:alert(1)"]}`),
		"with a secret":        text(`{"client_id":"` + id + `","redirect_uris":["http://127.0.0.1/cb"],"client_secret":"x"}`),
		"with a secret method": text(`{"client_id":"` + id + `","redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"client_secret_basic"}`),
		"that is no JSON":      text(`<html>`),
		"without end":          text(strings.Repeat(" ", 100<<10)),
		"that isn't there":     http.NotFound,
		"that is elsewhere": func(w http.ResponseWriter, r *http.Request) { // CVE-2026-32236
			if r.URL.Path == "/client.json" {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
				return
			}
			text(`{"client_id":"`+id+`","redirect_uris":["http://127.0.0.1/cb"]}`)(w, r)
		},
	} {
		s.answer = answer
		if m, err := d.Fetch(t.Context(), id); err == nil {
			t.Errorf("a document %s: %+v", name, m)
		}
	}
}

// TestDocumentsInside has clients whose documents are where only the portal can reach them.
func TestDocumentsInside(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	asked := false
	s.answer = func(http.ResponseWriter, *http.Request) { asked = true }
	for id, pattern := range map[string]string{
		"https://localhost/client.json": "https://*/client.json", "https://127.0.0.1/client.json": "https://*/client.json",
		"https://[::1]/client.json": "*", "https://localhost/other.json": "https://localhost/client.json", "http://localhost/client.json": "*",
		"https://localhost/a/../client.json": "*", "https://localhost/%2e%2e/client.json": "*", "https://localhost/client.json?x": "*", "https://localhost/": "*",
		"https://x@localhost/client.json": "*", "https://localhost/client.json#x": "*",
	} {
		if m, err := s.documents(t, pattern).Fetch(t.Context(), id); err == nil || asked {
			t.Errorf("%s by %s: %+v", id, pattern, m)
		}
	}
}
