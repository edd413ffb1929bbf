package auth

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/portico-dev/portico/service"
)

// OAuthProvider sends users to sign in elsewhere, by OAuth. It is configured for each environment: auth.providers.<ID>.<environment>, with
// the keys callbackUrl, additionalScopes, sessionDuration and signIn beside those of the provider. Without a sign-in resolver it gives the
// frontend access to the other system only.
type OAuthProvider struct {
	// ID names the provider: its routes are below /api/auth/<ID>.
	ID string
	// New makes the authenticator of an environment, when the plugin starts. An error keeps the plugin from starting.
	New func(Environment) (OAuthAuthenticator, error)
	// SignIn is the resolver if the configuration names none.
	SignIn SignInResolver
	// Resolvers are further resolvers that the configuration may name, beside those for all providers.
	Resolvers map[string]ResolverFactory
	// Scopes are the scopes that the provider is asked for.
	Scopes Scopes
}

// Scopes tells which scopes a provider is asked for.
type Scopes struct {
	// Required are always asked for.
	Required []string
	// Persist has the scopes that a user has granted once remembered in a cookie, and asked for again: for providers that replace them.
	Persist bool
	// Combine decides which scopes are asked for; nil is all. Duplicates are removed from what it returns.
	Combine func(ScopeRequest) []string
}

// ScopeRequest is where scopes come from.
type ScopeRequest struct {
	// Requested are those that the frontend needs, Granted those that the user has granted before.
	Requested, Granted []string
	// Required are those of the provider, Additional those of the configuration.
	Required, Additional []string
}

// OAuthAuthenticator signs users in by OAuth. Safe for concurrent use. The message of an error that is a *service.Error is shown to the user,
// that of others is logged.
type OAuthAuthenticator interface {
	// Start tells where the browser goes to sign in.
	Start(ctx context.Context, s OAuthStart) (url string, err error)
	// Authenticate tells who has come back, with the tokens that they got.
	Authenticate(ctx context.Context, c OAuthCallback) (OAuthLogin, error)
	// Refresh does it again with a refresh token.
	Refresh(ctx context.Context, r OAuthRefresh) (OAuthLogin, error)
}

// OAuthLogouter is an [OAuthAuthenticator] that ends sessions at the provider.
type OAuthLogouter interface {
	// Logout ends the session of the refresh token, which is empty if there is none. A URL that isn't empty is where the frontend goes then.
	Logout(ctx context.Context, refreshToken service.Token) (url string, err error)
}

// OAuthStart is the start of a sign-in.
type OAuthStart struct {
	OAuthAttempt
	// Scope is what to ask for, State what the provider has to give back.
	Scope, State string
	// Query is that of the frontend's request.
	Query url.Values
}

// OAuthCallback is the end of a sign-in.
type OAuthCallback struct {
	OAuthAttempt
	// Query is what the provider has sent the browser back with. Its state has been verified.
	Query url.Values
}

// OAuthAttempt is what the start and the end of a sign-in have in common.
type OAuthAttempt struct {
	// CallbackURL is where the provider sends the browser back (redirect_uri).
	CallbackURL string
	// Nonce is for the ID token to have (OpenID Connect), Verifier is the code verifier of PKCE.
	Nonce, Verifier string
}

// OAuthRefresh is a refresh.
type OAuthRefresh struct {
	// RefreshToken is the last one that the provider has given.
	RefreshToken service.Token
	// Scope is what the frontend needs.
	Scope string
	// ScopeGranted tells that the user has granted that before. It is known if scopes persist.
	ScopeGranted bool
}

// OAuthLogin is who has signed in, with the tokens that they got.
type OAuthLogin struct {
	Login
	// AccessToken is for the frontend, to call the other system. RefreshToken stays in a cookie; an empty one leaves the former.
	AccessToken, RefreshToken service.Token
	// IDToken is for the frontend, or empty.
	IDToken service.Token
	// Scope is what was granted.
	Scope string
	// ExpiresIn is how long the access token lives; zero is for ever.
	ExpiresIn time.Duration
}

// providerInfo is what the frontend gets of the tokens.
type providerInfo struct {
	IDToken          string `json:"idToken,omitempty"`
	AccessToken      string `json:"accessToken"`
	Scope            string `json:"scope"`
	ExpiresInSeconds int64  `json:"expiresInSeconds,omitempty"`
}

func (l OAuthLogin) info(scope string) any {
	if l.ProviderInfo != nil {
		return l.ProviderInfo
	}
	return providerInfo{IDToken: l.IDToken.Reveal(), AccessToken: l.AccessToken.Reveal(), Scope: scope, ExpiresInSeconds: int64(l.ExpiresIn / time.Second)}
}

// oauthSettings are the keys that all OAuth providers have.
type oauthSettings struct {
	CallbackURL      string `config:"callbackUrl"`
	AdditionalScopes scopeList
	SessionDuration  time.Duration
}

// scopeList is a text of scopes or a list of them.
type scopeList []string

// UnmarshalText reads scopes from one text.
func (s *scopeList) UnmarshalText(text []byte) error {
	*s = splitScope(string(text))
	return nil
}

func splitScope(scope string) []string {
	return strings.FieldsFunc(scope, func(c rune) bool { return unicode.IsSpace(c) || c == ',' || c == '|' })
}

// scope is what to ask for.
func (e *oauthEnvironment) scope(requested, granted string) string {
	request := ScopeRequest{Requested: splitScope(requested), Granted: splitScope(granted), Required: e.scopes.Required, Additional: e.settings.AdditionalScopes}
	all := slices.Concat(request.Requested, request.Granted, request.Required, request.Additional)
	if e.scopes.Combine != nil {
		all = e.scopes.Combine(request)
	}
	var unique []string
	for _, s := range all {
		if !slices.Contains(unique, s) {
			unique = append(unique, s)
		}
	}
	return strings.Join(unique, " ")
}

// covers tells whether all scopes have been granted.
func covers(granted, scope string) bool {
	list := splitScope(granted)
	return !slices.ContainsFunc(splitScope(scope), func(s string) bool { return !slices.Contains(list, s) })
}

func readOAuthSettings(env Environment) (oauthSettings, error) {
	var s oauthSettings
	if err := env.Decode(&s); err != nil {
		return s, fmt.Errorf("auth: %w", err)
	}
	if s.CallbackURL != "" {
		if u, err := url.Parse(s.CallbackURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return s, fmt.Errorf("auth: configuration key %s.callbackUrl is %q; it must be an http(s) URL", env.Key, s.CallbackURL)
		}
	}
	return s, nil
}
