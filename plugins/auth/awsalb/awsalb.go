// Package awsalb is a module of the auth plugin for portals behind an Application Load Balancer of AWS that signs users in. It verifies what
// the load balancer says of them in each request.
//
//	auth:
//	  providers:
//	    awsalb:
//	      issuer: https://example.okta.com/oauth2/default
//	      region: eu-central-1
//	      signer: arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/portal/1234
//	      signIn:
//	        resolvers:
//	          - resolver: emailMatchingUserEntityProfileEmail
//
// Set the signer: without it, everybody who has a load balancer in the region and can reach the portal can sign in as anybody.
package awsalb

import (
	_ "embed"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

// Module adds the provider awsalb.
func Module() plugin.Module {
	return plugin.NewModule("auth", "awsAlbProvider", plugin.ConfigSchema(schema), plugin.Init(func(providers auth.Providers) {
		providers.AddProxyProvider(auth.ProxyProvider{ID: "awsalb", New: newAuthenticator})
	}))
}

const (
	dataHeader        = "x-amzn-oidc-data"
	accessTokenHeader = "x-amzn-oidc-accesstoken"
)

type settings struct {
	Issuer string `schema:"required,min=1"`
	Region string `schema:"required,min=1"`
	Signer string
}

// region is part of a host.
var region = regexp.MustCompile(`^[a-z0-9-]+$`)

type authenticator struct {
	settings
	env  auth.Environment
	keys *keys
}

func newAuthenticator(env auth.Environment) (auth.ProxyAuthenticator, error) {
	a := &authenticator{env: env}
	if err := env.Decode(&a.settings); err != nil {
		return nil, err
	}
	if !region.MatchString(a.Region) {
		return nil, fmt.Errorf("configuration key %s.region is %q; it must be the name of a region, like eu-central-1", env.Key, a.Region)
	}
	if a.Signer == "" {
		env.Log.Warn("Any load balancer in the region can sign users in; set its ARN at " + env.Key + ".signer")
	}
	var err error
	a.keys, err = newKeys(a.Region, env.Client)
	return a, err
}

// claims is what the load balancer says of a user.
type claims struct {
	Issuer    string  `json:"iss"`
	Subject   string  `json:"sub"`
	Expiry    float64 `json:"exp"`
	NotBefore float64 `json:"nbf"`
	Email     string  `json:"email"`
	Name      string  `json:"name"`
	Picture   string  `json:"picture"`
}

// Authenticate implements auth.ProxyAuthenticator.
func (a *authenticator) Authenticate(r *http.Request) (auth.Login, error) {
	raw, accessToken := r.Header.Get(dataHeader), r.Header.Get(accessTokenHeader)
	for name, value := range map[string]string{dataHeader: raw, accessTokenHeader: accessToken} {
		if value == "" {
			return auth.Login{}, service.AuthenticationError.Errorf("Missing ALB OIDC header: %s", name)
		}
	}
	token, err := a.keys.verify(r.Context(), raw)
	if err != nil {
		return auth.Login{}, &service.Error{Name: service.AuthenticationError, Message: "Exception occurred during JWT processing", Cause: err}
	}
	c, now := token.claims, float64(a.env.Clock.Now().Unix())
	switch {
	case c.Issuer != a.Issuer:
		return auth.Login{}, service.AuthenticationError.Errorf("Issuer mismatch on JWT token")
	case a.Signer != "" && token.header.Signer != a.Signer:
		return auth.Login{}, service.AuthenticationError.Errorf("Signer mismatch on JWT token")
	case now >= c.Expiry || now < c.NotBefore:
		return auth.Login{}, service.AuthenticationError.Errorf("The JWT token has expired")
	case c.Email == "":
		return auth.Login{}, service.AuthenticationError.Errorf("Missing email in the JWT token")
	}
	username, _, _ := strings.Cut(c.Email, "@")
	login := auth.Login{
		Username: username, UserID: c.Subject, Claims: token.all,
		Profile:      auth.Profile{Email: c.Email, DisplayName: c.Name, Picture: c.Picture},
		ProviderInfo: map[string]any{"accessToken": accessToken, "expiresInSeconds": int64(c.Expiry - now)},
	}
	if login.Profile.DisplayName == "" {
		login.Profile.DisplayName = username
	}
	if verified, told := token.all["email_verified"]; told && verified != true && verified != "true" {
		return auth.Login{}, service.AuthenticationError.Errorf("The email in the JWT token is not verified")
	}
	return login, nil
}
