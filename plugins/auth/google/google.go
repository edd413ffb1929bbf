// Package google is a module of the auth plugin: users sign in with Google.
//
//	auth:
//	  providers:
//	    google:
//	      development:
//	        clientId: ${GOOGLE_CLIENT_ID}
//	        clientSecret: ${GOOGLE_CLIENT_SECRET}
//	        signIn:
//	          resolvers:
//	            - resolver: emailMatchingUserEntityAnnotation   # google.com/email
//	            - resolver: emailLocalPartMatchingUserEntityName
//	              allowedDomains: [example.com]
package google

import (
	"context"
	_ "embed"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

const (
	authURL     = "https://accounts.google.com/o/oauth2/v2/auth"
	tokenURL    = "https://oauth2.googleapis.com/token"
	userInfoURL = "https://openidconnect.googleapis.com/v1/userinfo"
	revokeURL   = "https://oauth2.googleapis.com/revoke"
)

// Module adds the provider google.
func Module() plugin.Module {
	return plugin.NewModule("auth", "google-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddOAuthProvider(auth.OAuthProvider{
			ID:  "google",
			New: newAuthenticator,
			Scopes: auth.Scopes{Required: []string{
				"openid", "https://www.googleapis.com/auth/userinfo.email", "https://www.googleapis.com/auth/userinfo.profile",
			}},
			Resolvers: map[string]auth.ResolverFactory{
				"emailMatchingUserEntityAnnotation": auth.MatchingUserEntityAnnotation("google.com/email",
					func(l auth.Login) string { return l.Profile.Email }),
			},
		})
	}))
}

type authenticator struct{ auth.OAuth2 }

func newAuthenticator(env auth.Environment) (auth.OAuthAuthenticator, error) {
	var s auth.ClientSettings
	if err := env.Decode(&s); err != nil {
		return nil, err
	}
	return &authenticator{auth.OAuth2{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, PKCE: true, Client: env.Client,
		Endpoint: oauth2.Endpoint{AuthURL: authURL, TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams},
		Params:   url.Values{"access_type": {"offline"}, "prompt": {"consent"}, "include_granted_scopes": {"true"}},
		Identify: func(ctx context.Context, g auth.Grant) (auth.Login, error) {
			var claims map[string]any
			err := g.Get(ctx, userInfoURL, &claims)
			return auth.LoginOf(claims), err
		},
	}}, nil
}

// Logout implements auth.OAuthLogouter: it revokes the token.
func (a *authenticator) Logout(ctx context.Context, refreshToken service.Token) (string, error) {
	if refreshToken.Reveal() == "" {
		return "", nil
	}
	anybody := auth.OAuth2{Client: a.Client} // Google doesn't ask who revokes a token
	return "", anybody.Revoke(ctx, revokeURL, refreshToken)
}
