package saml_test

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"html"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/saml"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
	"github.com/portico-dev/portico/service"
	serviceauth "github.com/portico-dev/portico/service/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

const (
	appOrigin  = "http://portal.test"
	entryPoint = "https://idp.test/sso?tenant=acme"
	entityID   = "https://portal.test/saml"
)

// identity is a key with its certificate.
type identity struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newIdentity(t testing.TB) identity {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return identity{key, cert}
}

func (i identity) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw}))
}

func (i identity) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
}

// portal is a portal whose users sign in at a provider.
type portal struct {
	*backendtest.Backend
	clock *clockwork.FakeClock
	idp   identity
}

func (p *portal) callback() string { return p.URL() + "/api/auth/saml/handler/frame" }

// settings are those of the provider, with some added or, if they are nil, removed.
func settings(idp identity, more object) object {
	s := object{"entryPoint": entryPoint, "issuer": entityID, "cert": idp.pem(),
		"signIn": object{"resolvers": []any{object{"resolver": "nameIdMatchingUserEntityName"}}}}
	for k, v := range more {
		s[k] = v
		if v == nil {
			delete(s, k)
		}
	}
	return s
}

func startPortal(t testing.TB, more object) *portal {
	t.Helper()
	p := &portal{clock: clockwork.NewFakeClockAt(time.Now()), idp: newIdentity(t)}
	var err error
	if p.Backend, err = tryPortal(t, p.clock, settings(p.idp, more)); err != nil {
		t.Fatal(err)
	}
	return p
}

func tryPortal(t testing.TB, clock clockwork.Clock, settings object) (*backendtest.Backend, error) {
	t.Helper()
	jane, err := catalogmodel.ParseJSON([]byte(`{"apiVersion":"backstage.io/v1alpha1","kind":"User","metadata":{"name":"jane"},"spec":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	features := []backend.Feature{
		backendtest.Config(object{"app": object{"baseUrl": appOrigin}, "auth": object{"providers": object{"saml": settings}}}),
		service.Root[clockwork.Clock](func() clockwork.Clock { return clock }),
		auth.Plugin(), saml.Module(), catalogtest.Service(jane),
	}
	for _, s := range serviceauth.Services() {
		features = append(features, s)
	}
	return backendtest.TryStart(t, features...)
}

// browser has cookies, which it leaves out of what it posts across sites.
type browser struct {
	t testing.TB
	*http.Client
	p *portal
}

func (p *portal) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, p}
}

func (b *browser) do(method, to string, form url.Values, headers ...string) (int, http.Header, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, to, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

// start begins a sign-in and returns where the browser is sent, and what it is to ask there.
func (b *browser) start() (to *url.URL, asked request) {
	b.t.Helper()
	status, header, body := b.do(http.MethodGet, b.p.URL()+"/api/auth/saml/start?env=development", nil)
	to, err := url.Parse(header.Get("Location"))
	if err != nil || status != http.StatusFound {
		b.t.Fatalf("the sign-in doesn't start: %d %s", status, body)
	}
	deflated, err := base64.StdEncoding.DecodeString(to.Query().Get("SAMLRequest"))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := xml.NewDecoder(flate.NewReader(bytes.NewReader(deflated))).Decode(&asked); err != nil {
		b.t.Fatal(err)
	}
	return to, asked
}

// request is what a provider reads of a request.
type request struct {
	ID, Destination, ProtocolBinding, AssertionConsumerServiceURL string

	Issuer       string `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
	NameIDPolicy struct {
		Format string `xml:",attr"`
	}
	Classes []string `xml:"RequestedAuthnContext>AuthnContextClassRef"`
}

// UnmarshalXML reads the attributes by their names, whatever their case.
func (r *request) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	type plain request
	for _, a := range start.Attr {
		switch a.Name.Local {
		case "ID":
			r.ID = a.Value
		case "Destination":
			r.Destination = a.Value
		case "ProtocolBinding":
			r.ProtocolBinding = a.Value
		case "AssertionConsumerServiceURL":
			r.AssertionConsumerServiceURL = a.Value
		}
	}
	return d.DecodeElement((*plain)(r), &start)
}

// message is what the window that opened the pop-up gets.
type message struct {
	Type     string
	Response *struct {
		Profile           auth.Profile
		ProviderInfo      object
		BackstageIdentity struct {
			Token    string
			Identity struct{ UserEntityRef string }
		}
	}
	Error struct{ Name, Message string }
}

var (
	inputs    = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	messageOf = regexp.MustCompile(`JSON.parse\(decodeURIComponent\('([^']*)'\)\), appOrigin`)
)

// post comes back with a form, as the page of a provider has browsers do: at first without cookies, then by the page that the portal answers.
func (b *browser) post(form url.Values) message {
	b.t.Helper()
	elsewhere := b.p.browser(b.t)
	status, _, body := elsewhere.do(http.MethodPost, b.p.callback(), form, "Origin", "https://idp.test")
	if status != http.StatusOK || !strings.Contains(body, `action="?again=1"`) {
		b.t.Fatalf("the form is not to be sent again: %d %s", status, body)
	}
	again := url.Values{}
	for _, input := range inputs.FindAllStringSubmatch(body, -1) {
		again.Add(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	return b.postAgain(again)
}

func (b *browser) postAgain(form url.Values) message {
	b.t.Helper()
	status, _, body := b.do(http.MethodPost, b.p.callback()+"?again=1", form, "Origin", "null")
	found := messageOf.FindStringSubmatch(body)
	if status != http.StatusOK || found == nil || !strings.Contains(body, url.QueryEscape(appOrigin)) {
		b.t.Fatalf("no page of a pop-up: %d %s", status, body)
	}
	text, err := url.PathUnescape(found[1])
	if err != nil {
		b.t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Type != "authorization_response" {
		b.t.Fatalf("the message is %s: %v", text, err)
	}
	return m
}
