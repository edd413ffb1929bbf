// Package saml is a module of the auth plugin with which users sign in at a SAML 2.0 identity provider: the portal redirects browsers to it,
// and it has them post its answer. The keys are those that Backstage had while it had such a provider:
//
//	auth:
//	  providers:
//	    saml:
//	      entryPoint: https://idp.example.com/sso     # where the provider signs users in, by redirect
//	      issuer: https://portal.example.com          # what the provider knows the portal by
//	      audience: https://portal.example.com        # whom its answers must be for; without it, the issuer
//	      cert: $file: idp.crt                        # what it signs with, or a list of these while it changes
//	      signIn:
//	        resolvers:
//	          - resolver: nameIdMatchingUserEntityName
//
// At the provider, the assertion consumer service is <backend.baseUrl>/api/auth/saml/handler/frame.
//
// # What is believed
//
// Only what the configured certificates have signed is read: the bytes that the signature covers are parsed, never the document around them. The
// answer as a whole or the one assertion in it must be signed, with SHA-256 or better. The assertion must be for the audience, valid now, and
// an answer to the request of the browser that brings it, which it can be once. Sign-ins that the provider starts are therefore refused, as
// are encrypted assertions.
//
// Signatures are verified by goxmldsig, the only library for that in Go that is widely used and looked after. What SAML asks for beyond them is
// checked here: libraries for all of SAML read the document that was sent, in place of what was signed.
//
// Unlike in Backstage, no kind of authentication is asked for unless authnContext says so, and digestAlgorithm and logoutUrl have no effect.
package saml

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider saml, with the sign-in resolver nameIdMatchingUserEntityName.
func Module() plugin.Module {
	return plugin.NewModule("auth", "saml-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddFormProvider(auth.FormProvider{
			ID: "saml", New: newAuthenticator,
			Resolvers: map[string]auth.ResolverFactory{"nameIdMatchingUserEntityName": auth.UsernameMatchingUserEntityName},
		})
	}))
}

type settings struct {
	EntryPoint              string `schema:"required,min=1"`
	Issuer                  string `schema:"required,min=1"`
	Audience                string
	Cert                    certificates `schema:"required"`
	PrivateKey              string       `schema:"visibility=secret"`
	SignatureAlgorithm      string
	IdentifierFormat        string
	AuthnContext            []string
	AcceptedClockSkewMs     int
	WantAuthnResponseSigned bool
	WantAssertionsSigned    bool
	DecryptionPvk           string `schema:"visibility=secret"`
}

// certificates is one certificate or a list of them.
type certificates []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *certificates) UnmarshalText(text []byte) error {
	*c = certificates{string(text)}
	return nil
}

type authenticator struct {
	settings
	env   auth.Environment
	entry *url.URL
	key   *rsa.PrivateKey // nil unless requests are signed
	certs []*x509.Certificate
	skew  time.Duration
}

func newAuthenticator(env auth.Environment) (auth.FormAuthenticator, error) {
	a := &authenticator{env: env, settings: settings{
		SignatureAlgorithm: "sha256", IdentifierFormat: "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
	}}
	if err := env.Decode(&a.settings); err != nil {
		return nil, err
	}
	mistake := func(key, format string, args ...any) error {
		return fmt.Errorf("configuration key %s.%s %w", env.Key, key, fmt.Errorf(format, args...))
	}
	var err error
	if a.entry, err = url.Parse(a.EntryPoint); err != nil || a.entry.Scheme != "https" && a.entry.Scheme != "http" || a.entry.Host == "" {
		return nil, mistake("entryPoint", "is %q; it must be an http(s) URL", a.EntryPoint)
	}
	if a.Audience == "" {
		a.Audience = a.Issuer
	}
	for _, text := range a.Cert {
		cert, err := x509.ParseCertificate(decodePEM(text))
		if err != nil {
			return nil, mistake("cert", "is no certificate, in PEM or base64: %w", err)
		}
		a.certs = append(a.certs, cert)
	}
	if len(a.certs) == 0 {
		return nil, mistake("cert", "is required: without it, nobody could tell whose answers are the provider's")
	}
	if a.PrivateKey != "" {
		if a.key, err = parseKey(a.PrivateKey); err != nil {
			return nil, mistake("privateKey", "is no RSA key, in PEM or base64")
		}
	}
	if signatures[a.SignatureAlgorithm].uri == "" {
		return nil, mistake("signatureAlgorithm", "is %q; it must be sha256 or sha512", a.SignatureAlgorithm)
	}
	if a.AcceptedClockSkewMs < 0 {
		return nil, mistake("acceptedClockSkewMs", "must not be negative: when an assertion is valid is always checked")
	}
	a.skew = time.Duration(a.AcceptedClockSkewMs) * time.Millisecond
	if a.DecryptionPvk != "" {
		return nil, mistake("decryptionPvk", "can't be used: encrypted assertions are not supported; have the provider sign them, and send them over HTTPS")
	}
	return a, nil
}

// decodePEM is the content of a PEM block, or of base64 without its frame.
func decodePEM(text string) []byte {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return block.Bytes
	}
	decoded, _ := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	return decoded
}

func parseKey(text string) (*rsa.PrivateKey, error) {
	der := decodePEM(text)
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("another kind of key")
	}
	return key, nil
}

// Authenticate implements auth.FormAuthenticator.
func (a *authenticator) Authenticate(_ context.Context, attempt auth.FormAttempt, form url.Values) (auth.Login, error) {
	document, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(form.Get("SAMLResponse")), ""))
	if err != nil || len(document) == 0 {
		return auth.Login{}, service.InputError.Errorf("The form has no SAMLResponse")
	}
	if status := refusal(document); status != "" {
		return auth.Login{}, service.NotAllowedError.Errorf("The provider has not signed you in: %s", status)
	}
	found, err := a.verify(document)
	if err == nil {
		err = a.check(found, attempt)
	}
	if err != nil {
		return auth.Login{}, &service.Error{Name: service.AuthenticationError, Message: "The answer of the provider can't be trusted", Cause: err}
	}
	return found.login(), nil
}
