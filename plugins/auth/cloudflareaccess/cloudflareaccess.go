// Package cloudflareaccess is a module of the auth plugin for portals behind Cloudflare Access, whose assertion in each request it verifies.
//
//	auth:
//	  providers:
//	    cfaccess:
//	      teamName: acme
//	      audience: <application audience tag>
//	      serviceTokens:                            # programs that may sign in, as the user with the email
//	        - token: 1234.access                    # common_name of the token
//	          subject: build-server@example.com
//	      jwtHeaderName: cf-access-jwt-assertion
//	      authorizationCookieName: CF_Authorization
//	      signIn:
//	        resolvers:
//	          - resolver: emailMatchingUserEntityProfileEmail
package cloudflareaccess

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider cfaccess.
func Module() plugin.Module {
	return plugin.NewModule("auth", "cloudflare-access-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddProxyProvider(auth.ProxyProvider{ID: "cfaccess", New: newAuthenticator})
	}))
}

type settings struct {
	TeamName      string `schema:"required"`
	Audience      string `schema:"required,min=1"`
	ServiceTokens []struct {
		Token   string `schema:"required,min=1"`
		Subject string `schema:"required,min=1"`
	}
	JWTHeaderName           string `config:"jwtHeaderName"`
	AuthorizationCookieName string
}

// teamName is part of a host.
var teamName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)

const maxIdentity = 4 << 20

type authenticator struct {
	settings
	url      string
	client   *http.Client
	verifier *oidc.IDTokenVerifier
}

func newAuthenticator(env auth.Environment) (auth.ProxyAuthenticator, error) {
	a := &authenticator{client: env.Client, settings: settings{JWTHeaderName: "cf-access-jwt-assertion", AuthorizationCookieName: "CF_Authorization"}}
	if err := env.Decode(&a.settings); err != nil {
		return nil, err
	}
	if !teamName.MatchString(a.TeamName) {
		return nil, fmt.Errorf("configuration key %s.teamName is %q; it must be the name before .cloudflareaccess.com", env.Key, a.TeamName)
	}
	a.url = "https://" + a.TeamName + ".cloudflareaccess.com"
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), env.Client), a.url+"/cdn-cgi/access/certs")
	a.verifier = oidc.NewVerifier(a.url, keys, &oidc.Config{ClientID: a.Audience, SupportedSigningAlgs: []string{oidc.RS256}, Now: env.Clock.Now})
	return a, nil
}

// Authenticate implements auth.ProxyAuthenticator.
func (a *authenticator) Authenticate(r *http.Request) (auth.Login, error) {
	raw := r.Header.Get(a.JWTHeaderName)
	if raw == "" {
		if cookies := r.CookiesNamed(a.AuthorizationCookieName); len(cookies) > 0 {
			raw = cookies[0].Value
		}
	}
	if raw == "" {
		return auth.Login{}, service.AuthenticationError.Errorf("Missing %s and %s from Cloudflare Access", a.JWTHeaderName, a.AuthorizationCookieName)
	}
	token, err := a.verifier.Verify(oidc.ClientContext(r.Context(), a.client), raw)
	if err != nil {
		return auth.Login{}, refuse(err)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return auth.Login{}, refuse(err)
	}
	identity, err := a.identity(r.Context(), token.Subject, claims, raw)
	if err != nil {
		return auth.Login{}, err
	}
	email, _ := identity["email"].(string)
	name, _ := identity["name"].(string)
	return auth.Login{
		UserID: token.Subject, Profile: auth.Profile{Email: email, DisplayName: name}, Claims: map[string]any{"claims": claims, "cfIdentity": identity},
		ProviderInfo: map[string]any{
			"claims": claims, "cfIdentity": identity, "token": raw, "expiresInSeconds": int64(token.Expiry.Sub(token.IssuedAt).Seconds()),
		},
	}, nil
}

func refuse(reason error) error {
	return &service.Error{Name: service.AuthenticationError, Message: "Cloudflare Access token verification failed", Cause: reason}
}

// identity is what Cloudflare knows of the user, or what the configuration says of a program. Tokens of programs have no subject.
func (a *authenticator) identity(ctx context.Context, subject string, claims map[string]any, raw string) (map[string]any, error) {
	if subject != "" {
		return a.ask(ctx, raw)
	}
	name, _ := claims["common_name"].(string)
	if name == "" {
		return nil, service.AuthenticationError.Errorf("Missing both sub and common_name from Cloudflare Access JWT")
	}
	for _, program := range a.ServiceTokens {
		if program.Token == name {
			return map[string]any{"id": name, "name": "Bot", "email": program.Subject, "groups": []any{}}, nil
		}
	}
	return nil, service.AuthenticationError.Errorf("%s is not a permitted Service Token.", name)
}

func (a *authenticator) ask(ctx context.Context, raw string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/cdn-cgi/access/get-identity", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(a.JWTHeaderName, raw)
	req.AddCookie(&http.Cookie{Name: a.AuthorizationCookieName, Value: raw})
	res, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking Cloudflare Access for the identity of the user: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking Cloudflare Access for the identity of the user: it answers with status %s", res.Status)
	}
	var identity map[string]any
	if err := json.NewDecoder(io.LimitReader(res.Body, maxIdentity)).Decode(&identity); err != nil {
		return nil, fmt.Errorf("reading the identity of the user: %w", err)
	}
	return identity, nil
}
