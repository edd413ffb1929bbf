// Package okta is a module of the auth plugin: users sign in with Okta.
//
//	auth:
//	  providers:
//	    okta:
//	      development:
//	        clientId: ${OKTA_CLIENT_ID}
//	        clientSecret: ${OKTA_CLIENT_SECRET}
//	        audience: https://example.okta.com
//	        authServerId: default                             # without it: the authorization server of the organization
//	        idp: 0oa1                                         # the identity provider that users are sent on to
//	        signIn:
//	          resolvers:
//	            - resolver: emailMatchingUserEntityAnnotation # okta.com/email
package okta

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider okta.
func Module() plugin.Module {
	return plugin.NewModule("auth", "okta-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddOAuthProvider(auth.OAuthProvider{
			ID:     "okta",
			New:    newAuthenticator,
			Scopes: auth.Scopes{Required: []string{"openid", "email", "profile", "offline_access"}},
			Resolvers: map[string]auth.ResolverFactory{
				"emailMatchingUserEntityAnnotation": auth.MatchingUserEntityAnnotation("okta.com/email",
					func(l auth.Login) string { return l.Profile.Email }),
			},
		})
	}))
}

type settings struct {
	auth.ClientSettings
	Audience     string
	AuthServerID string `config:"authServerId"`
	IDP          string `config:"idp"`
}

func newAuthenticator(env auth.Environment) (auth.OAuthAuthenticator, error) {
	s := settings{Audience: "https://okta.com"}
	if err := env.Decode(&s); err != nil {
		return nil, err
	}
	if at, err := url.Parse(s.Audience); err != nil || at.Scheme != "https" && at.Scheme != "http" || at.Host == "" {
		return nil, fmt.Errorf(`configuration key %s.audience: The provided audience %q is not a valid URL. It must start with "https://" or "http://"`, env.Key, s.Audience)
	}
	base := strings.TrimSuffix(s.Audience, "/") + "/oauth2"
	if s.AuthServerID != "" {
		base += "/" + url.PathEscape(s.AuthServerID)
	}
	base += "/v1"
	params := url.Values{}
	if s.IDP != "" {
		params.Set("idp", s.IDP)
	}
	return &auth.OAuth2{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, PKCE: true, Client: env.Client, Params: params,
		Endpoint: oauth2.Endpoint{AuthURL: base + "/authorize", TokenURL: base + "/token", AuthStyle: oauth2.AuthStyleInHeader},
		Identify: func(ctx context.Context, g auth.Grant) (auth.Login, error) {
			var claims map[string]any
			err := g.Get(ctx, base+"/userinfo", &claims)
			return auth.LoginOf(claims), err
		},
	}, nil
}
