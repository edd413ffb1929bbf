package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
)

func decodePart(t testing.TB, part string) object {
	t.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var all object
	if err := json.Unmarshal(decoded, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// told is a provider that believes everything, for tests of resolvers: who makes a request tells who they are.
type told struct{}

func (told) Authenticate(r *http.Request) (auth.Login, error) {
	return auth.Login{Username: r.Header.Get("X-User"), UserID: r.Header.Get("X-Id"), Profile: auth.Profile{Email: r.Header.Get("X-Email")}}, nil
}

func toldModule() plugin.Module {
	return plugin.NewModule("auth", "told", plugin.Init(func(p auth.Providers) {
		p.AddSignInResolver("usernameMatchingUserEntityName", auth.UsernameMatchingUserEntityName)
		p.AddProxyProvider(auth.ProxyProvider{
			ID:  "told",
			New: func(auth.Environment) (auth.ProxyAuthenticator, error) { return told{}, nil },
			Resolvers: map[string]auth.ResolverFactory{
				"id": auth.MatchingUserEntityAnnotation("acme.com/id", func(l auth.Login) string { return l.UserID }),
			},
		})
	}))
}

func TestSignInResolvers(t *testing.T) {
	t.Parallel()
	const (
		byEmail = "emailMatchingUserEntityProfileEmail"
		byLocal = "emailLocalPartMatchingUserEntityName"
		byName  = "usernameMatchingUserEntityName"
		unknown = "NotAllowedError: Failed to sign-in, unable to resolve user identity. Please verify that your catalog contains the expected User " +
			"entities that would match your configured sign-in resolver."
	)
	domains := []any{"Example.com"}
	for name, s := range map[string]struct {
		resolvers []any
		header    string
		user      string
		failure   string
	}{
		"by email":                      {[]any{object{"resolver": byEmail}}, "X-Email: Jane@example.com", "user:default/jane", ""},
		"by email with a tag":           {[]any{object{"resolver": byEmail}}, "X-Email: jane+portal@example.com", "user:default/jane", ""},
		"by an email that two have":     {[]any{object{"resolver": byEmail}}, "X-Email: twin@example.com", "", "ConflictError: User lookup resulted in multiple matches"},
		"by the email of a group":       {[]any{object{"resolver": byEmail}}, "X-Email: payments@example.com", "", unknown},
		"by no email":                   {[]any{object{"resolver": byEmail}}, "X-User: jane", "", "NotAllowedError: Login failed, user profile does not contain an email"},
		"by an email of an alien":       {[]any{object{"resolver": byEmail, "allowedDomains": domains}}, "X-Email: jane@evil.com", "", "NotAllowedError: Sign-in user email is not from an allowed domain"},
		"by an email with conditions":   {[]any{object{"resolver": byEmail}}, "X-Email: x@y,spec.profile.email=jane@example.com", "", unknown},
		"by an email with two @":        {[]any{object{"resolver": byLocal, "allowedDomains": domains}}, "X-Email: jane@example.com@evil.com", "", "NotAllowedError: Sign-in user email is not from an allowed domain"},
		"by local part":                 {[]any{object{"resolver": byLocal}}, "X-Email: jane@evil.com", "user:default/jane", ""},
		"by local part of the domain":   {[]any{object{"resolver": byLocal, "allowedDomains": domains}}, "X-Email: jane@example.com", "user:default/jane", ""},
		"by local part of an alien":     {[]any{object{"resolver": byLocal, "allowedDomains": domains}}, "X-Email: jane@evil.com", "", "NotAllowedError: Sign-in user email is not from an allowed domain"},
		"by a local part that is a ref": {[]any{object{"resolver": byLocal}}, "X-Email: user:default/jane@example.com", "", unknown},
		"by username":                   {[]any{object{"resolver": byName}}, "X-User: Jane", "user:default/jane", ""},
		"by an unknown username":        {[]any{object{"resolver": byName}}, "X-User: john", "", unknown},
		"without a user":                {[]any{object{"resolver": byName, "dangerouslyAllowSignInWithoutUserInCatalog": true}}, "X-User: John", "user:default/john", ""},
		"by annotation":                 {[]any{object{"resolver": "id"}}, "X-Id: AbC", "user:default/jane", ""},
		"by annotation, other case":     {[]any{object{"resolver": "id"}}, "X-Id: abc", "", unknown},
		"by the second resolver":        {[]any{object{"resolver": "id"}, object{"resolver": byEmail}}, "X-Id: x\nX-Email: jane@example.com", "user:default/jane", ""},
		"refused by the first resolver": {[]any{object{"resolver": byLocal, "allowedDomains": domains}, object{"resolver": byName}}, "X-User: jane\nX-Email: jane@evil.com", "", "NotAllowedError: Sign-in user email is not from an allowed domain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPortal(t, object{"providers": object{"told": object{"signIn": object{"resolvers": s.resolvers}}}}, toldModule())
			var headers []string
			for line := range strings.SplitSeq(s.header, "\n") {
				name, value, _ := strings.Cut(line, ": ")
				headers = append(headers, name, value)
			}
			a := newBrowser(t).get(p.URL()+"/api/auth/told/refresh", headers...)
			if s.failure != "" {
				if a.failure() != s.failure {
					t.Errorf("refused with %d %s", a.status, a.body)
				}
				return
			}
			identity := a.session(t).BackstageIdentity.Identity
			if identity.UserEntityRef != s.user {
				t.Errorf("signed in as %+v", identity)
			}
			if s.user == "user:default/john" && !reflect.DeepEqual(identity.OwnershipEntityRefs, []string{s.user}) {
				t.Errorf("owns %v", identity.OwnershipEntityRefs)
			}
		})
	}
}
