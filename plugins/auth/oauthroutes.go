package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/auth/internal/flow"
	"github.com/portico-dev/portico/plugins/auth/internal/origin"
	"github.com/portico-dev/portico/service"
)

// oauthRoutes are the routes of an OAuth provider, with its environments by their names.
type oauthRoutes map[string]*oauthEnvironment

// oauthEnvironment is an OAuth provider in one environment.
type oauthEnvironment struct {
	*portal
	id            string
	name          string
	settings      oauthSettings
	scopes        Scopes
	authenticator OAuthAuthenticator
	resolvers     []SignInResolver
	cookies       flow.Cookies
	refreshes     *refreshes
}

func (p *portal) registerOAuth(g *echo.Group, provider OAuthProvider) error {
	key := providersKey + "." + provider.ID
	var configured map[string]any
	if err := p.base.Config.Decode(key, &configured); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	routes := oauthRoutes{}
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		if _, ok := configured[name].(map[string]any); !ok {
			return fmt.Errorf("auth: configuration key %s.%s must have the settings of an environment, as in %s.development.clientId", key, name, key)
		}
		environment, err := p.oauthEnvironment(provider, name)
		if err != nil {
			return err
		}
		routes[name] = environment
	}
	g.GET("/start", routes.in((*oauthEnvironment).start), noStore)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		g.Add(method, "/handler/frame", routes.in((*oauthEnvironment).frame), noStore)
		g.Add(method, "/refresh", routes.in((*oauthEnvironment).refresh), noStore)
	}
	g.POST("/logout", routes.in((*oauthEnvironment).logout), noStore)
	return nil
}

func (p *portal) oauthEnvironment(provider OAuthProvider, name string) (*oauthEnvironment, error) {
	env := p.environment(providersKey + "." + provider.ID + "." + name)
	settings, err := readOAuthSettings(env)
	if err != nil {
		return nil, err
	}
	resolvers, err := p.added.signInResolvers(env, provider.Resolvers, provider.SignIn)
	if err != nil {
		return nil, err
	}
	authenticator, err := provider.New(env)
	if err != nil {
		return nil, fmt.Errorf("auth: provider %s: %w", provider.ID, err)
	}
	return &oauthEnvironment{
		portal: p, id: provider.ID, name: name, settings: settings, scopes: provider.Scopes, authenticator: authenticator, resolvers: resolvers,
		cookies: flow.Cookies{Provider: provider.ID, Age: settings.SessionDuration}, refreshes: newRefreshes(p.base.Clock),
	}, nil
}

// in finds the environment that a request is for: the one that the query names, or else the state.
func (r oauthRoutes) in(handle func(*oauthEnvironment, echo.Context) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		name := c.QueryParam("env")
		if encoded := c.QueryParam("state"); name == "" && encoded != "" {
			state, err := flow.ParseState(encoded)
			if err != nil {
				return service.NotAllowedError.Errorf("%s", err)
			}
			name = state.Env
		}
		if name == "" {
			return service.InputError.Errorf("Must specify 'env' query to select environment")
		}
		environment, ok := r[name]
		if !ok {
			return service.NotFoundError.Errorf("No configuration available for the '%s' environment of this provider.", name)
		}
		return handle(environment, c)
	}
}

// callbackURL is where the provider sends browsers back.
func (e *oauthEnvironment) callbackURL() string {
	if e.settings.CallbackURL != "" {
		return e.settings.CallbackURL
	}
	return e.issuer.url() + "/" + e.id + "/handler/frame"
}

// place is where cookies are for, if the frontend is at the origin; an empty one is that of the app.
func (e *oauthEnvironment) place(appOrigin string) (flow.Place, error) {
	callback, err := url.Parse(e.callbackURL())
	if err != nil {
		return flow.Place{}, fmt.Errorf("auth: the callback URL of provider %s: %w", e.id, err)
	}
	if appOrigin == "" {
		appOrigin = e.origins.App()
	}
	return flow.Place{Callback: callback, AppOrigin: appOrigin}, nil
}

// allowedOrigin is the origin of a URL, if frontends may be there.
func (e *oauthEnvironment) allowedOrigin(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	found, err := origin.Of(text)
	if err != nil {
		return "", service.InputError.Errorf("App origin is invalid, failed to parse")
	}
	if !e.origins.Has(found) {
		return "", service.NotAllowedError.Errorf("Origin '%s' is not allowed", found)
	}
	return found, nil
}

func (e *oauthEnvironment) attempt(a flow.Attempt) OAuthAttempt {
	return OAuthAttempt{CallbackURL: e.callbackURL(), Nonce: a.Nonce(), Verifier: a.Verifier()}
}

const (
	flowRedirect = "redirect"
	flowPopup    = "popup"
)

// start sends the browser to the provider.
func (e *oauthEnvironment) start(c echo.Context) error {
	appOrigin, err := e.allowedOrigin(c.QueryParam("origin"))
	if err != nil {
		return err
	}
	state := flow.State{Env: e.name, Origin: appOrigin, RedirectURL: c.QueryParam("redirectUrl"), Flow: c.QueryParam("flow")}
	switch state.Flow {
	case "", flowPopup, flowRedirect:
	default:
		return service.InputError.Errorf("The flow is %q; it must be popup or redirect", state.Flow)
	}
	if state.RedirectURL != "" && !e.origins.HasURL(state.RedirectURL) {
		return service.NotAllowedError.Errorf("The redirectUrl is not at an allowed origin")
	}
	place, err := e.place(appOrigin)
	if err != nil {
		return err
	}
	granted := ""
	if e.scopes.Persist {
		granted = e.cookies.GrantedScope(c.Request())
	}
	scope := e.scope(c.QueryParam("scope"), granted)
	if e.scopes.Persist {
		state.Scope = scope
	}
	attempt := flow.NewAttempt()
	to, err := e.authenticator.Start(c.Request().Context(), OAuthStart{
		OAuthAttempt: e.attempt(attempt), Scope: scope, State: state.Encode(attempt), Query: c.QueryParams(),
	})
	if err != nil {
		return fmt.Errorf("auth: starting a sign-in with provider %s: %w", e.id, err)
	}
	e.cookies.SetAttempt(c.Response(), c.Request(), place, attempt.Cookie())
	c.Response().Header().Set("Content-Length", "0")
	return c.Redirect(http.StatusFound, to)
}

// frame is where the provider sends the browser back.
func (e *oauthEnvironment) frame(c echo.Context) error {
	state, err := flow.ParseState(c.QueryParam("state"))
	if err != nil {
		return flow.WriteMessage(c.Response(), e.origins.App(), e.failure(c.Request().Context(), e.id, service.NotAllowedError.Errorf("%s", err)))
	}
	appOrigin, err := e.allowedOrigin(state.Origin)
	if err != nil {
		return flow.WriteMessage(c.Response(), e.origins.App(), e.failure(c.Request().Context(), e.id, err))
	}
	if appOrigin == "" {
		appOrigin = e.origins.App()
	}
	attempt, err := e.resume(c.Request(), state)
	if err != nil { // nothing else in the state is to be believed
		return flow.WriteMessage(c.Response(), appOrigin, e.failure(c.Request().Context(), e.id, err))
	}
	answer, err := e.finish(c, state, attempt, appOrigin)
	redirect := state.Flow == flowRedirect
	if err == nil && redirect && !e.origins.HasURL(state.RedirectURL) {
		err, redirect = service.InputError.Errorf("No redirectUrl provided in request query parameters"), false
	}
	result := message{Type: messageType, Response: answer}
	if err != nil {
		result = e.failure(c.Request().Context(), e.id, err)
	}
	if !redirect || !e.origins.HasURL(state.RedirectURL) {
		return flow.WriteMessage(c.Response(), appOrigin, result)
	}
	to, err := url.Parse(state.RedirectURL)
	if err != nil {
		return fmt.Errorf("auth: the URL to return to: %w", err)
	}
	if result.Error != nil {
		query := to.Query()
		query.Set("error", result.Error.Message)
		to.RawQuery = query.Encode()
	}
	return c.Redirect(http.StatusFound, to.String())
}

// resume finds the attempt of the browser that the state belongs to.
func (e *oauthEnvironment) resume(r *http.Request, state flow.State) (flow.Attempt, error) {
	cookie := e.cookies.Attempt(r)
	if cookie == "" {
		return flow.Attempt{}, service.NotAllowedError.Errorf("Auth response is missing cookie nonce")
	}
	attempt, err := flow.ResumeAttempt(cookie)
	if err != nil || !state.Belongs(attempt) || state.Env != e.name {
		return flow.Attempt{}, service.NotAllowedError.Errorf("Invalid nonce")
	}
	return attempt, nil
}

// finish signs in who has come back. An attempt is good for one sign-in.
func (e *oauthEnvironment) finish(c echo.Context, state flow.State, attempt flow.Attempt, appOrigin string) (*session, error) {
	ctx, r, w := c.Request().Context(), c.Request(), c.Response()
	place, err := e.place(appOrigin)
	if err != nil {
		return nil, err
	}
	e.cookies.SetAttempt(w, r, place, "")
	login, err := e.authenticator.Authenticate(ctx, OAuthCallback{e.attempt(attempt), c.QueryParams()})
	if err != nil {
		return nil, err
	}
	scope := login.Scope
	if e.scopes.Persist {
		scope = state.Scope
	}
	answer, err := e.session(ctx, login, scope)
	if err != nil {
		return nil, err
	}
	if e.scopes.Persist {
		e.cookies.SetGrantedScope(w, r, place, scope)
	}
	if login.RefreshToken.Reveal() != "" {
		e.cookies.SetRefreshToken(w, r, place, login.RefreshToken.Reveal())
	}
	return answer, nil
}

// session is what the frontend gets of a login.
func (e *oauthEnvironment) session(ctx context.Context, login OAuthLogin, scope string) (*session, error) {
	s := &session{Profile: login.Profile, ProviderInfo: login.info(scope)}
	if len(e.resolvers) == 0 {
		return s, nil
	}
	var err error
	s.BackstageIdentity, err = e.identify(ctx, e.resolvers, login.Login)
	return s, err
}

// refresh signs in again by the cookie.
func (e *oauthEnvironment) refresh(c echo.Context) error {
	if err := fromScript(c.Request()); err != nil {
		return err
	}
	answer, err := e.renew(c)
	if err != nil {
		e.base.Log.InfoContext(c.Request().Context(), "A refresh failed", "provider", e.id, "environment", e.name, "error", reason(err))
		cause := "the log of the backend tells why"
		if named := (*service.Error)(nil); errors.As(err, &named) {
			cause = "caused by " + string(named.Name) + ": " + named.Message
		}
		return &service.Error{Name: service.AuthenticationError, Message: "Refresh failed; " + cause}
	}
	return c.JSON(http.StatusOK, answer)
}

func (e *oauthEnvironment) renew(c echo.Context) (*session, error) {
	ctx, r, w := c.Request().Context(), c.Request(), c.Response()
	token := service.NewToken(e.cookies.RefreshToken(r))
	if token.Reveal() == "" {
		return nil, service.InputError.Errorf("Missing session cookie")
	}
	place, err := e.place(r.Header.Get("Origin"))
	if err != nil {
		return nil, err
	}
	granted := ""
	if e.scopes.Persist {
		granted = e.cookies.GrantedScope(r)
	}
	scope := e.scope(c.QueryParam("scope"), granted)
	login, err := e.refreshes.do(ctx, OAuthRefresh{RefreshToken: token, Scope: scope, ScopeGranted: e.scopes.Persist && covers(granted, scope)},
		e.authenticator.Refresh)
	if err != nil {
		return nil, err
	}
	shown := login.Scope
	if e.scopes.Persist {
		shown = scope
	}
	answer, err := e.session(ctx, login, shown)
	// The provider may have replaced its token already, whatever comes of the rest.
	if replaced := login.RefreshToken.Reveal(); replaced != "" && replaced != token.Reveal() {
		e.cookies.SetRefreshToken(w, r, place, replaced)
	}
	if err == nil && e.scopes.Persist {
		e.cookies.SetGrantedScope(w, r, place, scope)
	}
	return answer, err
}

// logout ends the session.
func (e *oauthEnvironment) logout(c echo.Context) error {
	ctx, r, w := c.Request().Context(), c.Request(), c.Response()
	if err := fromScript(r); err != nil {
		return err
	}
	if from := r.Header.Get("Origin"); from != "" {
		if found, err := origin.Of(from); err != nil || !e.origins.Has(found) {
			return service.NotAllowedError.Errorf("Origin '%s' is not allowed", from)
		}
	}
	place, err := e.place(r.Header.Get("Origin"))
	if err != nil {
		return err
	}
	token := service.NewToken(e.cookies.RefreshToken(r))
	e.refreshes.forget(token)
	e.cookies.SetRefreshToken(w, r, place, "")
	e.cookies.SetGrantedScope(w, r, place, "")
	logouter, ok := e.authenticator.(OAuthLogouter)
	if !ok {
		return c.NoContent(http.StatusOK)
	}
	to, err := logouter.Logout(ctx, token)
	if err != nil {
		return fmt.Errorf("auth: signing out at provider %s: %w", e.id, err)
	}
	if u, err := url.Parse(to); to != "" && err == nil && (u.Scheme == "https" || u.Hostname() == "localhost") {
		return c.JSON(http.StatusOK, map[string]string{"logoutUrl": to})
	}
	return c.NoContent(http.StatusOK)
}
