package auth_test

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/github"
	"github.com/portico-dev/portico/plugins/auth/oidc"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// badges is a module that lets in whom the company's gateway has recognized by a badge. The gateway proves itself by a secret.
func badges() plugin.Module {
	return plugin.NewModule("auth", "badges", plugin.Init(func(providers auth.Providers) {
		providers.AddProxyProvider(auth.ProxyProvider{
			ID: "badge",
			New: func(env auth.Environment) (auth.ProxyAuthenticator, error) {
				var gateway gateway
				err := env.Decode(&gateway)
				return gateway, err
			},
			Resolvers: map[string]auth.ResolverFactory{
				"badgeMatchingUserEntityAnnotation": auth.MatchingUserEntityAnnotation("acme.com/badge", func(l auth.Login) string { return l.UserID }),
			},
		})
	}))
}

// gateway is the configuration of the provider, and its authenticator.
type gateway struct {
	Secret string `schema:"required,visibility=secret"`
}

func (g gateway) Authenticate(r *http.Request) (auth.Login, error) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Gateway-Secret")), []byte(g.Secret)) != 1 {
		return auth.Login{}, service.AuthenticationError.Errorf("The request doesn't come from the gateway")
	}
	return auth.Login{UserID: r.Header.Get("X-Badge"), Profile: auth.Profile{DisplayName: r.Header.Get("X-Name")}}, nil
}

// An adopter's own provider: who comes through the company's gateway is signed in as the user of the catalog with the same badge.
func ExampleProviders() {
	jane, err := catalogmodel.User.New("jane", catalogmodel.UserSpec{})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := backend.New(backend.Options{Config: config.Options{Overrides: map[string]any{
		"app":     map[string]any{"baseUrl": "http://localhost:3000"},
		"backend": map[string]any{"listen": "127.0.0.1:0"},
		"auth": map[string]any{"providers": map[string]any{"badge": map[string]any{
			"secret": "of-the-gateway",
			"signIn": map[string]any{"resolvers": []any{map[string]any{"resolver": "badgeMatchingUserEntityAnnotation"}}},
		}}},
	}}})
	b.Add(auth.Plugin(), badges(), catalogtest.Service(jane.WithAnnotation("acme.com/badge", "4711")), quiet())
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = b.Stop(ctx) }()

	for _, badge := range []string{"4711", "4712"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL()+"/api/auth/badge/refresh", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header = http.Header{"X-Gateway-Secret": {"of-the-gateway"}, "X-Badge": {badge}, "X-Name": {"Jane"}}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		var answer struct {
			Profile           auth.Profile
			BackstageIdentity struct {
				Identity struct{ UserEntityRef string }
			}
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		fmt.Println(res.StatusCode, answer.Profile.DisplayName, answer.BackstageIdentity.Identity.UserEntityRef, err)
		res.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 200 Jane user:default/jane <nil>
	// 403   <nil>
}

// A portal whose users sign in with GitHub or with an OpenID provider. The keys are those of the documentation of the package.
func ExamplePlugin() {
	b := backend.New(backend.Options{Config: config.Options{Overrides: map[string]any{
		"app":     map[string]any{"baseUrl": "https://portal.example.com"},
		"backend": map[string]any{"listen": "127.0.0.1:0"},
		"auth": map[string]any{"environment": "production", "providers": map[string]any{
			"github": map[string]any{"production": map[string]any{
				"clientId": "portal", "clientSecret": "a-secret",
				"signIn": map[string]any{"resolvers": []any{map[string]any{"resolver": "usernameMatchingUserEntityName"}}},
			}},
			"oidc": map[string]any{"production": map[string]any{
				"metadataUrl": "https://idp.example.com/.well-known/openid-configuration", "clientId": "portal", "clientSecret": "a-secret", "prompt": "auto",
				"signIn": map[string]any{"resolvers": []any{map[string]any{"resolver": "emailMatchingUserEntityProfileEmail"}}},
			}},
		}},
	}}})
	b.Add(auth.Plugin(), github.Module(), oidc.Module(), catalogtest.Service(), quiet())
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = b.Stop(ctx) }()

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL()+"/api/auth/github/start?env=production", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := client.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(to.Host, to.Query().Get("client_id"), strings.TrimPrefix(to.Query().Get("redirect_uri"), b.URL()))
	// Output: github.com portal /api/auth/github/handler/frame
}

// A module has users own what their groups own, but not what the groups above these own, as in Backstage.
func ExampleOwnership() {
	module := plugin.NewModule("auth", "direct-ownership", plugin.Init(func(ownership auth.Ownership) {
		ownership.SetOwnershipResolver(auth.DirectOwnership)
	}))
	fmt.Println(module)
	// Output: module auth/direct-ownership
}

func quiet() service.Service {
	return service.Root[service.RootLogger](func() service.RootLogger {
		return service.RootLogger{Logger: slog.New(slog.DiscardHandler)}
	})
}
