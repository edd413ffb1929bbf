package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/plugins/auth/internal/flow"
	"github.com/portico-dev/portico/service"
)

// FormProvider sends users to sign in elsewhere, from where their browsers come back with a form, as SAML has it. There are no tokens: to sign
// in again, users go there again.
type FormProvider struct {
	// ID names the provider: its routes are below /api/auth/<ID>, its configuration is auth.providers.<ID>.
	ID string
	// New makes the authenticator, once, when the plugin starts. An error keeps the plugin from starting.
	New func(Environment) (FormAuthenticator, error)
	// SignIn is the resolver if the configuration names none.
	SignIn SignInResolver
	// Resolvers are further resolvers that the configuration may name, beside those for all providers.
	Resolvers map[string]ResolverFactory
}

// FormAuthenticator signs users in by forms. Safe for concurrent use. The message of an error that is a *service.Error is shown to the user,
// that of others is logged.
type FormAuthenticator interface {
	// Start tells where the browser goes to sign in.
	Start(ctx context.Context, a FormAttempt) (url string, err error)
	// Authenticate tells who has come back. The form must be an answer to the attempt.
	Authenticate(ctx context.Context, a FormAttempt, form url.Values) (Login, error)
}

// FormAttempt is what the start and the end of a sign-in have in common.
type FormAttempt struct {
	// ID names the attempt to the provider. Only the browser that has started it can end it, once. It is a name in XML.
	ID string
	// CallbackURL is where the provider sends the browser back.
	CallbackURL string
}

// formRoutes are the routes of a provider whose users come back with forms.
type formRoutes struct {
	*portal
	id            string
	authenticator FormAuthenticator
	resolvers     []SignInResolver
	cookies       flow.Cookies
}

const (
	maxForm = 512 << 10
	// againParam marks the form that the browser has sent again.
	againParam = "again"
)

func (p *portal) registerForm(g *echo.Group, provider FormProvider) error {
	env := p.environment(providersKey + "." + provider.ID)
	resolvers, err := p.added.requiredResolvers(env, provider.Resolvers, provider.SignIn)
	if err != nil {
		return err
	}
	authenticator, err := provider.New(env)
	if err != nil {
		return fmt.Errorf("auth: provider %s: %w", provider.ID, err)
	}
	r := &formRoutes{p, provider.ID, authenticator, resolvers, flow.Cookies{Provider: provider.ID}}
	g.GET("/start", r.start, noStore)
	g.POST("/handler/frame", r.frame, noStore)
	g.POST("/logout", r.logout, noStore)
	return nil
}

// attempt is what the provider knows of the attempt.
func (r *formRoutes) attempt(a flow.Attempt) (FormAttempt, flow.Place, error) {
	callback := r.issuer.url() + "/" + r.id + "/handler/frame"
	parsed, err := url.Parse(callback)
	if err != nil {
		return FormAttempt{}, flow.Place{}, fmt.Errorf("auth: the callback URL of provider %s: %w", r.id, err)
	}
	// The cookie is for requests from here only, whatever the origin of the frontend.
	return FormAttempt{ID: "_" + a.Nonce(), CallbackURL: callback}, flow.Place{Callback: parsed, AppOrigin: callback}, nil
}

// start sends the browser to the provider.
func (r *formRoutes) start(c echo.Context) error {
	begun := flow.NewAttempt()
	attempt, place, err := r.attempt(begun)
	if err != nil {
		return err
	}
	to, err := r.authenticator.Start(c.Request().Context(), attempt)
	if err != nil {
		return fmt.Errorf("auth: starting a sign-in with provider %s: %w", r.id, err)
	}
	r.cookies.SetAttempt(c.Response(), c.Request(), place, begun.Cookie())
	return c.Redirect(http.StatusFound, to)
}

// frame is where the browser comes back.
func (r *formRoutes) frame(c echo.Context) error {
	c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, maxForm)
	if err := c.Request().ParseForm(); err != nil {
		return service.InputError.Errorf("The form can't be read, or is larger than %d bytes", maxForm)
	}
	// Browsers leave the cookie out of a form that a page of the provider has them post.
	if r.cookies.Attempt(c.Request()) == "" && c.QueryParam(againParam) == "" {
		return flow.SendAgain(c.Response(), "?"+againParam+"=1", c.Request().PostForm)
	}
	answer, err := r.finish(c)
	result := message{Type: messageType, Response: answer}
	if err != nil {
		result = r.failure(c.Request().Context(), r.id, err)
	}
	return flow.WriteMessage(c.Response(), r.origins.App(), result)
}

// finish signs in who has come back. An attempt is good for one sign-in.
func (r *formRoutes) finish(c echo.Context) (*session, error) {
	ctx, cookie := c.Request().Context(), r.cookies.Attempt(c.Request())
	begun, err := flow.ResumeAttempt(cookie)
	if err != nil {
		return nil, service.NotAllowedError.Errorf("This browser has not started a sign-in, or too long ago")
	}
	attempt, place, err := r.attempt(begun)
	if err != nil {
		return nil, err
	}
	r.cookies.SetAttempt(c.Response(), c.Request(), place, "")
	login, err := r.authenticator.Authenticate(ctx, attempt, c.Request().PostForm)
	if err != nil {
		return nil, err
	}
	if err := r.useUp(ctx, attempt.ID); err != nil {
		return nil, err
	}
	identity, err := r.identify(ctx, r.resolvers, login)
	if err != nil {
		return nil, err
	}
	return &session{Profile: login.Profile, ProviderInfo: struct{}{}, BackstageIdentity: identity}, nil
}

// logout has nothing to end: the frontend forgets the token.
func (r *formRoutes) logout(c echo.Context) error {
	if err := fromScript(c.Request()); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// usedAttempt is an attempt that somebody has signed in by, on any replica.
type usedAttempt struct {
	bun.BaseModel `bun:"table:used_attempts"`

	ID     string    `bun:"id,pk"`
	UsedAt time.Time `bun:"used_at"`
}

// useUp lets an attempt sign in once. Those whose cookies have expired long ago are forgotten.
func (r *formRoutes) useUp(ctx context.Context, id string) error {
	db, now := r.issuer.db, r.base.Clock.Now().UTC()
	if _, err := db.NewDelete().Model((*usedAttempt)(nil)).Where("used_at < ?", now.Add(-24*time.Hour)).Exec(ctx); err != nil {
		return fmt.Errorf("auth: forgetting attempts to sign in: %w", err)
	}
	result, err := db.NewInsert().Model(&usedAttempt{ID: id, UsedAt: now}).Ignore().Exec(ctx)
	if err != nil {
		return fmt.Errorf("auth: recording an attempt to sign in: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return service.NotAllowedError.Errorf("This sign-in has been used already")
	}
	return nil
}
