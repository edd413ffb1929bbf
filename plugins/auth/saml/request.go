package saml

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/url"
	"time"

	"github.com/portico-dev/portico/plugins/auth"
)

const (
	protocolNS  = "urn:oasis:names:tc:SAML:2.0:protocol"
	assertionNS = "urn:oasis:names:tc:SAML:2.0:assertion"
)

// authnRequest asks the provider to sign a user in.
type authnRequest struct {
	XMLName         xml.Name `xml:"urn:oasis:names:tc:SAML:2.0:protocol AuthnRequest"`
	ID              string   `xml:",attr"`
	Version         string   `xml:",attr"`
	IssueInstant    string   `xml:",attr"`
	Destination     string   `xml:",attr"`
	ProtocolBinding string   `xml:",attr"`
	CallbackURL     string   `xml:"AssertionConsumerServiceURL,attr"`
	Issuer          string   `xml:"urn:oasis:names:tc:SAML:2.0:assertion Issuer"`
	NameIDPolicy    struct {
		Format      string `xml:",attr"`
		AllowCreate bool   `xml:",attr"`
	}
	Context *authnContext `xml:"RequestedAuthnContext"`
}

type authnContext struct {
	Comparison string   `xml:",attr"`
	Classes    []string `xml:"urn:oasis:names:tc:SAML:2.0:assertion AuthnContextClassRef"`
}

// signature is a way to sign requests, by the name that it has in the configuration.
type signature struct {
	uri  string
	hash crypto.Hash
}

var signatures = map[string]signature{
	"sha256": {"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", crypto.SHA256},
	"sha512": {"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", crypto.SHA512},
}

// Start implements auth.FormAuthenticator. The request goes along in the URL (Bindings for SAML 2.0, section 3.4).
func (a *authenticator) Start(_ context.Context, attempt auth.FormAttempt) (string, error) {
	request := authnRequest{
		ID: attempt.ID, Version: "2.0", IssueInstant: a.env.Clock.Now().UTC().Format(time.RFC3339), Destination: a.EntryPoint,
		ProtocolBinding: "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST", CallbackURL: attempt.CallbackURL, Issuer: a.Issuer,
	}
	request.NameIDPolicy.Format, request.NameIDPolicy.AllowCreate = a.IdentifierFormat, true
	if len(a.AuthnContext) > 0 {
		request.Context = &authnContext{Comparison: "exact", Classes: a.AuthnContext}
	}
	document, err := xml.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("encoding the request: %w", err)
	}
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(document); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	query := "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(deflated.Bytes()))
	if a.key != nil {
		how := signatures[a.SignatureAlgorithm]
		query += "&SigAlg=" + url.QueryEscape(how.uri)
		digest := how.hash.New()
		digest.Write([]byte(query))
		signed, err := rsa.SignPKCS1v15(rand.Reader, a.key, how.hash, digest.Sum(nil))
		if err != nil {
			return "", fmt.Errorf("signing the request: %w", err)
		}
		query += "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signed))
	}
	to := *a.entry
	if to.RawQuery != "" {
		query = to.RawQuery + "&" + query
	}
	to.RawQuery = query
	return to.String(), nil
}
