// Package oauth2proxy is a module of the auth plugin for portals behind OAuth2 Proxy.
//
//	auth:
//	  providers:
//	    oauth2Proxy:
//	      issuer: https://idp.example.com   # of the ID token, beyond Backstage's keys
//	      audience: portal                  # the client id of the proxy
//	      signIn:
//	        resolvers:
//	          - resolver: forwardedPreferredUsernameMatchingUserEntityName
//	          - resolver: forwardedUserMatchingUserEntityName
//
// With an issuer, users are who the ID token says that the proxy passes on in the header X-OAUTH2-PROXY-ID-TOKEN, which is verified. Without
// one, they are who the headers X-Forwarded-User, X-Forwarded-Preferred-Username and X-Forwarded-Email say, as in Backstage: then nobody but
// the proxy may be able to reach the portal, and the proxy has to replace these headers.
package oauth2proxy

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider oauth2Proxy.
func Module() plugin.Module {
	return plugin.NewModule("auth", "oauth2-proxy-provider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddProxyProvider(auth.ProxyProvider{
			ID:  "oauth2Proxy",
			New: newAuthenticator,
			Resolvers: map[string]auth.ResolverFactory{
				"forwardedUserMatchingUserEntityName":              auth.MatchingUserEntityName(func(l auth.Login) string { return l.UserID }),
				"forwardedPreferredUsernameMatchingUserEntityName": auth.UsernameMatchingUserEntityName,
			},
		})
	}))
}

const (
	tokenHeader    = "X-OAUTH2-PROXY-ID-TOKEN"
	userHeader     = "X-Forwarded-User"
	usernameHeader = "X-Forwarded-Preferred-Username"
	emailHeader    = "X-Forwarded-Email"
)

type settings struct{ Issuer, Audience string }

func newAuthenticator(env auth.Environment) (auth.ProxyAuthenticator, error) {
	var s settings
	if err := env.Decode(&s); err != nil {
		return nil, err
	}
	if (s.Issuer == "") != (s.Audience == "") {
		return nil, fmt.Errorf("configuration keys %[1]s.issuer and %[1]s.audience go together", env.Key)
	}
	if s.Issuer == "" {
		env.Log.Warn("Users are whoever the headers of requests say; make sure that nobody can reach the portal but by the proxy, or set " +
			env.Key + ".issuer and .audience to have ID tokens verified")
		return trusting{}, nil
	}
	return &verifying{settings: s, env: env, turn: make(chan struct{}, 1)}, nil
}

// trusting believes what the headers say.
type trusting struct{}

// Authenticate implements auth.ProxyAuthenticator.
func (trusting) Authenticate(r *http.Request) (auth.Login, error) {
	values := map[string]string{}
	for _, name := range []string{userHeader, usernameHeader, emailHeader} {
		all := r.Header.Values(name)
		if len(all) > 1 { // one of the proxy and one of somebody else
			return auth.Login{}, service.AuthenticationError.Errorf("The request has the header %s more than once", name)
		}
		if len(all) == 1 {
			values[name] = all[0]
		}
	}
	if values[userHeader] == "" && values[usernameHeader] == "" && values[emailHeader] == "" {
		return auth.Login{}, service.AuthenticationError.Errorf("Request did not contain a user")
	}
	return auth.Login{
		UserID: values[userHeader], Username: values[usernameHeader],
		Profile:      auth.Profile{Email: values[emailHeader], DisplayName: cmp.Or(values[usernameHeader], values[userHeader])},
		ProviderInfo: map[string]string{"accessToken": bearer(r)},
	}, nil
}

// bearer is the token that the proxy passes on, or empty.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get(tokenHeader), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// verifying believes the issuer of ID tokens, whose metadata it asks for when it is first needed.
type verifying struct {
	settings
	env auth.Environment

	turn  chan struct{} // holds a token while somebody looks at known, and asks for it if need be
	known *oidc.IDTokenVerifier
}

// Authenticate implements auth.ProxyAuthenticator.
func (v *verifying) Authenticate(r *http.Request) (auth.Login, error) {
	raw := bearer(r)
	if raw == "" {
		return auth.Login{}, service.AuthenticationError.Errorf("The request lacks the header %s", tokenHeader)
	}
	verifier, err := v.verifier(r.Context())
	if err != nil {
		return auth.Login{}, err
	}
	token, err := verifier.Verify(oidc.ClientContext(r.Context(), v.env.Client), raw)
	if err != nil {
		return auth.Login{}, &service.Error{Name: service.AuthenticationError, Message: "Authentication failed", Cause: err}
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return auth.Login{}, &service.Error{Name: service.AuthenticationError, Message: "Authentication failed", Cause: err}
	}
	login := auth.LoginOf(claims)
	login.ProviderInfo = map[string]string{"accessToken": raw}
	return login, nil
}

func (v *verifying) verifier(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if v.known != nil {
		return v.known, nil
	}
	// The keys are asked for again and again, not only while a request lasts.
	p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), v.env.Client), v.Issuer)
	if err != nil {
		return nil, fmt.Errorf("asking the issuer for its metadata: %w", err)
	}
	v.known = p.Verifier(&oidc.Config{ClientID: v.Audience, Now: v.env.Clock.Now})
	return v.known, nil
}
