package httprouter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

const apiPrefix = "/api/"

// mount is the part of the routes that belongs to one plugin. It has an Echo of its own, so that the routes of one plugin can be registered
// while others serve.
type mount struct {
	server   *Server
	id       string
	prefix   string // "/api/<id>"
	echo     *echo.Echo
	limiter  *limiter // nil without a limit of the plugin's own
	policies policies
	early    atomic.Pointer[map[route]echo.HandlerFunc]
	log      atomic.Pointer[slog.Logger]

	mu    sync.Mutex // guards what follows, and changes of early
	group *echo.Group
	auth  service.HTTPAuth
}

// route is what a handler of [Server.Handle] is for. The path is relative to those of the plugin.
type route struct{ method, path string }

// mount returns the part of a plugin, and makes it when there is none yet.
func (s *Server) mount(id string) *mount {
	if m, ok := s.mounts.Load(id); ok {
		return m.(*mount)
	}
	m := &mount{server: s, id: id, prefix: apiPrefix + id, echo: echo.New()}
	m.limiter = s.newLimiter(s.settings.pluginLimits[id], id)
	m.log.Store(s.log.With("plugin", id))
	m.early.Store(&map[route]echo.HandlerFunc{})
	m.echo.IPExtractor = s.settings.clientIP
	m.echo.HTTPErrorHandler = m.handleRouteError
	m.echo.Use(decodeParams)
	if s.observer != nil {
		m.echo.Use(noteRoute)
	}
	actual, _ := s.mounts.LoadOrStore(id, m)
	return actual.(*mount)
}

// newGroup makes the group that a plugin registers its routes in.
func newGroup(metadata plugin.Metadata, server *Server, auth service.HTTPAuth, log *slog.Logger) (*echo.Group, error) {
	m := server.mount(metadata.ID)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.group != nil {
		return nil, fmt.Errorf("httprouter: plugin %s has its routes already", metadata.ID)
	}
	m.log.Store(log)
	m.auth = auth
	m.group = m.echo.Group(m.prefix)
	return m.group, nil
}

// newPolicies gives a plugin the policies of its routes.
func newPolicies(metadata plugin.Metadata, server *Server) service.AuthPolicies {
	return &server.mount(metadata.ID).policies
}

// Handle has the handler serve one path of a plugin, without waiting for the plugin's start and without asking for credentials: for services
// that talk to other plugins on behalf of it ("/.backstage/auth/v1/jwks.json"). The path is relative to the plugin's routes and has no
// parameters. A later handler for the same method and path replaces it.
func (s *Server) Handle(pluginID, method, path string, handler echo.HandlerFunc) {
	m := s.mount(pluginID)
	m.mu.Lock()
	defer m.mu.Unlock()
	early := maps.Clone(*m.early.Load())
	early[route{method, path}] = handler
	m.early.Store(&early)
}

// fallback serves what no route of the backend itself matches.
func (s *Server) fallback(c echo.Context) error {
	r := c.Request()
	path := echo.GetPath(r)
	if path == "/api" || strings.HasPrefix(path, apiPrefix) {
		id, _, _ := strings.Cut(strings.TrimPrefix(path, apiPrefix), "/")
		return s.dispatch(c, id, r)
	}
	if _, ok := s.instance.Plugin(indexPlugin); !ok {
		return echo.ErrNotFound
	}
	below := *r
	below.URL = new(url.URL)
	*below.URL = *r.URL
	below.URL.Path = apiPrefix + indexPlugin + "/" + strings.TrimPrefix(r.URL.Path, "/")
	if r.URL.RawPath != "" {
		below.URL.RawPath = apiPrefix + indexPlugin + "/" + strings.TrimPrefix(r.URL.RawPath, "/")
	}
	return s.dispatch(c, indexPlugin, &below)
}

// dispatch has a plugin serve a request. The context is that of the backend's Echo.
func (s *Server) dispatch(c echo.Context, id string, r *http.Request) error {
	if m, ok := s.mounts.Load(id); ok {
		m.(*mount).serve(c, r)
		return nil
	}
	if _, ok := s.instance.Plugin(id); !ok {
		return echo.ErrNotFound
	}
	if err := s.awaitPlugin(r.Context(), id); err != nil {
		return err
	}
	// A plugin may have got its routes while the request was waiting.
	if m, ok := s.mounts.Load(id); ok {
		m.(*mount).serve(c, r)
		return nil
	}
	return echo.ErrNotFound
}

// awaitPlugin lets requests pass to a plugin that runs, and holds back for a while those to one that is starting.
func (s *Server) awaitPlugin(ctx context.Context, id string) error {
	status, ok := s.instance.Plugin(id)
	if !ok {
		return echo.ErrNotFound
	}
	state := status.State
	if state == service.StateStarting {
		wait, cancel := context.WithTimeout(ctx, s.settings.startupPause)
		defer cancel()
		var err error
		if state, err = s.instance.Await(wait, id); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return service.ServiceUnavailableError.Errorf("Service has not started up yet")
		}
	}
	switch state {
	case service.StateRunning:
		return nil
	case service.StateStopping, service.StateStopped:
		return service.ServiceUnavailableError.Errorf("Service is shutting down")
	case service.StateStarting:
		return service.ServiceUnavailableError.Errorf("Service has not started up yet")
	default:
		return service.ServiceUnavailableError.Errorf("Service has failed to start")
	}
}

// serve serves a request to the plugin. The context is that of the backend's Echo: the plugin's own must not be touched before it has all
// of its routes.
func (m *mount) serve(c echo.Context, r *http.Request) {
	c.SetRequest(r)
	if m.server.observer != nil {
		m.server.observer.notePlugin(r, m.id)
	}
	if err := m.handle(c, r); err != nil {
		m.handleError(err, c)
	}
}

func (m *mount) handleError(err error, c echo.Context) {
	m.server.handleError(err, c, m.prefix, m.log.Load())
}

// decodeParams decodes the parameters of paths as Express does: Echo leaves them encoded where a path is not encoded in the usual way, as
// "jane%2Edoe" is not. The rest of a path ("*") stays as it is, since its encoded slashes don't part it. As there, a parameter is one part of the
// path, which Echo lets be empty or go on over slashes. What is not text is refused: databases don't take it.
func decodeParams(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if path := c.Request().URL.Path; !utf8.ValidString(path) || strings.Contains(path, "\x00") {
			return service.InputError.Errorf("The path is not text in UTF-8")
		}
		values := c.ParamValues() // those of the context, not copies
		for i, value := range values {
			if c.ParamNames()[i] == "*" {
				continue
			}
			if value == "" || strings.Contains(value, "/") {
				return echo.ErrNotFound
			}
			if c.Request().URL.RawPath == "" {
				continue
			}
			decoded, err := url.PathUnescape(value)
			if err != nil { // the path has been parsed, so that it can't be
				return service.InputError.Errorf("The path can't be read: %w", err)
			}
			values[i] = decoded
		}
		return next(c)
	}
}

// handleRouteError is the error handler of the plugin's Echo. As Express does, and Echo does not, it lets a route serve its path with and
// without a slash at the end, and one for GET serve HEAD.
func (m *mount) handleRouteError(err error, c echo.Context) {
	r := c.Request()
	if !unmatched(err) || c.Response().Committed {
		m.handleError(err, c)
		return
	}
	if r.Context().Value(otherSlashKey{}) == nil {
		if other, ok := m.otherSlash(r); ok {
			m.echo.ServeHTTP(c.Response(), other)
			return
		}
	}
	if r.Method == http.MethodHead {
		get := r.WithContext(r.Context())
		get.Method = http.MethodGet // the body is left out by the server
		m.echo.ServeHTTP(c.Response(), get)
		return
	}
	m.handleError(err, c)
}

// unmatched tells whether no route has matched, as far as Echo's error tells.
func unmatched(err error) bool {
	return errors.Is(err, echo.ErrNotFound) || errors.Is(err, echo.ErrMethodNotAllowed)
}

// otherSlashKey is the key of the URL that was asked for.
type otherSlashKey struct{}

// otherSlash is the request with its path without the slash at the end, or with one if the path is the plugin's root.
func (m *mount) otherSlash(r *http.Request) (*http.Request, bool) {
	path := r.URL.Path + "/"
	if r.URL.Path != m.prefix {
		var found bool
		if path, found = strings.CutSuffix(r.URL.Path, "/"); !found {
			return nil, false
		}
	}
	other := r.WithContext(context.WithValue(r.Context(), otherSlashKey{}, r.URL))
	other.URL = new(url.URL)
	*other.URL = *r.URL
	other.URL.Path = path
	other.URL.RawPath = strings.TrimSuffix(r.URL.RawPath, "/")
	return other, true
}

func (m *mount) handle(c echo.Context, r *http.Request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = contain(v)
		}
	}()
	if m.limiter != nil {
		answered, err := m.limiter.take(c.Response(), r)
		if answered == nil {
			return err
		}
		defer func() { answered(c.Response().Status) }()
	}
	path := strings.TrimPrefix(echo.GetPath(r), m.prefix)
	own := route{r.Method, strings.TrimSuffix(path, "/")}
	if own.method == http.MethodHead {
		own.method = http.MethodGet // the body is left out by the server
	}
	if h, ok := (*m.early.Load())[own]; ok {
		if m.server.observer != nil {
			m.server.observer.noteRoute(r, m.prefix+own.path)
		}
		return h(c)
	}
	if err := m.server.awaitPlugin(r.Context(), m.id); err != nil {
		return err
	}
	if m.group == nil {
		return echo.ErrNotFound
	}
	if err := m.admit(r, path); err != nil {
		return err
	}
	switch own {
	case route{http.MethodGet, cookiePath}:
		return m.issueCookie(c, r)
	case route{http.MethodDelete, cookiePath}:
		return m.removeCookie(c, r)
	}
	m.echo.ServeHTTP(c.Response(), r)
	return nil
}

// admit refuses requests without the credentials that the path needs.
func (m *mount) admit(r *http.Request, path string) error {
	if m.server.settings.open || m.policies.unauthenticated.match(path) {
		return nil
	}
	allow := []service.PrincipalKind{service.AllowUser, service.AllowService}
	if m.policies.userCookie.match(path) {
		allow = append(allow, service.AllowLimitedUser)
	}
	who, err := m.auth.Credentials(r, allow...)
	if m.server.observer != nil && err == nil {
		m.server.observer.noteCaller(r, who)
	}
	return err
}
