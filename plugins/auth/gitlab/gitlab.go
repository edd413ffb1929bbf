// Package gitlab is a module of the auth plugin: users sign in with GitLab.
//
//	auth:
//	  providers:
//	    gitlab:
//	      development:
//	        clientId: ${GITLAB_CLIENT_ID}
//	        clientSecret: ${GITLAB_CLIENT_SECRET}
//	        audience: https://gitlab.example.com               # https://gitlab.com
//	        signIn:
//	          resolvers:
//	            - resolver: userIdMatchingUserEntityAnnotation # <host of GitLab>/user-id
//	            - resolver: usernameMatchingUserEntityName
package gitlab

import (
	"context"
	_ "embed"
	"encoding/json"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider gitlab.
func Module() plugin.Module {
	return plugin.NewModule("auth", "gitlab-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddOAuthProvider(auth.OAuthProvider{
			ID:     "gitlab",
			New:    newAuthenticator,
			Scopes: auth.Scopes{Required: []string{"read_user"}},
			Resolvers: map[string]auth.ResolverFactory{
				"usernameMatchingUserEntityName":     auth.UsernameMatchingUserEntityName,
				"userIdMatchingUserEntityAnnotation": byUserID,
			},
		})
	}))
}

type settings struct {
	auth.ClientSettings
	Audience string `schema:"format=uri"`
}

const hostClaim = "host" // of GitLab

func newAuthenticator(env auth.Environment) (auth.OAuthAuthenticator, error) {
	s := settings{Audience: "https://gitlab.com"}
	if err := env.Decode(&s); err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(s.Audience, "/")
	at, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	return &auth.OAuth2{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, PKCE: true, Client: env.Client,
		Endpoint: oauth2.Endpoint{AuthURL: base + "/oauth/authorize", TokenURL: base + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams},
		Identify: func(ctx context.Context, g auth.Grant) (auth.Login, error) {
			return identify(ctx, g, base, at.Hostname())
		},
	}, nil
}

func identify(ctx context.Context, g auth.Grant, base, host string) (auth.Login, error) {
	var user struct {
		ID          json.Number
		Username    string
		Name        string
		Email       string
		ConfirmedAt json.RawMessage `json:"confirmed_at"`
		AvatarURL   string          `json:"avatar_url"`
	}
	if err := g.Get(ctx, base+"/api/v4/user", &user); err != nil {
		return auth.Login{}, err
	}
	login := auth.Login{
		Username: user.Username, UserID: user.ID.String(), Claims: map[string]any{hostClaim: host},
		Profile: auth.Profile{Email: user.Email, DisplayName: user.Name, Picture: user.AvatarURL},
	}
	if string(user.ConfirmedAt) == "null" {
		login.Profile.Email = "" // GitLab may let users in before they have confirmed it
	}
	return login, nil
}

// byUserID makes a resolver that finds the user by the annotation <host of GitLab>/user-id.
func byUserID(o auth.ResolverOptions) (auth.SignInResolver, error) {
	return func(ctx context.Context, login auth.Login, users auth.Users) (auth.Identity, error) {
		host, _ := login.Claims[hostClaim].(string)
		resolver, err := auth.MatchingUserEntityAnnotation(host+"/user-id", func(l auth.Login) string { return l.UserID })(o)
		if err != nil {
			return auth.Identity{}, err
		}
		return resolver(ctx, login, users)
	}, nil
}
