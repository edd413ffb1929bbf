// Package oauth2 is a module of the auth plugin: users sign in with a provider that follows OAuth 2.0, and tells who they are in an ID token.
// One that has an OpenID configuration is better used by package oidc.
//
//	auth:
//	  providers:
//	    oauth2:
//	      development:
//	        clientId: ${OAUTH2_CLIENT_ID}
//	        clientSecret: ${OAUTH2_CLIENT_SECRET}
//	        authorizationUrl: https://idp.example.com/authorize
//	        tokenUrl: https://idp.example.com/token
//	        includeBasicAuth: true                           # the secret in a header; else in the body
//	        additionalScopes: [openid, email]
//	        signIn:
//	          resolvers:
//	            - resolver: usernameMatchingUserEntityName
package oauth2

import (
	"context"
	_ "embed"
	"fmt"

	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider oauth2.
func Module() plugin.Module {
	return plugin.NewModule("auth", "oauth2-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddOAuthProvider(auth.OAuthProvider{
			ID:  "oauth2",
			New: newAuthenticator,
			Resolvers: map[string]auth.ResolverFactory{
				"usernameMatchingUserEntityName": auth.UsernameMatchingUserEntityName,
			},
		})
	}))
}

type settings struct {
	auth.ClientSettings
	AuthorizationURL string `config:"authorizationUrl" schema:"required,format=uri"`
	TokenURL         string `config:"tokenUrl" schema:"required,format=uri"`
	IncludeBasicAuth bool
}

func newAuthenticator(env auth.Environment) (auth.OAuthAuthenticator, error) {
	var s settings
	if err := env.Decode(&s); err != nil {
		return nil, err
	}
	if env.Config.Has(env.Key + ".scope") {
		return nil, fmt.Errorf("configuration key %s.scope is no longer supported; use additionalScopes", env.Key)
	}
	style := oauth2.AuthStyleInParams
	if s.IncludeBasicAuth {
		style = oauth2.AuthStyleInHeader
	}
	return &auth.OAuth2{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, Client: env.Client,
		Endpoint: oauth2.Endpoint{AuthURL: s.AuthorizationURL, TokenURL: s.TokenURL, AuthStyle: style},
		Identify: func(_ context.Context, g auth.Grant) (auth.Login, error) {
			var claims map[string]any
			err := g.IDClaims(s.ClientID, &claims)
			return auth.LoginOf(claims), err
		},
	}, nil
}
