package saml_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/jonboulle/clockwork"
	dsig "github.com/russellhaering/goxmldsig"
)

// answer is a response of a provider under construction.
type answer struct {
	t        testing.TB
	by       identity
	hash     string
	document *etree.Document
}

// respond is a response to a request, which says that jane has signed in. Parts of its text can be replaced.
func (p *portal) respond(t testing.TB, id string, replaced map[string]string) *answer {
	t.Helper()
	return provided{p.idp, p.clock, p.callback()}.respond(t, id, replaced)
}

// provided is what responses are made of.
type provided struct {
	idp      identity
	clock    clockwork.Clock
	callback string
}

func (p provided) respond(t testing.TB, id string, replaced map[string]string) *answer {
	t.Helper()
	at := func(d time.Duration) string { return p.clock.Now().Add(d).UTC().Format(time.RFC3339) }
	text := `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_r" Version="2.0">` +
		`<saml:Issuer>https://idp.test</saml:Issuer>` +
		`<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>` +
		`<saml:Assertion ID="_a" Version="2.0"><saml:Issuer>https://idp.test</saml:Issuer>` +
		`<saml:Subject><saml:NameID>jane</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">` +
		`<saml:SubjectConfirmationData InResponseTo="` + id + `" Recipient="` + p.callback + `" NotOnOrAfter="` + at(time.Minute) + `"/></saml:SubjectConfirmation></saml:Subject>` +
		`<saml:Conditions NotBefore="` + at(-time.Minute) + `" NotOnOrAfter="` + at(2*time.Minute) + `">` +
		`<saml:AudienceRestriction><saml:Audience>` + entityID + `</saml:Audience></saml:AudienceRestriction></saml:Conditions>` +
		`<saml:AttributeStatement><saml:Attribute Name="mail"><saml:AttributeValue>jane@example.com</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>` +
		`</saml:Assertion></samlp:Response>`
	for old, replacement := range replaced {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the response", old)
		}
		text = strings.ReplaceAll(text, old, replacement)
	}
	a := &answer{t: t, by: p.idp, hash: dsig.RSASHA256SignatureMethod, document: etree.NewDocument()}
	if err := a.document.ReadFromString(text); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign is an element with an enveloped signature.
func (a *answer) sign(e *etree.Element) *etree.Element {
	a.t.Helper()
	signing, err := dsig.NewSigningContext(a.by.key, a.by.tls().Certificate)
	if err != nil {
		a.t.Fatal(err)
	}
	signing.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := signing.SetSignatureMethod(a.hash); err != nil {
		a.t.Fatal(err)
	}
	signed, err := signing.SignEnveloped(e)
	if err != nil {
		a.t.Fatal(err)
	}
	return signed
}

func (a *answer) assertion() *etree.Element { return a.document.FindElement("/Response/Assertion") }

// signAssertion signs the assertion.
func (a *answer) signAssertion() *answer {
	a.t.Helper()
	found := a.assertion()
	found.CreateAttr("xmlns:saml", "urn:oasis:names:tc:SAML:2.0:assertion")
	i := found.Index()
	root := a.document.Root()
	signed := a.sign(found.Copy())
	root.RemoveChildAt(i)
	root.InsertChildAt(i, signed)
	return a.again()
}

// signResponse signs the response.
func (a *answer) signResponse() *answer {
	a.t.Helper()
	a.document.SetRoot(a.sign(a.document.Root().Copy()))
	return a.again()
}

// again reads the document again: signatures don't know where they are before.
func (a *answer) again() *answer {
	a.t.Helper()
	text, err := a.document.WriteToString()
	if err != nil {
		a.t.Fatal(err)
	}
	a.document = etree.NewDocument()
	if err := a.document.ReadFromString(text); err != nil {
		a.t.Fatal(err)
	}
	return a
}

// forged is an assertion that is like the one of the response, but about the boss, and not signed.
func (a *answer) forged() *etree.Element {
	forged := a.assertion().Copy()
	if s := signatureOf(forged); s != nil {
		forged.RemoveChild(s)
	}
	forged.FindElement(".//NameID").SetText("boss")
	forged.CreateAttr("ID", "_forged")
	return forged
}

func signatureOf(e *etree.Element) *etree.Element { return e.FindElement("./Signature") }

func form(document *etree.Document) url.Values {
	text, err := document.WriteToBytes()
	if err != nil {
		panic(err)
	}
	return formOf(string(text))
}

func formOf(text string) url.Values {
	return url.Values{"SAMLResponse": {base64.StdEncoding.EncodeToString([]byte(text))}, "RelayState": {`"><script>`}}
}

// TestAnswers has answers that are good, and very many that aren't.
func TestAnswers(t *testing.T) {
	t.Parallel()
	relaxed, strict := startPortal(t, nil), startPortal(t, object{"wantAuthnResponseSigned": true, "wantAssertionsSigned": true})
	elsewhere := startPortal(t, object{"audience": "urn:portal"})
	another := newIdentity(t)
	replaced := func(pairs ...string) func(*portal, string) *etree.Document {
		return func(p *portal, id string) *etree.Document {
			all := map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				all[pairs[i]] = pairs[i+1]
			}
			return p.respond(t, id, all).signAssertion().document
		}
	}
	at := func(d time.Duration) string { return relaxed.clock.Now().Add(d).UTC().Format(time.RFC3339) }
	const untrusted = "AuthenticationError: The answer of the provider can't be trusted"
	for name, c := range map[string]struct {
		p    *portal
		make func(p *portal, id string) *etree.Document
		want string // the error, or nothing
		log  string
	}{
		"the assertion is signed": {relaxed, replaced(), "", ""},
		"the response is signed": {relaxed, func(p *portal, id string) *etree.Document {
			return p.respond(t, id, nil).signResponse().document
		}, "", ""},
		"both are signed": {strict, func(p *portal, id string) *etree.Document {
			return p.respond(t, id, nil).signAssertion().signResponse().document
		}, "", ""},
		"comments in the name": {relaxed, replaced("NameID>jane", "NameID>ja<!-- x -->ne"), "", ""},
		"several audiences":    {relaxed, replaced("<saml:Audience>", "<saml:Audience>urn:other</saml:Audience><saml:Audience>"), "", ""},

		"only the assertion is signed": {strict, replaced(), untrusted, "the response is not signed"},
		"only the response is signed": {strict, func(p *portal, id string) *etree.Document {
			return p.respond(t, id, nil).signResponse().document
		}, untrusted, "neither the response nor the assertion is signed"},
		"another audience is configured": {elsewhere, func(p *portal, id string) *etree.Document {
			return p.respond(t, id, nil).signAssertion().signResponse().document
		}, untrusted, `not for \"urn:portal\"`},
		"nothing is signed": {relaxed, func(p *portal, id string) *etree.Document {
			return p.respond(t, id, nil).document
		}, untrusted, "neither the response nor the assertion is signed"},
		"by another key": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil)
			a.by = another
			return a.signAssertion().document
		}, untrusted, "the assertion:"},
		"by a weak hash": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil)
			a.hash = dsig.RSASHA1SignatureMethod
			return a.signAssertion().document
		}, untrusted, "too weak"},
		"changed after signing": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil).signAssertion()
			a.document.FindElement("//NameID").SetText("boss")
			return a.document
		}, untrusted, "the assertion:"},
		"changed response": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil).signResponse()
			a.document.FindElement("//NameID").SetText("boss")
			return a.document
		}, untrusted, "the response:"},
		"an empty signature": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil)
			a.assertion().CreateElement("ds:Signature").CreateAttr("xmlns:ds", dsig.Namespace)
			return a.document
		}, untrusted, "the assertion:"},

		"another audience":    {relaxed, replaced("<saml:Audience>"+entityID, "<saml:Audience>https://other.test"), untrusted, "not for"},
		"one audience of two": {relaxed, replaced("</saml:AudienceRestriction>", "</saml:AudienceRestriction><saml:AudienceRestriction><saml:Audience>x</saml:Audience></saml:AudienceRestriction>"), untrusted, "not for"},
		"no audience":         {relaxed, replaced("<saml:AudienceRestriction><saml:Audience>"+entityID+"</saml:Audience></saml:AudienceRestriction>", ""), untrusted, "doesn't tell its audience"},
		"expired":             {relaxed, replaced(`NotOnOrAfter="`+at(2*time.Minute), `NotOnOrAfter="`+at(0)), untrusted, "valid until"},
		"not valid yet":       {relaxed, replaced(`NotBefore="`+at(-time.Minute), `NotBefore="`+at(time.Minute)), untrusted, "valid from"},
		"without an end":      {relaxed, replaced(` NotOnOrAfter="`+at(2*time.Minute)+`"`, ""), untrusted, "valid until"},
		"ended confirmation":  {relaxed, replaced(`NotOnOrAfter="`+at(time.Minute), `NotOnOrAfter="`+at(-time.Second)), untrusted, "valid until"},
		"another recipient":   {relaxed, replaced(`Recipient="`, `Recipient="https://other.test`), untrusted, "recipient"},
		"no bearer":           {relaxed, replaced("cm:bearer", "cm:sender-vouches"), untrusted, "no confirmation"},
		"nobody":              {relaxed, replaced("NameID>jane", "NameID> "), untrusted, "names nobody"},
		"no conditions":       {relaxed, replaced("saml:Conditions", "saml:Advice"), untrusted, "0 conditions"},
		"not asked for": {relaxed, func(p *portal, _ string) *etree.Document {
			return p.respond(t, "", nil).signAssertion().document
		}, untrusted, "another request"},
		"asked for by somebody else": {relaxed, func(p *portal, _ string) *etree.Document {
			_, asked := p.browser(t).start()
			return p.respond(t, asked.ID, nil).signAssertion().document
		}, untrusted, "another request"},
		"a user whom the catalog doesn't have": {relaxed, replaced("NameID>jane", "NameID>john"), "NotAllowedError: Failed to sign-in, unable to resolve user identity.", ""},

		"two assertions, the forged one first": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil).signAssertion()
			a.document.Root().InsertChildAt(a.assertion().Index(), a.forged())
			return a.document
		}, untrusted, "2 assertions"},
		"two assertions, the forged one last": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil).signAssertion()
			a.document.Root().AddChild(a.forged())
			return a.document
		}, untrusted, "2 assertions"},
		"the signed assertion within the forged one": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil).signAssertion()
			forged, original := a.forged(), a.assertion()
			a.document.Root().RemoveChild(original)
			forged.AddChild(original)
			a.document.Root().AddChild(forged)
			return a.document
		}, untrusted, "neither the response nor the assertion is signed"},
		"the signature moved to the forged assertion, around the signed one": {relaxed, func(p *portal, id string) *etree.Document {
			return wrap(p.respond(t, id, nil).signAssertion(), "_forged")
		}, untrusted, "the assertion:"},
		"the same with the id of the signed one": {relaxed, func(p *portal, id string) *etree.Document {
			return wrap(p.respond(t, id, nil).signAssertion(), "_a")
		}, untrusted, "the assertion:"},
		"the signed assertion among the extensions": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil).signAssertion()
			forged, original := a.forged(), a.assertion()
			forged.CreateAttr("ID", "_a")
			forged.AddChild(signatureOf(original).Copy())
			a.document.Root().RemoveChild(original)
			a.document.Root().CreateElement("samlp:Extensions").AddChild(original)
			a.document.Root().AddChild(forged)
			return a.document
		}, untrusted, "the assertion:"},
		"a forged response around the signed one": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil).signResponse()
			original := a.document.Root()
			forged := original.Copy()
			forged.CreateAttr("ID", "_forged")
			forged.FindElement(".//NameID").SetText("boss")
			signature := signatureOf(forged)
			signature.CreateElement("ds:Object").AddChild(original.Copy())
			a.document.SetRoot(forged)
			return a.document
		}, untrusted, "the response:"},
		"an encrypted assertion": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, nil)
			a.assertion().Tag = "EncryptedAssertion"
			return a.document
		}, untrusted, "0 assertions that aren't encrypted"},
		"a refusal": {relaxed, func(p *portal, id string) *etree.Document {
			a := p.respond(t, id, map[string]string{"status:Success": "status:AuthnFailed"})
			a.document.Root().RemoveChild(a.assertion())
			return a.document
		}, "NotAllowedError: The provider has not signed you in: AuthnFailed", ""},
		"a signed refusal with an assertion": {relaxed, func(p *portal, id string) *etree.Document {
			return p.respond(t, id, map[string]string{"status:Success": "status:AuthnFailed"}).signResponse().document
		}, untrusted, "the status"},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.p
			b := p.browser(t)
			_, asked := b.start()
			m := b.post(form(c.make(p, asked.ID)))
			if c.want == "" {
				if m.Response == nil || m.Response.BackstageIdentity.Identity.UserEntityRef != "user:default/jane" {
					t.Errorf("no sign-in: %+v\n%s", m, p.Log)
				}
				return
			}
			if got := m.Error.Name + ": " + m.Error.Message; m.Response != nil || !strings.HasPrefix(got, c.want) {
				t.Errorf("got %+v", m)
			}
			if !strings.Contains(p.Log.String(), c.log) {
				t.Errorf("the log doesn't tell %q:\n%s", c.log, p.Log)
			}
		})
	}
}

// wrap moves the signature of the assertion to a forged one, and what it signs into the signature.
func wrap(a *answer, id string) *etree.Document {
	forged, original := a.forged(), a.assertion()
	forged.CreateAttr("ID", id)
	signature := signatureOf(original)
	original.RemoveChild(signature)
	a.document.Root().RemoveChild(original)
	signature.CreateElement("ds:Object").AddChild(original)
	forged.InsertChildAt(1, signature)
	a.document.Root().AddChild(forged)
	return a.document
}

// TestHostileXML has documents that would take memory, files or time.
func TestHostileXML(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	_, asked := b.start()
	good, err := p.respond(t, asked.ID, nil).signAssertion().document.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	bomb := `<!DOCTYPE x [<!ENTITY a "jane"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>`
	for name, text := range map[string]string{
		"nothing":            "",
		"no XML":             "jane",
		"another document":   "<x/>",
		"a document type":    `<!DOCTYPE x SYSTEM "file:///etc/passwd">` + good,
		"entities":           bomb + strings.Replace(good, "NameID>jane", "NameID>&c;", 1),
		"an external entity": `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + strings.Replace(good, "NameID>jane", "NameID>&a;", 1),
		"deep nesting":       strings.Replace(good, "<samlp:Status>", strings.Repeat("<x>", 20_000)+strings.Repeat("</x>", 20_000)+"<samlp:Status>", 1) + "x",
		"an end that isn't":  good[:len(good)/2],
		"two documents":      good + good,
		"many attributes": strings.Replace(good, ` ID="_r"`, func() (all string) {
			for i := range 2000 {
				all += fmt.Sprintf(` a%d="x"`, i)
			}
			return all
		}(), 1)[:len(good)],
	} {
		if m := b.postKeepingCookie(formOf(text)); m.Response != nil || m.Error.Name != "AuthenticationError" && m.Error.Name != "InputError" {
			t.Errorf("%s: %+v", name, m)
		}
	}
	huge := url.Values{"SAMLResponse": {strings.Repeat("A", 600<<10)}}
	if status, _, body := b.do(http.MethodPost, p.callback(), huge); status != http.StatusBadRequest {
		t.Errorf("a form that is too large: %d %s", status, body)
	}
	if m := b.post(formOf(good)); m.Response == nil {
		t.Errorf("what was good before is not: %+v\n%s", m, p.Log)
	}
}

// postKeepingCookie posts with the cookie of the sign-in under way, and keeps it.
func (b *browser) postKeepingCookie(form url.Values) message {
	b.t.Helper()
	at, err := url.Parse(b.p.callback())
	if err != nil {
		b.t.Fatal(err)
	}
	kept := b.Jar.Cookies(at)
	defer func() {
		for _, c := range kept {
			c.Path = at.Path[:strings.LastIndexByte(at.Path, '/')]
		}
		b.Jar.SetCookies(at, kept)
	}()
	return b.postAgain(form)
}

// TestReplay has an answer come twice, and in another browser.
func TestReplay(t *testing.T) {
	t.Parallel()
	p := startPortal(t, nil)
	b := p.browser(t)
	_, asked := b.start()
	answer := form(p.respond(t, asked.ID, nil).signAssertion().document)
	if m := p.browser(t).postAgain(answer); m.Error.Name != "NotAllowedError" || !strings.Contains(m.Error.Message, "has not started a sign-in") {
		t.Errorf("in a browser that hasn't asked: %+v", m)
	}
	another := p.browser(t)
	another.start()
	if m := another.post(answer); m.Error.Name != "AuthenticationError" {
		t.Errorf("in a browser that has asked too: %+v", m)
	}
	if m := b.postKeepingCookie(answer); m.Response == nil {
		t.Fatalf("in the browser that has asked: %+v\n%s", m, p.Log)
	}
	if m := b.postKeepingCookie(answer); m.Error.Name != "NotAllowedError" || !strings.Contains(m.Error.Message, "used already") {
		t.Errorf("again, with its cookie: %+v", m)
	}
	_, asked = b.start()
	late := form(p.respond(t, asked.ID, nil).signAssertion().document)
	p.clock.Advance(time.Minute)
	if m := b.post(late); m.Error.Name != "AuthenticationError" {
		t.Errorf("after it has expired: %+v", m)
	}
}
