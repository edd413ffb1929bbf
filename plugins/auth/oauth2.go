package auth

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/service"
)

// OAuth2 is an [OAuthAuthenticator] for providers that follow the standard (RFC 6749), with codes. It does not change once it is used.
type OAuth2 struct {
	// ClientID and ClientSecret are what the provider knows the portal by.
	ClientID, ClientSecret string
	// Endpoint is where the provider is.
	Endpoint oauth2.Endpoint
	// PKCE ties codes to the browser (RFC 7636).
	PKCE bool
	// Params are further parameters of the authorization request.
	Params url.Values
	// Client is for calls of the provider: that of the [Environment].
	Client *http.Client
	// Identify tells who has been granted access.
	Identify func(ctx context.Context, g Grant) (Login, error)
}

// Grant is what the provider has granted to a user.
type Grant struct {
	*oauth2.Token
	// Attempt is the sign-in that it is the end of; nil after a refresh.
	Attempt *OAuthAttempt

	client *http.Client
}

// Start implements [OAuthAuthenticator].
func (o *OAuth2) Start(_ context.Context, s OAuthStart) (string, error) {
	options := []oauth2.AuthCodeOption{}
	for name, values := range o.Params {
		for _, value := range values {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	if o.PKCE {
		options = append(options, oauth2.S256ChallengeOption(s.Verifier))
	}
	if slices.Contains(splitScope(s.Scope), "openid") {
		options = append(options, oauth2.SetAuthURLParam("nonce", s.Nonce))
	}
	config := o.config(s.CallbackURL)
	config.Scopes = splitScope(s.Scope)
	return config.AuthCodeURL(s.State, options...), nil
}

// Authenticate implements [OAuthAuthenticator].
func (o *OAuth2) Authenticate(ctx context.Context, c OAuthCallback) (OAuthLogin, error) {
	if code := c.Query.Get("error"); code != "" {
		return OAuthLogin{}, refusal(code, c.Query.Get("error_description"))
	}
	code := c.Query.Get("code")
	if code == "" {
		return OAuthLogin{}, service.InputError.Errorf("The provider has sent the browser back without a code")
	}
	var options []oauth2.AuthCodeOption
	if o.PKCE {
		options = append(options, oauth2.VerifierOption(c.Verifier))
	}
	return o.login(ctx, o.config(c.CallbackURL), code, &c.OAuthAttempt, options...)
}

// Refresh implements [OAuthAuthenticator].
func (o *OAuth2) Refresh(ctx context.Context, r OAuthRefresh) (OAuthLogin, error) {
	// x/oauth2 has no refresh with scopes. The empty code counts as none (RFC 6749, section 3.2).
	return o.login(ctx, o.config(""), "", nil, oauth2.SetAuthURLParam("grant_type", "refresh_token"),
		oauth2.SetAuthURLParam("refresh_token", r.RefreshToken.Reveal()), oauth2.SetAuthURLParam("scope", r.Scope))
}

func (o *OAuth2) config(callbackURL string) *oauth2.Config {
	return &oauth2.Config{ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: o.Endpoint, RedirectURL: callbackURL}
}

// login gets tokens, and finds out whose they are.
func (o *OAuth2) login(ctx context.Context, config *oauth2.Config, code string, attempt *OAuthAttempt, options ...oauth2.AuthCodeOption) (OAuthLogin, error) {
	token, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, o.Client), code, options...)
	if err != nil {
		return OAuthLogin{}, exchangeError(err)
	}
	grant := Grant{Token: token, Attempt: attempt, client: o.Client}
	login, err := o.Identify(ctx, grant)
	if err != nil {
		return OAuthLogin{}, err
	}
	scope, _ := token.Extra("scope").(string)
	return OAuthLogin{
		Login: login, AccessToken: service.NewToken(token.AccessToken), RefreshToken: service.NewToken(token.RefreshToken),
		IDToken: service.NewToken(grant.IDToken()), Scope: strings.Join(splitScope(scope), " "), ExpiresIn: time.Duration(token.ExpiresIn) * time.Second,
	}, nil
}

// maxDescription is how much of what a provider says is passed on.
const maxDescription = 300

// refusal is the error when the provider has sent the browser back with an error.
func refusal(code, description string) error {
	if description == "" {
		description = code
	}
	description = description[:min(len(description), maxDescription)]
	if code == "access_denied" {
		return service.NotAllowedError.Errorf("%s", description)
	}
	return service.AuthenticationError.Errorf("%s", description)
}

// refusals are the errors by which token endpoints refuse a code or a refresh token: that of the standard, and those of GitHub.
var refusals = []string{"invalid_grant", "bad_verification_code", "bad_refresh_token"}

// exchangeError is the error of a token endpoint, without its answer: that may have secrets.
func exchangeError(err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case !errors.As(err, &refused):
		return fmt.Errorf("auth: asking the provider for tokens: %w", err)
	case slices.Contains(refusals, refused.ErrorCode):
		return service.AuthenticationError.Errorf("The provider refuses the code or the session, which may have ended")
	case refused.Response != nil:
		return fmt.Errorf("auth: asking the provider for tokens: it answers %s with the error %q", refused.Response.Status, refused.ErrorCode)
	}
	return errors.New("auth: asking the provider for tokens: it refuses")
}

// maxAnswer bounds the answers of providers.
const maxAnswer = 4 << 20

// Grant is what an access token is good for that the provider has given before.
func (o *OAuth2) Grant(accessToken string) Grant {
	return Grant{Token: &oauth2.Token{AccessToken: accessToken}, client: o.Client}
}

// StatusError is the error when an API answers with a status that isn't 200.
type StatusError struct {
	// URL is what was asked, Status what was answered.
	URL    string
	Status int
}

// Error tells the status.
func (e *StatusError) Error() string {
	return fmt.Sprintf("auth: %s answers with status %d", e.URL, e.Status)
}

// Get asks an API of the provider, with the access token, for JSON. The error is a *[StatusError] if the status isn't 200.
func (g Grant) Get(ctx context.Context, url string, dst any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("auth: asking the provider: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+g.AccessToken)
	res, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("auth: asking the provider: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return &StatusError{url, res.StatusCode}
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(dst); err != nil {
		return fmt.Errorf("auth: %s answers with JSON that can't be read: %w", url, err)
	}
	return nil
}

// IDToken is the ID token, or empty.
func (g Grant) IDToken() string {
	token, _ := g.Extra("id_token").(string)
	return token
}

// IDClaims reads the claims of the ID token, if there is one. Its signature is not checked, which may be left out for a token that comes
// from the token endpoint itself (OpenID Connect Core 1.0, section 3.1.3.7); that it is for this client, and for this sign-in, is.
func (g Grant) IDClaims(clientID string, dst any) error {
	token := g.IDToken()
	if token == "" {
		return nil
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("auth: the ID token of the provider is none")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return fmt.Errorf("auth: the ID token of the provider: %w", err)
	}
	var claims struct {
		Audience any    `json:"aud"`
		Nonce    string `json:"nonce"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return fmt.Errorf("auth: the ID token of the provider: %w", err)
	}
	audience, ok := claims.Audience.([]any)
	if !ok {
		audience = []any{claims.Audience}
	}
	if !slices.Contains(audience, any(clientID)) {
		return service.AuthenticationError.Errorf("The ID token of the provider is for somebody else")
	}
	if g.Attempt != nil && claims.Nonce != "" && claims.Nonce != g.Attempt.Nonce {
		return service.AuthenticationError.Errorf("The ID token of the provider is for another sign-in")
	}
	if err := json.Unmarshal(payload, dst); err != nil {
		return fmt.Errorf("auth: the ID token of the provider: %w", err)
	}
	return nil
}

// Revoke ends a token at the revocation endpoint of the provider (RFC 7009). A token that has ended already is no error.
func (o *OAuth2) Revoke(ctx context.Context, endpoint string, token service.Token) error {
	values := url.Values{"token": {token.Reveal()}}
	if o.ClientID != "" && o.Endpoint.AuthStyle != oauth2.AuthStyleInHeader {
		values.Set("client_id", o.ClientID)
		values.Set("client_secret", o.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(values.Encode()))
	if err != nil {
		return fmt.Errorf("auth: revoking a token: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if o.Endpoint.AuthStyle == oauth2.AuthStyleInHeader {
		req.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret))
	}
	res, err := o.Client.Do(req)
	if err != nil {
		return fmt.Errorf("auth: revoking a token: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusBadRequest {
		return &StatusError{endpoint, res.StatusCode}
	}
	return nil
}

// LoginOf is the login that the claims of OpenID Connect tell of. An email that is said not to be verified is left out.
func LoginOf(claims map[string]any) Login {
	text := func(name string) string {
		value, _ := claims[name].(string)
		return value
	}
	login := Login{
		Username: text("preferred_username"), UserID: text("sub"), Claims: claims,
		Profile: Profile{Email: text("email"), DisplayName: cmp.Or(text("name"), text("preferred_username"), text("sub")), Picture: text("picture")},
	}
	if verified, told := claims["email_verified"]; told && verified != true && verified != "true" {
		login.Profile.Email = ""
	}
	return login
}

// ClientSettings are the keys of providers that know the portal as a client.
type ClientSettings struct {
	ClientID     string `config:"clientId" schema:"required,min=1"`
	ClientSecret string `config:"clientSecret" schema:"required,min=1,visibility=secret"`
}
