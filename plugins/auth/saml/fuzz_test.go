package saml_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/authtest"
	"github.com/portico-dev/portico/plugins/auth/saml"
)

// FuzzAuthenticate looks for documents that make somebody else of jane, whom the provider has signed in.
func FuzzAuthenticate(f *testing.F) {
	signer := newIdentity(f)
	environment := authtest.Environment(settings(signer, nil), nil)
	environment.Clock = clockwork.NewFakeClockAt(time.Now())
	authenticator, err := authtest.Run(f, saml.Module(), nil).Forms[0].New(environment)
	if err != nil {
		f.Fatal(err)
	}
	attempt := auth.FormAttempt{ID: "_attempt", CallbackURL: "https://portal.test/api/auth/saml/handler/frame"}
	idp := provided{signer, environment.Clock, attempt.CallbackURL}
	text, err := idp.respond(f, attempt.ID, nil).signAssertion().document.WriteToString()
	if err != nil {
		f.Fatal(err)
	}
	if login, err := authenticator.Authenticate(f.Context(), attempt, formOf(text)); err != nil || login.Username != "jane" {
		f.Fatalf("%+v, %v", login, err)
	}
	start := strings.Index(text, "<saml:Assertion")
	for _, seed := range []string{
		text, "", "<x/>", strings.ReplaceAll(text, "jane", "boss"), strings.ReplaceAll(text, "_attempt", "_another"), text[:start] + text[start:],
		strings.Replace(text, "<saml:Assertion", text[start:strings.Index(text, "</samlp:Response>")]+"<saml:Assertion", 1),
		strings.Replace(text, "jane", "ja<!-- -->ne", 1), strings.Replace(text, "jane", "ja<?x?>ne", 1), strings.Replace(text, "<saml:NameID>", "<saml:NameID>boss</saml:NameID><saml:NameID>", 1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		if login, err := authenticator.Authenticate(t.Context(), attempt, formOf(document)); err == nil && login.Username != "jane" {
			t.Fatalf("%+v signs in by %s", login, document)
		}
	})
}
