// Package github is a module of the auth plugin: users sign in with GitHub, or with GitHub Enterprise.
//
//	auth:
//	  providers:
//	    github:
//	      development:
//	        clientId: ${GITHUB_CLIENT_ID}
//	        clientSecret: ${GITHUB_CLIENT_SECRET}
//	        enterpriseInstanceUrl: https://github.example.com   # without it: github.com
//	        signIn:
//	          resolvers:
//	            - resolver: userIdMatchingUserEntityAnnotation  # github.com/user-id
//	            - resolver: usernameMatchingUserEntityName
//
// GitHub tells the email of a user only if it is public.
package github

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider github.
func Module() plugin.Module {
	return plugin.NewModule("auth", "github-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddOAuthProvider(auth.OAuthProvider{
			ID:     "github",
			New:    newAuthenticator,
			Scopes: auth.Scopes{Required: []string{"read:user"}, Persist: true},
			Resolvers: map[string]auth.ResolverFactory{
				"usernameMatchingUserEntityName": auth.UsernameMatchingUserEntityName,
				"userIdMatchingUserEntityAnnotation": auth.MatchingUserEntityAnnotation("github.com/user-id",
					func(l auth.Login) string { return l.UserID }),
			},
		})
	}))
}

type settings struct {
	auth.ClientSettings
	EnterpriseInstanceURL string `config:"enterpriseInstanceUrl" schema:"format=uri"`
}

// accessTokenPrefix begins a refresh token that is an access token: those of OAuth apps don't end.
const accessTokenPrefix = "access-token-v2."

// authenticator signs in with an app whose tokens end and are refreshed, or with one whose tokens don't.
type authenticator struct {
	auth.OAuth2
	userURL string
}

func newAuthenticator(env auth.Environment) (auth.OAuthAuthenticator, error) {
	var s settings
	if err := env.Decode(&s); err != nil {
		return nil, err
	}
	a := &authenticator{userURL: "https://api.github.com/user"}
	web := "https://github.com"
	if s.EnterpriseInstanceURL != "" {
		web = strings.TrimSuffix(s.EnterpriseInstanceURL, "/")
		a.userURL = web + "/api/v3/user"
	}
	a.OAuth2 = auth.OAuth2{
		ClientID: s.ClientID, ClientSecret: s.ClientSecret, PKCE: true, Client: env.Client, Identify: a.identify,
		Endpoint: oauth2.Endpoint{AuthURL: web + "/login/oauth/authorize", TokenURL: web + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams},
	}
	return a, nil
}

func (a *authenticator) identify(ctx context.Context, g auth.Grant) (auth.Login, error) {
	var user struct {
		Login     string
		NodeID    string `json:"node_id"`
		Name      string
		Email     string
		AvatarURL string `json:"avatar_url"`
	}
	if err := g.Get(ctx, a.userURL, &user); err != nil {
		return auth.Login{}, err
	}
	login := auth.Login{Username: user.Login, UserID: user.NodeID, Profile: auth.Profile{Email: user.Email, DisplayName: user.Name, Picture: user.AvatarURL}}
	if user.Name == "" {
		login.Profile.DisplayName = user.Login
	}
	return login, nil
}

// Authenticate implements auth.OAuthAuthenticator.
func (a *authenticator) Authenticate(ctx context.Context, c auth.OAuthCallback) (auth.OAuthLogin, error) {
	login, err := a.OAuth2.Authenticate(ctx, c)
	if err == nil && login.RefreshToken.Reveal() == "" && login.ExpiresIn == 0 {
		login.RefreshToken = service.NewToken(accessTokenPrefix + login.AccessToken.Reveal())
	}
	return login, err
}

// Refresh implements auth.OAuthAuthenticator.
func (a *authenticator) Refresh(ctx context.Context, r auth.OAuthRefresh) (auth.OAuthLogin, error) {
	token, ok := strings.CutPrefix(r.RefreshToken.Reveal(), accessTokenPrefix)
	if !ok {
		return a.OAuth2.Refresh(ctx, r)
	}
	if !r.ScopeGranted {
		return auth.OAuthLogin{}, service.NotAllowedError.Errorf("Refresh failed, session has not been granted the requested scope")
	}
	login, err := a.identify(ctx, a.Grant(token))
	if status := (*auth.StatusError)(nil); errors.As(err, &status) && status.Status == http.StatusUnauthorized {
		return auth.OAuthLogin{}, service.AuthenticationError.Errorf("Invalid access token")
	}
	if err != nil {
		return auth.OAuthLogin{}, err
	}
	return auth.OAuthLogin{Login: login, AccessToken: service.NewToken(token), RefreshToken: r.RefreshToken, Scope: r.Scope}, nil
}
