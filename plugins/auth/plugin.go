package auth

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth/internal/origin"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
	"github.com/portico-dev/portico/service/telemetry"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed config.schema.json
var configSchema []byte

// Plugin is the auth plugin. It has no ways to sign in by itself: modules bring them.
func Plugin() plugin.Plugin {
	return plugin.New("auth",
		plugin.Migrations(migrations),
		plugin.ConfigSchema(configSchema),
		plugin.Provide(ProvidersPoint, newProviders),
		plugin.Provide(OwnershipPoint, newOwnership),
		plugin.Init(start),
	)
}

type deps struct {
	fx.In

	Config    service.Config
	Router    *echo.Group
	Policies  service.AuthPolicies
	HTTPAuth  service.HTTPAuth
	Server    *httprouter.Server
	DB        *bun.DB
	Catalog   *catalogclient.Client
	Users     service.UserInfo
	Actions   service.ActionsRegistry
	Clock     clockwork.Clock
	Log       *slog.Logger
	Lifecycle fx.Lifecycle
	Telemetry telemetry.Providers

	Providers *providers
	Ownership *ownership
}

func start(d deps) error {
	s, err := readSettings(d.Config)
	if err != nil {
		return err
	}
	source, err := s.keySource(d)
	if err != nil {
		return err
	}
	origins, appURL, err := s.origins(d.Config)
	if err != nil {
		return err
	}
	ownership, err := d.Ownership.of(d.Catalog)
	if err != nil {
		return err
	}
	client := newClient(d.Telemetry)
	p := &portal{
		issuer: &issuer{
			keys: source, lifetime: s.TokenExpiration, omitOwnership: s.OmitOwnership, db: d.DB, clock: d.Clock, log: d.Log,
			url: func() string { return d.Server.BaseURL() + "/api/auth" },
		},
		users:   &catalogUsers{d.Catalog, ownership},
		origins: origins,
		appURL:  appURL,
		base:    Environment{Config: d.Config, Client: client, Clock: d.Clock, Log: d.Log},
		added:   d.Providers,
	}
	d.Policies.AllowUnauthenticated("/")
	server, err := newAuthServer(p, s, d)
	if err != nil {
		return err
	}
	d.Lifecycle.Append(fx.Hook{OnStop: func(context.Context) error {
		client.CloseIdleConnections()
		server.close()
		return nil
	}})
	identityRoutes{p.issuer, d.HTTPAuth, server}.register(d.Router)
	if server != nil {
		server.register(d.Router)
	}
	if err := (whoAmI{d.Catalog, d.Users}).register(d.Actions); err != nil {
		return err
	}
	return p.register(d.Router)
}

// portal is what the routes of all providers have in common.
type portal struct {
	issuer  *issuer
	users   Users
	origins origin.Allowed
	appURL  string // of the frontend
	base    Environment
	added   *providers
}

// register adds the routes of all providers that modules have added.
func (p *portal) register(router *echo.Group) error {
	if err := errors.Join(p.added.mistakes...); err != nil {
		return err
	}
	for _, provider := range p.added.oauths {
		if err := p.mount(router, provider.ID, func(g *echo.Group) error { return p.registerOAuth(g, provider) }); err != nil {
			return err
		}
	}
	for _, provider := range p.added.proxies {
		if err := p.mount(router, provider.ID, func(g *echo.Group) error { return p.registerProxy(g, provider) }); err != nil {
			return err
		}
	}
	for _, provider := range p.added.forms {
		if err := p.mount(router, provider.ID, func(g *echo.Group) error { return p.registerForm(g, provider) }); err != nil {
			return err
		}
	}
	unknown := func(c echo.Context) error {
		return &service.Error{Name: service.NotFoundError, Message: "Unknown auth provider '" + c.Param("provider") + "'", Cause: echo.ErrNotFound}
	}
	router.Any("/:provider", unknown)
	router.Any("/:provider/*", unknown)
	return nil
}

// mount adds the routes of a provider below its id.
func (p *portal) mount(router *echo.Group, id string, register func(*echo.Group) error) error {
	g := router.Group("/" + id)
	if !p.base.Config.Has(providersKey + "." + id) {
		none := func(echo.Context) error {
			return service.NotFoundError.Errorf("No auth provider registered for '%s'", id)
		}
		g.Any("", none)
		g.Any("/*", none)
		return nil
	}
	p.base.Log.Info("Configuring auth provider: " + id)
	return register(g)
}

// environment is what a provider is made of whose configuration is at the key.
func (p *portal) environment(key string) Environment {
	e := p.base
	e.Key = key
	return e
}

// identify finds out who of the portal has logged in, and issues a token.
func (p *portal) identify(ctx context.Context, resolvers []SignInResolver, login Login) (*backstageIdentity, error) {
	identity, err := resolve(ctx, resolvers, login, p.users)
	if err != nil {
		return nil, err
	}
	return p.issuer.issue(ctx, identity)
}

// noStore keeps an answer with secrets out of caches.
func noStore(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "no-store")
		return next(c)
	}
}

// identityRoutes tell who issues tokens, by which keys, and for whom.
type identityRoutes struct {
	issuer *issuer
	auth   service.HTTPAuth
	server *authServer // or nil
}

func (r identityRoutes) register(router *echo.Group) {
	router.GET("/.well-known/jwks.json", r.keys)
	router.GET("/.well-known/openid-configuration", r.configuration)
	router.GET("/v1/userinfo", r.userInfo, noStore)
}

func (r identityRoutes) keys(c echo.Context) error {
	list, err := r.issuer.keys.PublicKeys(c.Request().Context())
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	return c.JSON(http.StatusOK, map[string]any{"keys": list})
}

// configuration is that of OpenID Connect Discovery 1.0.
func (r identityRoutes) configuration(c echo.Context) error {
	url := r.issuer.url()
	found := map[string]any{
		"issuer":                                url,
		"token_endpoint":                        url + "/v1/token",
		"userinfo_endpoint":                     url + "/v1/userinfo",
		"jwks_uri":                              url + "/.well-known/jwks.json",
		"authorization_endpoint":                url + "/v1/authorize",
		"response_types_supported":              []string{"code", "id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"},
		"scopes_supported":                      []string{defaultScope},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"claims_supported":                      []string{"sub", "ent"},
		"grant_types_supported":                 []string{grantCode},
		"code_challenge_methods_supported":      []string{challengeMethod},
	}
	if r.server != nil {
		found["revocation_endpoint"] = url + "/v1/revoke"
	}
	if r.server != nil && r.server.offline != nil {
		found["scopes_supported"] = []string{defaultScope, offlineScope}
		found["grant_types_supported"] = []string{grantCode, grantRefresh}
	}
	if r.server != nil && r.server.dynamic {
		found["registration_endpoint"] = url + "/v1/register"
	}
	if r.server != nil && r.server.documents != nil {
		found["client_id_metadata_document_supported"] = true
		found["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic", "client_secret_post", "none"}
	}
	return c.JSON(http.StatusOK, found)
}

func (r identityRoutes) userInfo(c echo.Context) error {
	request := c.Request().Clone(c.Request().Context())
	request.Header.Del("Cookie") // limited tokens are good here, but not if browsers send them by themselves
	user, err := r.auth.Credentials(request, service.AllowUser, service.AllowService, service.AllowNone, service.AllowLimitedUser)
	if err != nil {
		return err
	}
	switch user.Kind {
	case service.AllowUser:
	case service.AllowNone:
		return service.AuthenticationError.Errorf("No token provided")
	default:
		return service.InputError.Errorf("Userinfo endpoint must be called with a token that represents a user principal")
	}
	info, err := r.issuer.info(c.Request().Context(), user.Subject)
	if isNotFound(err) {
		return c.String(http.StatusNotFound, err.Error())
	}
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, info)
}
