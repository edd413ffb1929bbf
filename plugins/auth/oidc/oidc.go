// Package oidc is a module of the auth plugin: users sign in with any provider of OpenID Connect.
//
//	auth:
//	  providers:
//	    oidc:
//	      development:
//	        metadataUrl: https://idp.example.com/.well-known/openid-configuration
//	        clientId: ${OIDC_CLIENT_ID}
//	        clientSecret: ${OIDC_CLIENT_SECRET}
//	        prompt: auto                                   # what the provider asks users; none by default, auto is its choice
//	        tokenEndpointAuthMethod: client_secret_basic   # or client_secret_post, none
//	        tokenSignedResponseAlg: RS256
//	        startUrlSearchParams: { organization: acme }   # more parameters of the authorization request
//	        timeout: { seconds: 10 }
//	        signIn:
//	          resolvers:
//	            - resolver: emailMatchingUserEntityProfileEmail
//
// An email counts only if the provider says that it has verified it. Codes are tied to the browser by PKCE and ID tokens by a nonce; both
// are derived from a cookie, so that auth.session.secret is not needed.
package oidc

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider oidc.
func Module() plugin.Module {
	return plugin.NewModule("auth", "oidc-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddOAuthProvider(auth.OAuthProvider{
			ID:     "oidc",
			New:    newAuthenticator,
			Scopes: auth.Scopes{Required: []string{oidc.ScopeOpenID, "profile", "email"}, Persist: true},
		})
	}))
}

type settings struct {
	auth.ClientSettings
	MetadataURL             string `config:"metadataUrl" schema:"required,format=uri"`
	TokenEndpointAuthMethod string `schema:"enum=client_secret_basic|client_secret_post|none"`
	TokenSignedResponseAlg  string
	Prompt                  string
	Timeout                 time.Duration
	StartURLSearchParams    map[string]string `config:"startUrlSearchParams"`
}

const (
	wellKnown   = "/.well-known/openid-configuration"
	maxMetadata = 1 << 20
	promptAuto  = "auto"
)

// authenticator asks the provider for its metadata when it is first needed, and until it answers.
type authenticator struct {
	settings
	env   auth.Environment
	style oauth2.AuthStyle

	turn  chan struct{} // holds a token while somebody looks at known, and asks for it if need be
	known *issuer
}

// issuer is the provider as its metadata tells.
type issuer struct {
	auth.OAuth2
	*oidc.Provider
	verifier   *oidc.IDTokenVerifier
	revocation string // the URL of the endpoint, or empty
}

func newAuthenticator(env auth.Environment) (auth.OAuthAuthenticator, error) {
	a := &authenticator{env: env, turn: make(chan struct{}, 1),
		settings: settings{TokenEndpointAuthMethod: "client_secret_basic", TokenSignedResponseAlg: oidc.RS256, Prompt: "none"}}
	if err := env.Decode(&a.settings); err != nil {
		return nil, err
	}
	if env.Config.Has(env.Key + ".scope") {
		return nil, fmt.Errorf("configuration key %s.scope is no longer supported; use additionalScopes", env.Key)
	}
	algorithms := []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
	if !slices.Contains(algorithms, a.TokenSignedResponseAlg) {
		return nil, fmt.Errorf("configuration key %s.tokenSignedResponseAlg is %q; it must be one of %s", env.Key, a.TokenSignedResponseAlg, algorithms)
	}
	switch a.TokenEndpointAuthMethod {
	case "client_secret_basic":
		a.style = oauth2.AuthStyleInHeader
	case "none":
		a.style, a.ClientSecret = oauth2.AuthStyleInParams, ""
	default:
		a.style = oauth2.AuthStyleInParams
	}
	if a.Timeout > 0 {
		client := *env.Client
		client.Timeout = a.Timeout
		a.env.Client = &client
	}
	return a, nil
}

// metadata is what is used of OpenID Connect Discovery 1.0.
type metadata struct {
	Issuer           string   `json:"issuer"`
	AuthURL          string   `json:"authorization_endpoint"`
	TokenURL         string   `json:"token_endpoint"`
	UserInfoURL      string   `json:"userinfo_endpoint"`
	KeysURL          string   `json:"jwks_uri"`
	RevocationURL    string   `json:"revocation_endpoint"`
	ChallengeMethods []string `json:"code_challenge_methods_supported"`
}

// issuer is the provider, whose metadata is asked for when it is first needed, by one request at a time.
func (a *authenticator) issuer(ctx context.Context) (*issuer, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.known != nil {
		return a.known, nil
	}
	m, err := a.discover(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the provider for its metadata: %w", err)
	}
	a.known = a.use(m)
	return a.known, nil
}

func (a *authenticator) discover(ctx context.Context) (metadata, error) {
	var m metadata
	at := a.MetadataURL
	if !strings.Contains(at, "/.well-known/") {
		at = strings.TrimSuffix(at, "/") + wellKnown
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return m, err
	}
	res, err := a.env.Client.Do(req)
	if err != nil {
		return m, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return m, fmt.Errorf("%s answers with status %s", at, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxMetadata)).Decode(&m); err != nil {
		return m, fmt.Errorf("%s answers with JSON that can't be read: %w", at, err)
	}
	for name, value := range map[string]string{"issuer": m.Issuer, "authorization_endpoint": m.AuthURL, "token_endpoint": m.TokenURL,
		"userinfo_endpoint": m.UserInfoURL, "jwks_uri": m.KeysURL} {
		if value == "" {
			return m, fmt.Errorf("the metadata at %s has no %s", at, name)
		}
	}
	return m, nil
}

func (a *authenticator) use(m metadata) *issuer {
	config := oidc.ProviderConfig{IssuerURL: m.Issuer, AuthURL: m.AuthURL, TokenURL: m.TokenURL, UserInfoURL: m.UserInfoURL, JWKSURL: m.KeysURL,
		Algorithms: []string{a.TokenSignedResponseAlg}}
	// The keys are asked for again and again, not only while a request lasts.
	p := config.NewProvider(oidc.ClientContext(context.Background(), a.env.Client))
	i := &issuer{Provider: p, revocation: m.RevocationURL,
		verifier: p.Verifier(&oidc.Config{ClientID: a.ClientID, SupportedSigningAlgs: config.Algorithms, Now: a.env.Clock.Now})}
	params := url.Values{}
	for name, value := range a.StartURLSearchParams {
		params.Set(name, value)
	}
	if a.Prompt != promptAuto {
		params.Set("prompt", a.Prompt)
	}
	endpoint := p.Endpoint()
	endpoint.AuthStyle = a.style
	i.OAuth2 = auth.OAuth2{
		ClientID: a.ClientID, ClientSecret: a.ClientSecret, Endpoint: endpoint, Params: params, Client: a.env.Client, Identify: i.identify,
		PKCE: m.ChallengeMethods == nil || slices.Contains(m.ChallengeMethods, "S256"),
	}
	return i
}

// identify verifies the ID token, which only a refresh may lack, and asks for user info.
func (i *issuer) identify(ctx context.Context, g auth.Grant) (auth.Login, error) {
	ctx = oidc.ClientContext(ctx, i.Client)
	subject := ""
	if raw := g.IDToken(); raw != "" {
		token, err := i.verifier.Verify(ctx, raw)
		if err != nil {
			return auth.Login{}, refuse(fmt.Errorf("verifying the ID token: %w", err))
		}
		if g.Attempt != nil && token.Nonce != g.Attempt.Nonce {
			return auth.Login{}, refuse(errors.New("the nonce of the ID token is that of another sign-in"))
		}
		subject = token.Subject
	} else if g.Attempt != nil {
		return auth.Login{}, refuse(errors.New("the provider gives no ID token"))
	}
	info, err := i.UserInfo(ctx, oauth2.StaticTokenSource(g.Token))
	if err != nil {
		return auth.Login{}, fmt.Errorf("asking the provider for user info: %w", err)
	}
	if subject != "" && info.Subject != subject {
		return auth.Login{}, refuse(errors.New("the user info is about another user than the ID token"))
	}
	var claims map[string]any
	if err := info.Claims(&claims); err != nil {
		return auth.Login{}, fmt.Errorf("reading user info: %w", err)
	}
	login := auth.LoginOf(claims)
	if claims["email_verified"] != true {
		login.Profile.Email = ""
	}
	return login, nil
}

// refuse is the error of a provider whose word can't be taken. The reason is for the log.
func refuse(reason error) error {
	return &service.Error{Name: service.AuthenticationError, Message: "The answer of the provider can't be trusted", Cause: reason}
}

// Start implements auth.OAuthAuthenticator.
func (a *authenticator) Start(ctx context.Context, s auth.OAuthStart) (string, error) {
	i, err := a.issuer(ctx)
	if err != nil {
		return "", err
	}
	return i.Start(ctx, s)
}

// Authenticate implements auth.OAuthAuthenticator.
func (a *authenticator) Authenticate(ctx context.Context, c auth.OAuthCallback) (auth.OAuthLogin, error) {
	i, err := a.issuer(ctx)
	if err != nil {
		return auth.OAuthLogin{}, err
	}
	return i.Authenticate(ctx, c)
}

// Refresh implements auth.OAuthAuthenticator.
func (a *authenticator) Refresh(ctx context.Context, r auth.OAuthRefresh) (auth.OAuthLogin, error) {
	i, err := a.issuer(ctx)
	if err != nil {
		return auth.OAuthLogin{}, err
	}
	return i.Refresh(ctx, r)
}

// Logout implements auth.OAuthLogouter: it revokes the token, if the provider can.
func (a *authenticator) Logout(ctx context.Context, refreshToken service.Token) (string, error) {
	i, err := a.issuer(ctx)
	if err != nil || refreshToken.Reveal() == "" || i.revocation == "" {
		return "", err
	}
	return "", i.Revoke(ctx, i.revocation, refreshToken)
}
