package saml

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"

	"github.com/portico-dev/portico/plugins/auth"
)

const (
	success = "urn:oasis:names:tc:SAML:2.0:status:Success"
	bearer  = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
)

// response is the answer of a provider.
type response struct {
	XMLName xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:protocol Response"`
	Status  struct {
		Code struct {
			Value string `xml:",attr"`
			Code  struct {
				Value string `xml:",attr"`
			} `xml:"urn:oasis:names:tc:SAML:2.0:protocol StatusCode"`
		} `xml:"urn:oasis:names:tc:SAML:2.0:protocol StatusCode"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:protocol Status"`
	Assertions []assertion `xml:"urn:oasis:names:tc:SAML:2.0:assertion Assertion"`
}

// assertion is what the provider says of a user.
type assertion struct {
	XMLName xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:assertion Assertion"`
	NameID  struct {
		Format string `xml:",attr"`
		Value  string `xml:",chardata"`
	} `xml:"Subject>NameID"`
	Confirmations []struct {
		Method string `xml:",attr"`
		Data   struct {
			InResponseTo string `xml:",attr"`
			Recipient    string `xml:",attr"`
			validity
		} `xml:"SubjectConfirmationData"`
	} `xml:"Subject>SubjectConfirmation"`
	Conditions []struct {
		validity
		Restrictions []struct {
			Audiences []string `xml:"Audience"`
		} `xml:"AudienceRestriction"`
	}
	Attributes []struct {
		Name   string   `xml:",attr"`
		Values []string `xml:"AttributeValue"`
	} `xml:"AttributeStatement>Attribute"`
}

// validity is when something is valid.
type validity struct {
	NotBefore    string `xml:",attr"`
	NotOnOrAfter string `xml:",attr"`
}

// check tells whether it is valid now. It need not begin, but must end.
func (v validity) check(now time.Time, skew time.Duration) error {
	if v.NotBefore != "" {
		if begin, err := time.Parse(time.RFC3339, v.NotBefore); err != nil || now.Add(skew).Before(begin) {
			return fmt.Errorf("valid from %q, it is %s", v.NotBefore, now.UTC().Format(time.RFC3339))
		}
	}
	if end, err := time.Parse(time.RFC3339, v.NotOnOrAfter); err != nil || !now.Add(-skew).Before(end) {
		return fmt.Errorf("valid until %q, it is %s", v.NotOnOrAfter, now.UTC().Format(time.RFC3339))
	}
	return nil
}

// refusal is the status by which a provider says that it hasn't signed the user in, or empty. Nobody has verified it.
func refusal(document []byte) string {
	var r response
	if err := xml.Unmarshal(document, &r); err != nil || r.Status.Code.Value == success || len(r.Assertions) > 0 {
		return ""
	}
	status := cmp.Or(r.Status.Code.Code.Value, r.Status.Code.Value)
	if name, ok := strings.CutPrefix(status, "urn:oasis:names:tc:SAML:2.0:status:"); ok && len(name) < 100 {
		return name
	}
	return ""
}

// verify is the one assertion of a document, as it was signed.
func (a *authenticator) verify(document []byte) (*assertion, error) {
	root, err := parse(document)
	if err != nil {
		return nil, err
	}
	if isSigned(root) {
		if root, err = a.signed(root); err != nil {
			return nil, fmt.Errorf("the response: %w", err)
		}
		if !a.WantAssertionsSigned {
			return assertionOf(root)
		}
	} else if a.WantAuthnResponseSigned {
		return nil, errors.New("the response is not signed")
	}
	element, err := onlyAssertion(root)
	if err != nil {
		return nil, err
	}
	if !isSigned(element) {
		return nil, errors.New("neither the response nor the assertion is signed, or not both as configured")
	}
	if element, err = a.signed(element); err != nil {
		return nil, fmt.Errorf("the assertion: %w", err)
	}
	found := &assertion{}
	return found, unmarshal(element, found)
}

// parse reads a document, which must be one, and must not define entities.
func parse(document []byte) (*etree.Element, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(document); err != nil {
		return nil, fmt.Errorf("reading the response: %w", err)
	}
	if slices.ContainsFunc(doc.Child, func(token etree.Token) bool { _, is := token.(*etree.Directive); return is }) {
		return nil, errors.New("the response has a document type")
	}
	root := doc.Root()
	if len(doc.ChildElements()) != 1 || root.Tag != "Response" || root.NamespaceURI() != protocolNS {
		return nil, errors.New("the document is no response")
	}
	return root, nil
}

// assertionOf is the one assertion of a response that was signed.
func assertionOf(root *etree.Element) (*assertion, error) {
	var r response
	if err := unmarshal(root, &r); err != nil {
		return nil, err
	}
	if r.Status.Code.Value != success || len(r.Assertions) != 1 {
		return nil, fmt.Errorf("the response has the status %q and %d assertions", r.Status.Code.Value, len(r.Assertions))
	}
	return &r.Assertions[0], nil
}

func onlyAssertion(root *etree.Element) (*etree.Element, error) {
	var found []*etree.Element
	for _, child := range root.ChildElements() {
		if child.NamespaceURI() == assertionNS && child.Tag == "Assertion" {
			found = append(found, child)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("the response has %d assertions that aren't encrypted", len(found))
	}
	return found[0], nil
}

func unmarshal(element *etree.Element, dst any) error {
	doc := etree.NewDocument()
	doc.SetRoot(element.Copy())
	text, err := doc.WriteToBytes()
	if err != nil {
		return fmt.Errorf("reading what is signed: %w", err)
	}
	if err := xml.NewDecoder(bytes.NewReader(text)).Decode(dst); err != nil {
		return fmt.Errorf("reading what is signed: %w", err)
	}
	return nil
}

func isSignature(e *etree.Element) bool {
	return e.Tag == "Signature" && e.NamespaceURI() == dsig.Namespace
}

func isSigned(e *etree.Element) bool { return slices.ContainsFunc(e.ChildElements(), isSignature) }

// signed is what the signature of an element covers, if one of the certificates has made it.
func (a *authenticator) signed(element *etree.Element) (*etree.Element, error) {
	if err := strong(element); err != nil {
		return nil, err
	}
	var reasons []error
	for _, cert := range a.certs {
		detached, err := detach(element)
		if err != nil {
			return nil, err
		}
		// What the signature says of its key doesn't matter: the certificate is known.
		for _, child := range detached.ChildElements() {
			if isSignature(child) {
				for _, info := range child.SelectElements("KeyInfo") {
					child.RemoveChild(info)
				}
			}
		}
		validation := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{cert}})
		validation.Clock = dsig.NewFakeClock(a.env.Clock)
		found, err := validation.Validate(detached)
		if err == nil {
			return found, nil
		}
		reasons = append(reasons, err)
	}
	return nil, errors.Join(reasons...)
}

// weak is the hash by which nothing may be signed.
const weak = "sha1"

// strong refuses an element with a signature anywhere in it whose hash is weak.
func strong(element *etree.Element) error {
	for _, path := range []string{".//SignatureMethod", ".//DigestMethod"} {
		for _, method := range element.FindElements(path) {
			if algorithm := method.SelectAttrValue("Algorithm", ""); strings.HasSuffix(algorithm, weak) {
				return fmt.Errorf("it is signed by %s, which is too weak", algorithm)
			}
		}
	}
	return nil
}

// detach is a copy of an element that stands by itself, with the namespaces from around it.
func detach(element *etree.Element) (*etree.Element, error) {
	around, err := etreeutils.NSBuildParentContext(element)
	if err != nil {
		return nil, err
	}
	if around, err = around.SubContext(element); err != nil {
		return nil, err
	}
	return etreeutils.NSDetatch(around, element)
}

// check tells whether an assertion is for the portal, valid now, and an answer to the attempt.
func (a *authenticator) check(found *assertion, attempt auth.FormAttempt) error {
	now := a.env.Clock.Now()
	if strings.TrimSpace(found.NameID.Value) == "" {
		return errors.New("the assertion names nobody")
	}
	if len(found.Conditions) != 1 {
		return fmt.Errorf("the assertion has %d conditions in place of one", len(found.Conditions))
	}
	conditions := found.Conditions[0]
	if err := conditions.check(now, a.skew); err != nil {
		return fmt.Errorf("the assertion is not valid: %w", err)
	}
	if len(conditions.Restrictions) == 0 {
		return errors.New("the assertion doesn't tell its audience")
	}
	for _, restriction := range conditions.Restrictions {
		if !slices.ContainsFunc(restriction.Audiences, func(audience string) bool { return strings.TrimSpace(audience) == a.Audience }) {
			return fmt.Errorf("the assertion is for %q, not for %q", restriction.Audiences, a.Audience)
		}
	}
	reason := errors.New("the assertion has no confirmation for who bears it")
	for _, c := range found.Confirmations {
		if c.Method != bearer {
			continue
		}
		switch reason = c.Data.check(now, a.skew); {
		case c.Data.InResponseTo != attempt.ID:
			reason = errors.New("the assertion is an answer to another request, or to none")
		case c.Data.Recipient != attempt.CallbackURL:
			reason = fmt.Errorf("the assertion is for the recipient %q, not for %q", c.Data.Recipient, attempt.CallbackURL)
		case reason == nil:
			return nil
		}
	}
	return reason
}

// The names that attributes have at the usual providers: as LDAP names them, and as Microsoft's do.
var (
	emailNames   = []string{"email", "mail", "urn:oid:0.9.2342.19200300.100.1.3", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"}
	displayNames = []string{"displayName", "urn:oid:2.16.840.1.113730.3.1.241", "http://schemas.microsoft.com/identity/claims/displayname", "cn", "urn:oid:2.5.4.3"}
)

const emailFormat = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"

// login is who the assertion is about. Its claims are the attributes, by their names: a text, or a list of texts.
func (found *assertion) login() auth.Login {
	name := strings.TrimSpace(found.NameID.Value)
	login := auth.Login{Username: name, UserID: name, Claims: map[string]any{}}
	for _, attribute := range found.Attributes {
		if len(attribute.Values) == 1 {
			login.Claims[attribute.Name] = attribute.Values[0]
		} else {
			login.Claims[attribute.Name] = attribute.Values
		}
	}
	first := func(names []string) string {
		for _, name := range names {
			if text, _ := login.Claims[name].(string); text != "" {
				return strings.TrimSpace(text)
			}
		}
		return ""
	}
	login.Profile = auth.Profile{Email: first(emailNames), DisplayName: cmp.Or(first(displayNames), name)}
	if login.Profile.Email == "" && found.NameID.Format == emailFormat {
		login.Profile.Email = name
	}
	return login
}
