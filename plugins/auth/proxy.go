package auth

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

// proxyRoutes are the routes of a provider whose users are recognized by their requests.
type proxyRoutes struct {
	*portal
	authenticator ProxyAuthenticator
	resolvers     []SignInResolver
}

func (p *portal) registerProxy(g *echo.Group, provider ProxyProvider) error {
	env := p.environment(providersKey + "." + provider.ID)
	resolvers, err := p.added.requiredResolvers(env, provider.Resolvers, provider.SignIn)
	if err != nil {
		return err
	}
	authenticator, err := provider.New(env)
	if err != nil {
		return fmt.Errorf("auth: provider %s: %w", provider.ID, err)
	}
	r := &proxyRoutes{p, authenticator, resolvers}
	notImplemented := func(echo.Context) error { return service.NotImplementedError.Errorf("Not implemented") }
	g.GET("/start", notImplemented)
	g.GET("/handler/frame", notImplemented)
	g.POST("/handler/frame", notImplemented)
	g.GET("/refresh", r.refresh, noStore)
	g.POST("/refresh", r.refresh, noStore)
	return nil
}

// refresh signs in who makes the request.
func (r *proxyRoutes) refresh(c echo.Context) error {
	login, err := r.authenticator.Authenticate(c.Request())
	if err != nil {
		return err
	}
	identity, err := r.identify(c.Request().Context(), r.resolvers, login)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, session{Profile: login.Profile, ProviderInfo: login.ProviderInfo, BackstageIdentity: identity})
}
