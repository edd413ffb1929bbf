// Package microsoft is a module of the auth plugin: users sign in with Microsoft Entra ID.
//
//	auth:
//	  providers:
//	    microsoft:
//	      development:
//	        clientId: ${AZURE_CLIENT_ID}
//	        clientSecret: ${AZURE_CLIENT_SECRET}
//	        tenantId: ${AZURE_TENANT_ID}
//	        domainHint: example.com
//	        skipUserProfile: false                             # don't ask Microsoft Graph for the profile
//	        signIn:
//	          resolvers:
//	            - resolver: userIdMatchingUserEntityAnnotation # graph.microsoft.com/user-id
//	            - resolver: emailMatchingUserEntityAnnotation  # microsoft.com/email
//
// With a tenantId that stands for all tenants (common, organizations, consumers), emails are left out: the administrators of any tenant
// decide on the emails of its users, and so could sign in as anybody.
package microsoft

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider microsoft.
func Module() plugin.Module {
	return plugin.NewModule("auth", "microsoft-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddOAuthProvider(auth.OAuthProvider{
			ID:     "microsoft",
			New:    newAuthenticator,
			Scopes: auth.Scopes{Required: []string{"email", "openid", offlineAccess, "user.read"}, Combine: combineScopes},
			Resolvers: map[string]auth.ResolverFactory{
				"emailMatchingUserEntityAnnotation": auth.MatchingUserEntityAnnotation("microsoft.com/email",
					func(l auth.Login) string { return l.Profile.Email }),
				"userIdMatchingUserEntityAnnotation": auth.MatchingUserEntityAnnotation("graph.microsoft.com/user-id",
					func(l auth.Login) string { return l.UserID }),
			},
		})
	}))
}

const (
	offlineAccess = "offline_access"
	graphScope    = "openid email User.Read offline_access"
	loginHost     = "https://login.microsoftonline.com/"
	graphURL      = "https://graph.microsoft.com/v1.0/me/"
	maxPhoto      = 1 << 20
)

// combineScopes asks for a scope of another system alone: a token is for one system.
func combineScopes(r auth.ScopeRequest) []string {
	if slices.ContainsFunc(r.Requested, ofOtherSystem) {
		return append(slices.Clone(r.Requested), offlineAccess)
	}
	return slices.Concat(r.Requested, r.Granted, r.Required, r.Additional)
}

func ofOtherSystem(scope string) bool { return strings.Contains(scope, "/") }

type settings struct {
	auth.ClientSettings
	TenantID        string `config:"tenantId" schema:"required,min=1"`
	DomainHint      string
	SkipUserProfile bool
}

type authenticator struct {
	auth.OAuth2
	settings
}

func newAuthenticator(env auth.Environment) (auth.OAuthAuthenticator, error) {
	a := &authenticator{}
	if err := env.Decode(&a.settings); err != nil {
		return nil, err
	}
	base := loginHost + url.PathEscape(a.TenantID) + "/oauth2/v2.0"
	params := url.Values{}
	if a.DomainHint != "" {
		params.Set("domain_hint", a.DomainHint)
	}
	a.OAuth2 = auth.OAuth2{
		ClientID: a.settings.ClientID, ClientSecret: a.settings.ClientSecret, PKCE: true, Client: env.Client, Params: params, Identify: a.identify,
		Endpoint: oauth2.Endpoint{AuthURL: base + "/authorize", TokenURL: base + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	return a, nil
}

// Authenticate implements auth.OAuthAuthenticator.
func (a *authenticator) Authenticate(ctx context.Context, c auth.OAuthCallback) (auth.OAuthLogin, error) {
	login, err := a.OAuth2.Authenticate(ctx, c)
	if err != nil {
		return login, err
	}
	return a.complete(ctx, login, login.RefreshToken)
}

// Refresh implements auth.OAuthAuthenticator.
func (a *authenticator) Refresh(ctx context.Context, r auth.OAuthRefresh) (auth.OAuthLogin, error) {
	login, err := a.OAuth2.Refresh(ctx, r)
	if err != nil {
		return login, err
	}
	refreshToken := r.RefreshToken
	if login.RefreshToken.Reveal() != "" {
		refreshToken = login.RefreshToken
	}
	return a.complete(ctx, login, refreshToken)
}

// complete finds out who the user is, if the access token is for another system than Microsoft Graph: by one more token.
func (a *authenticator) complete(ctx context.Context, login auth.OAuthLogin, refreshToken service.Token) (auth.OAuthLogin, error) {
	if login.UserID != "" || a.SkipUserProfile || refreshToken.Reveal() == "" {
		return login, nil
	}
	graph, err := a.OAuth2.Refresh(ctx, auth.OAuthRefresh{RefreshToken: refreshToken, Scope: graphScope})
	if err != nil {
		return login, err
	}
	login.Login, login.RefreshToken = graph.Login, refreshToken
	if graph.RefreshToken.Reveal() != "" {
		login.RefreshToken = graph.RefreshToken
	}
	return login, nil
}

// identify asks Microsoft Graph, if the access token is for it, or else leaves the user ID empty.
func (a *authenticator) identify(ctx context.Context, g auth.Grant) (auth.Login, error) {
	scope, _ := g.Extra("scope").(string)
	if !a.SkipUserProfile && !readsProfile(scope) {
		return auth.Login{}, nil
	}
	var claims struct{ Email, Name, OID string }
	if err := g.IDClaims(a.settings.ClientID, &claims); err != nil {
		return auth.Login{}, err
	}
	login := auth.Login{UserID: claims.OID, Profile: auth.Profile{Email: claims.Email, DisplayName: claims.Name}}
	if !a.SkipUserProfile {
		var user struct{ ID, DisplayName, Mail, UserPrincipalName string }
		if err := g.Get(ctx, graphURL, &user); err != nil {
			return auth.Login{}, err
		}
		login = auth.Login{
			UserID: user.ID, Username: user.UserPrincipalName,
			Profile: auth.Profile{Email: cmp.Or(user.Mail, claims.Email), DisplayName: cmp.Or(user.DisplayName, claims.Name), Picture: a.photo(ctx, g)},
		}
	}
	if slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(a.TenantID)) {
		login.Profile.Email = ""
	}
	return login, nil
}

// readsProfile tells whether a token with the scope can be used to read the profile of its user.
func readsProfile(scope string) bool {
	return slices.ContainsFunc(strings.Fields(strings.ToLower(scope)), func(s string) bool {
		s = strings.TrimPrefix(s, "https://graph.microsoft.com/")
		return s == "user.read" || s == "user.read.all"
	})
}

// photo is the picture of the user as a data URL, or empty.
func (a *authenticator) photo(ctx context.Context, g auth.Grant) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, graphURL+"photos/96x96/$value", nil)
	if err != nil {
		return ""
	}
	req.Header.Set("Authorization", "Bearer "+g.AccessToken)
	res, err := a.Client.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	content, err := io.ReadAll(io.LimitReader(res.Body, maxPhoto+1))
	if err != nil || res.StatusCode != http.StatusOK || len(content) > maxPhoto {
		return ""
	}
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(content)
}
