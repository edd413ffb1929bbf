package saml_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	idp "github.com/crewjam/saml"
	"github.com/jonboulle/clockwork"
	dsig "github.com/russellhaering/goxmldsig"
)

// provider is an identity provider by another library.
type provider struct {
	*idp.IdentityProvider
	portal *portal
}

func newProvider(t *testing.T, p *portal) provider {
	t.Helper()
	entry, err := url.Parse(entryPoint)
	if err != nil {
		t.Fatal(err)
	}
	found := provider{portal: p}
	found.IdentityProvider = &idp.IdentityProvider{Key: p.idp.key, Certificate: p.idp.cert, SSOURL: *entry, SignatureMethod: dsig.RSASHA256SignatureMethod,
		ServiceProviderProvider: found, SessionProvider: found}
	return found
}

// GetServiceProvider implements saml.ServiceProviderProvider.
func (p provider) GetServiceProvider(_ *http.Request, id string) (*idp.EntityDescriptor, error) {
	if id != entityID {
		return nil, os.ErrNotExist
	}
	return &idp.EntityDescriptor{EntityID: entityID, SPSSODescriptors: []idp.SPSSODescriptor{{
		AssertionConsumerServices: []idp.IndexedEndpoint{{Binding: idp.HTTPPostBinding, Location: p.portal.callback(), Index: 1}},
	}}}, nil
}

// GetSession implements saml.SessionProvider.
func (p provider) GetSession(http.ResponseWriter, *http.Request, *idp.IdpAuthnRequest) *idp.Session {
	now := time.Now()
	return &idp.Session{ID: "s", NameID: "jane", CreateTime: now, ExpireTime: now.Add(time.Hour), UserCommonName: "Jane Doe", UserEmail: "jane@example.com",
		CustomAttributes: []idp.Attribute{{Name: "mail", Values: []idp.AttributeValue{{Type: "xs:string", Value: "jane@example.com"}}}}}
}

var formInputs = regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`)

// TestSignIn signs in at a provider by another library: start, answer, message, and sign-out.
func TestSignIn(t *testing.T) {
	t.Parallel()
	p := startPortal(t, object{"acceptedClockSkewMs": 600_000})
	b := p.browser(t)
	to, asked := b.start()
	if asked.Issuer != entityID || asked.AssertionConsumerServiceURL != p.callback() || asked.Destination != entryPoint || to.Query().Get("tenant") != "acme" {
		t.Errorf("the request is %+v at %s", asked, to)
	}
	w := httptest.NewRecorder()
	newProvider(t, p).ServeSSO(w, httptest.NewRequest(http.MethodGet, to.String(), nil))
	form := url.Values{}
	for _, input := range formInputs.FindAllStringSubmatch(w.Body.String(), -1) {
		form.Set(input[1], html.UnescapeString(input[2]))
	}
	m := b.post(form)
	if m.Response == nil || m.Response.BackstageIdentity.Identity.UserEntityRef != "user:default/jane" || m.Response.BackstageIdentity.Token == "" ||
		m.Response.Profile.Email != "jane@example.com" || m.Response.Profile.DisplayName != "Jane Doe" || m.Response.ProviderInfo == nil {
		t.Fatalf("the message is %+v\n%s", m, p.Log)
	}

	logout := p.URL() + "/api/auth/saml/logout?env=development"
	if status, _, body := b.do(http.MethodPost, logout, nil, "X-Requested-With", "XMLHttpRequest"); status != http.StatusOK || body != "" {
		t.Errorf("signing out: %d %s", status, body)
	}
	if status, _, _ := b.do(http.MethodPost, logout, nil); status != http.StatusUnauthorized {
		t.Errorf("another site signs out: %d", status)
	}
}

// TestSignedRequest has the portal sign what it asks, and ask for more.
func TestSignedRequest(t *testing.T) {
	t.Parallel()
	own := newIdentity(t)
	key, err := x509.MarshalPKCS8PrivateKey(own.key)
	if err != nil {
		t.Fatal(err)
	}
	p := startPortal(t, object{"privateKey": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), "signatureAlgorithm": "sha512",
		"identifierFormat": "urn:x", "authnContext": []any{"urn:mfa"}})
	to, asked := p.browser(t).start()
	if asked.NameIDPolicy.Format != "urn:x" || !slices.Equal(asked.Classes, []string{"urn:mfa"}) {
		t.Errorf("the request is %+v", asked)
	}
	signed, _, _ := strings.Cut(strings.TrimPrefix(to.RawQuery, "tenant=acme&"), "&Signature=")
	signature, err := base64.StdEncoding.DecodeString(to.Query().Get("Signature"))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha512.Sum512([]byte(signed))
	if err := rsa.VerifyPKCS1v15(&own.key.PublicKey, crypto.SHA512, digest[:], signature); err != nil {
		t.Errorf("%v: %s", err, to)
	}
	if strings.Contains(p.Log.String(), base64.StdEncoding.EncodeToString(key)[100:200]) {
		t.Error("the log has the key")
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	for name, c := range map[string]struct {
		more object
		want string
	}{
		"no entry point":      {object{"entryPoint": "idp.test"}, "saml.entryPoint"},
		"no issuer":           {object{"issuer": nil}, "issuer"},
		"no certificate":      {object{"cert": "abc"}, "saml.cert is no certificate"},
		"no certificates":     {object{"cert": []any{}}, "saml.cert is required"},
		"no key":              {object{"privateKey": "abc"}, "saml.privateKey"},
		"weak signature":      {object{"signatureAlgorithm": "sha1"}, "signatureAlgorithm"},
		"negative skew":       {object{"acceptedClockSkewMs": -1}, "acceptedClockSkewMs"},
		"key to decrypt with": {object{"decryptionPvk": "abc"}, "decryptionPvk can't be used"},
		"no resolver":         {object{"signIn": nil}, "auth.providers.saml.signIn.resolvers is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := tryPortal(t, clockwork.NewRealClock(), settings(id, c.more)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestFormsOfCertificates has a certificate without the frame of PEM, behind another one.
func TestFormsOfCertificates(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	plain := strings.Join(regexp.MustCompile(`.{64}`).FindAllString(base64.StdEncoding.EncodeToString(p.idp.cert.Raw), -1), "\n")
	rest := base64.StdEncoding.EncodeToString(p.idp.cert.Raw)[len(strings.ReplaceAll(plain, "\n", "")):]
	q := startPortal(t, object{"cert": []any{newIdentity(t).pem(), plain + "\n" + rest}})
	q.idp = p.idp
	b := q.browser(t)
	_, asked := b.start()
	if m := b.post(form(q.respond(t, asked.ID, nil).signAssertion().document)); m.Response == nil {
		t.Errorf("%+v\n%s", m, q.Log)
	}
}

// TestXML makes sure that what is asked is what a strict reader takes.
func TestXML(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	to, _ := p.browser(t).start()
	parsed, err := idp.NewIdpAuthnRequest(newProvider(t, p).IdentityProvider, httptest.NewRequest(http.MethodGet, to.String(), nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Validate(); err != nil {
		t.Error(err)
	}
	if err := xml.Unmarshal(bytes.TrimSpace(parsed.RequestBuffer), &struct{}{}); err != nil {
		t.Error(err)
	}
}
