// Package gcpiap is a module of the auth plugin for portals behind Google's Identity-Aware Proxy, whose assertion in each request it verifies.
//
//	auth:
//	  providers:
//	    gcpIap:
//	      audience: /projects/<project number>/global/backendServices/<backend service id>
//	      jwtHeader: x-goog-iap-jwt-assertion
//	      signIn:
//	        resolvers:
//	          - resolver: emailMatchingUserEntityAnnotation   # google.com/email
//	          - resolver: idMatchingUserEntityAnnotation      # google.com/user-id
package gcpiap

import (
	"context"
	_ "embed"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

const (
	issuer  = "https://cloud.google.com/iap"
	keysURL = "https://www.gstatic.com/iap/verify/public_key-jwk"
)

// Module adds the provider gcpIap.
func Module() plugin.Module {
	return plugin.NewModule("auth", "gcp-iap-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddProxyProvider(auth.ProxyProvider{
			ID:  "gcpIap",
			New: newAuthenticator,
			Resolvers: map[string]auth.ResolverFactory{
				"emailMatchingUserEntityAnnotation": auth.MatchingUserEntityAnnotation("google.com/email",
					func(l auth.Login) string { return l.Profile.Email }),
				"idMatchingUserEntityAnnotation": auth.MatchingUserEntityAnnotation("google.com/user-id",
					func(l auth.Login) string { return l.UserID }),
			},
		})
	}))
}

type settings struct {
	Audience  string `schema:"required,min=1"`
	JWTHeader string `config:"jwtHeader"`
}

type authenticator struct {
	settings
	client   *http.Client
	verifier *oidc.IDTokenVerifier
}

func newAuthenticator(env auth.Environment) (auth.ProxyAuthenticator, error) {
	a := &authenticator{settings: settings{JWTHeader: "x-goog-iap-jwt-assertion"}, client: env.Client}
	if err := env.Decode(&a.settings); err != nil {
		return nil, err
	}
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), env.Client), keysURL)
	a.verifier = oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: a.Audience, SupportedSigningAlgs: []string{oidc.ES256}, Now: env.Clock.Now})
	return a, nil
}

// Authenticate implements auth.ProxyAuthenticator.
func (a *authenticator) Authenticate(r *http.Request) (auth.Login, error) {
	raw := r.Header.Get(a.JWTHeader)
	if raw == "" {
		return auth.Login{}, service.AuthenticationError.Errorf("Missing Google IAP header")
	}
	token, err := a.verifier.Verify(oidc.ClientContext(r.Context(), a.client), raw)
	if err != nil {
		return auth.Login{}, &service.Error{Name: service.AuthenticationError, Message: "Google IAP token verification failed", Cause: err}
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return auth.Login{}, &service.Error{Name: service.AuthenticationError, Message: "Google IAP token verification failed", Cause: err}
	}
	email, _ := claims["email"].(string)
	switch {
	case token.Subject == "":
		return auth.Login{}, service.AuthenticationError.Errorf("Google IAP token payload is missing subject claim")
	case email == "":
		return auth.Login{}, service.AuthenticationError.Errorf("Google IAP token payload is missing email claim")
	}
	_, id, _ := strings.Cut(token.Subject, ":") // accounts.google.com:<id>
	return auth.Login{UserID: id, Profile: auth.Profile{Email: email}, Claims: claims, ProviderInfo: map[string]any{"iapToken": claims}}, nil
}
