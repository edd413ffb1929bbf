package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/auth/internal/clients"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/egress"
)

const (
	sessionLifetime = time.Hour
	codeLifetime    = 10 * time.Minute
	maxTokenRequest = 64 << 10
	maxClientName   = 200
	maxRedirectURIs = 20
	responseCode    = "code"
	challengeMethod = "S256"
	defaultScope    = "openid"
	cliPath         = "/.well-known/oauth-client/cli.json"
	cliRedirect     = "http://127.0.0.1:8055/callback"
)

// clientSettings are what the configuration says of one kind of clients.
type clientSettings struct {
	Enabled                    bool
	AllowedClientIDPatterns    []string `config:"allowedClientIdPatterns"`
	AllowedRedirectURIPatterns []string `config:"allowedRedirectUriPatterns"`
}

// authServer is an OAuth authorization server, by which programs get tokens of users who agree to that in the frontend: command-line tools
// and clients of MCP.
type authServer struct {
	issuer    *issuer
	users     Users
	auth      service.HTTPAuth
	appURL    string
	store     authStore
	clock     clockwork.Clock
	log       *slog.Logger
	dynamic   bool // clients may register
	redirects []clients.Pattern

	offline           *offlineSessions   // nil unless there are refresh tokens
	documents         *clients.Documents // nil unless clients may be known by documents
	documentRedirects []clients.Pattern
}

// newAuthServer makes the server, or nil if the configuration allows no clients.
func newAuthServer(p *portal, s settings, d deps) (*authServer, error) {
	dynamic, documents := s.DynamicClientRegistration, s.ClientIDMetadataDocuments
	if !d.Config.Has(settingsKey + ".clientIdMetadataDocuments") {
		documents = s.ExperimentalClientIDMetadataDocuments
	}
	if !dynamic.Enabled && !documents.Enabled {
		return nil, nil
	}
	a := &authServer{issuer: p.issuer, users: p.users, auth: d.HTTPAuth, appURL: p.appURL, store: authStore{d.DB, d.Clock}, clock: d.Clock, log: d.Log, dynamic: dynamic.Enabled}
	if dynamic.AllowedRedirectURIPatterns == nil {
		dynamic.AllowedRedirectURIPatterns = append(clients.Loopback(), "cursor://*", "https://www.cursor.com/*")
	}
	if documents.AllowedRedirectURIPatterns == nil {
		documents.AllowedRedirectURIPatterns = clients.Loopback()
	}
	if documents.AllowedClientIDPatterns == nil {
		documents.AllowedClientIDPatterns = []string{"https://claude.ai/*", "https://vscode.dev/*", "https://chatgpt.com/oauth/codex/*/client.json"}
	}
	if s.RefreshToken.Enabled {
		if err := s.RefreshToken.check(); err != nil {
			return nil, err
		}
		a.offline = &offlineSessions{s.RefreshToken, d.DB, d.Clock}
	}
	var err error
	if a.redirects, err = clients.ParsePatterns(dynamic.AllowedRedirectURIPatterns); err != nil {
		return nil, fmt.Errorf("auth: configuration key auth.experimentalDynamicClientRegistration.allowedRedirectUriPatterns: %w", err)
	}
	if a.documentRedirects, err = clients.ParsePatterns(documents.AllowedRedirectURIPatterns); err != nil {
		return nil, fmt.Errorf("auth: configuration key auth.clientIdMetadataDocuments.allowedRedirectUriPatterns: %w", err)
	}
	if documents.Enabled {
		recorded := func(p egress.Policy) http.RoundTripper { return d.Telemetry.Transport(egress.NewTransport(p)) }
		if a.documents, err = clients.NewDocuments(documents.AllowedClientIDPatterns, recorded); err != nil {
			return nil, fmt.Errorf("auth: configuration key auth.clientIdMetadataDocuments.allowedClientIdPatterns: %w", err)
		}
	}
	return a, nil
}

func (a *authServer) close() {
	if a != nil && a.documents != nil {
		a.documents.Close()
	}
}

func (a *authServer) register(router *echo.Group) {
	router.GET("/v1/authorize", a.authorize, noStore)
	router.GET("/v1/sessions/:id", a.answer(a.session), noStore)
	router.POST("/v1/sessions/:id/approve", a.answer(a.approve), noStore)
	router.POST("/v1/sessions/:id/reject", a.answer(a.reject), noStore)
	router.POST("/v1/token", a.answer(a.token), noStore)
	router.POST("/v1/revoke", a.answer(a.revoke), noStore)
	if a.dynamic {
		router.POST("/v1/register", a.answer(a.registerClient), noStore)
	}
	if a.documents != nil {
		router.GET(cliPath, a.cli)
	}
}

// oauthError is an error in the form of OAuth (RFC 6749, section 5.2).
type oauthError struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// Error is the description.
func (e *oauthError) Error() string { return e.Description }

func invalidGrant(description string) error {
	return &oauthError{http.StatusBadRequest, "invalid_grant", description}
}

func invalidRequest(description string) error {
	return &oauthError{http.StatusBadRequest, "invalid_request", description}
}

// answer has the errors of a handler answered in the form of OAuth.
func (a *authServer) answer(handle echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := handle(c)
		var told *oauthError
		var named *service.Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &told):
		case errors.As(err, &named) && (named.Name == service.InputError || named.Name == service.NotFoundError):
			told = &oauthError{http.StatusBadRequest, "invalid_request", named.Message}
		case errors.As(err, &named) && named.Name == service.AuthenticationError:
			told = &oauthError{http.StatusUnauthorized, "invalid_token", named.Message}
		case errors.As(err, &named) && named.Name == service.NotAllowedError:
			told = &oauthError{http.StatusForbidden, "access_denied", named.Message}
		default:
			a.log.ErrorContext(c.Request().Context(), "The authorization server has failed", "error", err)
			told = &oauthError{http.StatusInternalServerError, "server_error", "An internal error occurred"}
		}
		return c.JSON(told.status, told)
	}
}

// client is a program that asks for tokens.
type client struct {
	id, name     string
	redirectURIs []string
	secret       string // hashed; empty for those that can't keep one
}

// client finds a client. Errors are InputErrors.
func (a *authServer) client(ctx context.Context, id string) (client, error) {
	if a.documents != nil && id == a.issuer.url()+cliPath {
		return client{id: id, name: cliName, redirectURIs: []string{cliRedirect}}, nil
	}
	if clients.IsDocument(id) {
		if a.documents == nil {
			return client{}, service.InputError.Errorf("Client ID metadata documents not enabled")
		}
		m, err := a.documents.Fetch(ctx, id)
		return client{id: id, name: m.ClientName, redirectURIs: m.RedirectURIs}, err
	}
	if a.dynamic {
		found, err := a.store.client(ctx, id)
		if !isNotFound(err) {
			return found, err
		}
	}
	return client{}, service.InputError.Errorf("Invalid client_id")
}

// checkRedirect tells whether users may be sent back there.
func (a *authServer) checkRedirect(c client, uri string) error {
	refused := service.InputError.Errorf("Invalid redirect_uri")
	if _, err := clients.ParseRedirect(uri); err != nil {
		return refused
	}
	if c.secret != "" {
		if !slices.Contains(c.redirectURIs, uri) {
			return refused
		}
		return nil
	}
	if clients.CheckRedirect(uri, a.documentRedirects) != nil || !clients.Registered(uri, c.redirectURIs) {
		return refused
	}
	return nil
}

// challenge is what a code challenge of S256 looks like.
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// authorize begins an authorization, and has the user asked in the frontend. Its errors never send the browser to where the client wants.
func (a *authServer) authorize(c echo.Context) error {
	ctx := c.Request().Context()
	s := authSession{
		ID: uuid.NewString(), ClientID: c.QueryParam("client_id"), RedirectURI: c.QueryParam("redirect_uri"), ResponseType: c.QueryParam("response_type"),
		Scope: c.QueryParam("scope"), State: c.QueryParam("state"), Nonce: c.QueryParam("nonce"), Challenge: c.QueryParam("code_challenge"),
		ChallengeMethod: c.QueryParam("code_challenge_method"), Status: statusPending, ExpiresAt: a.clock.Now().Add(sessionLifetime).UTC(),
	}
	for name, value := range map[string]string{"client_id": s.ClientID, "redirect_uri": s.RedirectURI, "response_type": s.ResponseType} {
		if value == "" {
			return service.InputError.Errorf("The parameter %s is missing", name)
		}
	}
	if len(s.ClientID) > maxParameter || len(s.Nonce) > maxParameter || len(s.Scope) > maxState || len(s.State) > maxState || len(s.RedirectURI) > maxState {
		return service.InputError.Errorf("A parameter is too long")
	}
	if s.ResponseType != responseCode {
		return service.InputError.Errorf("Only authorization code flow is supported")
	}
	found, err := a.client(ctx, s.ClientID)
	if err != nil {
		return err
	}
	if err := a.checkRedirect(found, s.RedirectURI); err != nil {
		return err
	}
	switch {
	case s.Challenge == "" && found.secret == "":
		return service.InputError.Errorf("PKCE is required for public clients. Provide a code_challenge parameter.")
	case s.Challenge != "" && s.ChallengeMethod != challengeMethod:
		return service.InputError.Errorf("Invalid code_challenge_method; it must be S256")
	case s.Challenge != "" && !challenge.MatchString(s.Challenge):
		return service.InputError.Errorf("Invalid code_challenge")
	}
	if err := a.store.addSession(ctx, &s); err != nil {
		return err
	}
	return c.Redirect(http.StatusFound, strings.TrimSuffix(a.appURL, "/")+"/oauth2/authorize/"+s.ID)
}

// session tells the frontend who asks for what.
func (a *authServer) session(c echo.Context) error {
	s, err := a.store.pending(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	found, err := a.client(c.Request().Context(), s.ClientID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		ID          string `json:"id"`
		ClientID    string `json:"clientId"`
		ClientName  string `json:"clientName"`
		Scope       string `json:"scope,omitempty"`
		RedirectURI string `json:"redirectUri"`
	}{s.ID, s.ClientID, found.name, s.Scope, s.RedirectURI})
}

// user is who agrees or refuses: in person, not by a plugin that acts for them.
func (a *authServer) user(c echo.Context) (string, error) {
	user, err := a.auth.Credentials(c.Request())
	if err != nil {
		return "", err
	}
	if user.Kind != service.AllowUser || user.Actor != "" {
		return "", service.NotAllowedError.Errorf("Authentication required")
	}
	return user.Subject, nil
}

// approve lets the client have a code, with which it gets a token.
func (a *authServer) approve(c echo.Context) error {
	ctx := c.Request().Context()
	user, err := a.user(c)
	if err != nil {
		return err
	}
	s, err := a.store.pending(ctx, c.Param("id"))
	if err != nil {
		return err
	}
	code := newSecret()
	if err := a.store.approve(ctx, s, user, authCode{Hash: hashed(code), SessionID: s.ID, ExpiresAt: a.clock.Now().Add(codeLifetime).UTC()}); err != nil {
		return err
	}
	a.log.InfoContext(ctx, "A user lets a client act for them", "user", user, "client", s.ClientID, "scope", s.Scope)
	return sendBack(c, s, url.Values{responseCode: {code}})
}

func (a *authServer) reject(c echo.Context) error {
	user, err := a.user(c)
	if err != nil {
		return err
	}
	s, err := a.store.pending(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	if err := a.store.decide(c.Request().Context(), a.store.db, s.ID, user, statusRejected); err != nil {
		return err
	}
	return sendBack(c, s, url.Values{"error": {"access_denied"}, "error_description": {"User denied the request"}})
}

// sendBack tells the frontend where the browser goes.
func sendBack(c echo.Context, s authSession, params url.Values) error {
	to, err := url.Parse(s.RedirectURI)
	if err != nil {
		return fmt.Errorf("auth: the redirect URI of a session: %w", err)
	}
	query := to.Query()
	for name, values := range params {
		query[name] = values
	}
	if s.State != "" {
		query.Set("state", s.State)
	}
	to.RawQuery = query.Encode()
	return c.JSON(http.StatusOK, map[string]string{"redirectUrl": to.String()})
}

// registerClient registers a client by itself (RFC 7591).
func (a *authServer) registerClient(c echo.Context) error {
	var body struct {
		Name         string   `json:"client_name"`
		RedirectURIs []string `json:"redirect_uris"`
		Scope        string   `json:"scope"`
	}
	if err := json.NewDecoder(io.LimitReader(c.Request().Body, maxTokenRequest)).Decode(&body); err != nil {
		return invalidRequest("The request is not JSON")
	}
	if len(body.Name) > maxClientName || len(body.RedirectURIs) > maxRedirectURIs || len(body.Scope) > maxState {
		return invalidRequest("The request has a name that is too long, or too many redirect URIs")
	}
	if len(body.RedirectURIs) == 0 {
		return invalidRequest("The request has no redirect_uris")
	}
	for _, uri := range body.RedirectURIs {
		if len(uri) > maxState || clients.CheckRedirect(uri, a.redirects) != nil {
			return invalidRequest("Invalid redirect_uri")
		}
	}
	if body.Name == "" {
		body.Name = cliName
	}
	secret := newSecret()
	registered := client{id: uuid.NewString(), name: body.Name, redirectURIs: body.RedirectURIs, secret: hashed(secret)}
	if err := a.store.addClient(c.Request().Context(), registered, body.Scope); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, map[string]any{"client_id": registered.id, "client_secret": secret, "redirect_uris": registered.redirectURIs})
}

const cliName = "Backstage CLI"

// cli is the document of the command-line tool of Backstage.
func (a *authServer) cli(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{
		"client_id": a.issuer.url() + cliPath, "client_name": cliName, "redirect_uris": []string{cliRedirect}, "response_types": []string{responseCode},
		"grant_types": []string{grantCode}, "token_endpoint_auth_method": "none", "scope": defaultScope + " " + offlineScope,
	})
}
