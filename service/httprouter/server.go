package httprouter

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/health"
	"github.com/portico-dev/portico/service/telemetry"
)

//go:embed schema.json
var schema []byte

// indexPlugin serves the paths that belong to nobody else: the frontend.
const indexPlugin = "app"

// fallbackPath is the route of all that the backend itself has none for.
const fallbackPath = "/*"

// cutGrace is how long handlers may take to return once their requests have been cut.
const cutGrace = 2 * time.Second

var (
	errStopped = errors.New("httprouter: the server has stopped")

	jsonType     = []string{"application/json; charset=utf-8"}
	gzipEncoding = []string{"gzip"}
)

// Services are the root services [*Server] and *echo.Echo, and the plugin-scoped *echo.Group and service.AuthPolicies.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Server](newServer, service.Eager(), service.ConfigSchema(schema)),
		service.Root[*echo.Echo](echo.New),
		service.PerPlugin[*echo.Group](newGroup),
		service.PerPlugin[service.AuthPolicies](newPolicies),
	}
}

// Server owns the listener of a backend and dispatches requests. It listens from the OnStart of its fx.Lifecycle on. Safe for concurrent
// use.
type Server struct {
	settings settings
	config   service.Config
	instance service.Instance
	health   *health.Health
	echo     *echo.Echo
	observer *observer // nil if nobody wants to know
	log      *slog.Logger
	limiter  *limiter      // nil without a limit for all requests
	redis    *redis.Client // nil unless requests are counted there

	mounts  sync.Map // plugin id → *mount
	gzips   sync.Pool
	buffers sync.Pool

	http     *http.Server
	cut      context.CancelCauseFunc // ends the contexts of all requests
	inflight atomic.Int64
	streams  streams
	fresh    fresh

	local    atomic.Pointer[string] // the local URL
	mu       sync.Mutex
	listener net.Listener
	served   chan struct{} // closed when the server accepts no more
	stopping sync.Once
	stopErr  error
	endTLS   func() // ends following the certificate, or nil
}

type serverDeps struct {
	fx.In

	Config        service.Config
	Logger        service.RootLogger
	Instance      service.Instance
	Health        *health.Health
	Echo          *echo.Echo
	Lifecycle     fx.Lifecycle
	RootLifecycle service.RootLifecycle
}

func newServer(d serverDeps, providers telemetry.Providers) (*Server, error) {
	settings, err := readSettings(d.Config)
	if err != nil {
		return nil, err
	}
	s := &Server{
		settings: settings,
		config:   d.Config,
		instance: d.Instance,
		health:   d.Health,
		echo:     d.Echo,
		log:      d.Logger.Logger,
	}
	s.gzips.New = func() any { return gzip.NewWriter(nil) }
	s.buffers.New = func() any { b := make([]byte, 0, compressFrom); return &b }
	if settings.redis != "" {
		options, err := redis.ParseURL(settings.redis)
		if err != nil {
			return nil, fmt.Errorf("httprouter: configuration key backend.rateLimit.store.connection is not the URL of a Redis server")
		}
		s.redis = redis.NewClient(options)
	}
	s.limiter = s.newLimiter(settings.limit, "")
	if s.observer, err = newObserver(providers, settings.endUser); err != nil {
		return nil, fmt.Errorf("httprouter: %w", err)
	}
	if s.observer != nil {
		s.echo.Use(noteRoute)
	}
	s.setLocalURL(settings.listen.port)

	// Everything that no route of the backend itself matches ends up in the fallback, behind the middleware of whoever made the Echo.
	s.echo.RouteNotFound(fallbackPath, s.fallback)
	s.echo.IPExtractor = settings.clientIP
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) { s.handleError(err, c, "", s.log) }

	base, cut := context.WithCancelCause(context.Background())
	s.cut = cut
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: settings.timeouts.headers,
		IdleTimeout:       settings.timeouts.keepAlive,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // mostly failed handshakes of scanners
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	s.http.ConnState = s.fresh.watch
	if settings.timeouts.maxRequests > 0 {
		s.http.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, requestCountKey{}, new(atomic.Int64))
		}
	}
	d.Lifecycle.Append(fx.Hook{OnStart: s.start, OnStop: s.Shutdown})
	if settings.shutdownDelay > 0 {
		d.RootLifecycle.BeforeShutdown(func(ctx context.Context) error {
			select {
			case <-time.After(settings.shutdownDelay):
				return nil
			case <-ctx.Done():
				return fmt.Errorf("httprouter: waiting for backend.lifecycle.serverShutdownDelay: %w", ctx.Err())
			}
		})
	}
	return s, nil
}

func (s *Server) newLimiter(rule *limitRule, plugin string) *limiter {
	if rule == nil {
		return nil
	}
	l := &limiter{rule: rule, hits: &memoryHits{}, clientIP: s.settings.clientIP}
	if s.redis != nil {
		l.hits = redisHits{client: s.redis, prefix: "portico:rateLimit:" + plugin + ":"}
	}
	return l
}

// start listens and serves.
func (s *Server) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settings.tls {
		tlsConfig, end, err := newTLS(s.config, s.settings, s.log)
		if err != nil {
			return err
		}
		s.http.TLSConfig, s.endTLS = tlsConfig, end
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", s.settings.listen.String())
	if err != nil {
		if s.endTLS != nil {
			s.endTLS()
		}
		return listenError(s.settings.listen, err)
	}
	s.listener = listener
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		s.setLocalURL(tcp.Port)
	}
	s.served = make(chan struct{})
	go func() {
		defer close(s.served)
		serve := s.http.Serve
		if s.settings.tls {
			serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, net.ErrClosed) {
			s.log.Error("The HTTP server has failed, no more requests are accepted", "error", err)
		}
	}()
	s.log.Info("Listening on "+listener.Addr().String(), "address", listener.Addr().String(), "baseUrl", s.BaseURL())
	return nil
}

// listenError tells what to do about an address that can't be listened on.
func listenError(a address, err error) error {
	const key = "configuration key backend.listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("httprouter: port %d is in use by another process; stop that one, or choose another port (%s): %w", a.port, key, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("httprouter: port %d may not be listened on without more privileges; choose one from 1024 on (%s): %w", a.port, key, err)
	default:
		return fmt.Errorf("httprouter: can't listen on %s (%s): %w", a, key, err)
	}
}

// Shutdown stops accepting connections, waits for the requests that are being served, and closes what is left when ctx ends: the contexts of
// those requests end, and their connections are closed. It returns an error if it had to do that. Later calls return what the first one
// did.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Do(func() {
		s.stopErr = s.shutdown(ctx)
		s.cut(errStopped)
	})
	return s.stopErr
}

func (s *Server) shutdown(ctx context.Context) error {
	s.mu.Lock()
	listener, served, endTLS := s.listener, s.served, s.endTLS
	s.mu.Unlock()
	defer func() {
		if endTLS != nil {
			endTLS()
		}
		if s.redis != nil {
			_ = s.redis.Close() // counts are of no use any more
		}
	}()
	if listener != nil {
		_ = listener.Close() // it is closed either way
		<-served
		s.fresh.close() // no others can come
	}
	err := s.http.Shutdown(ctx)
	if err == nil {
		err = s.settle(ctx)
	}
	if err != nil {
		n := s.inflight.Load()
		s.cut(errStopped)
		_ = s.http.Close() // it has no listener that could fail to close
		s.streams.close()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutGrace)
		defer cancel()
		if left := s.settle(grace); left != nil {
			err = fmt.Errorf("httprouter: connections were busy until the end of the stop, %d of %d cut requests still run: %w", s.inflight.Load(), n, err)
		} else {
			err = fmt.Errorf("httprouter: connections were busy until the end of the stop, %d requests were cut: %w", n, err)
		}
	}
	return err
}

// settle waits until no handler runs. net/http does not wait for connections that were taken over.
func (s *Server) settle(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.inflight.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Addr is where the server listens, with the real port when any free one was asked for. It is nil before the server has started.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// BaseURL is the URL of the backend without a slash at its end: `backend.baseUrl`, or else one of this machine.
func (s *Server) BaseURL() string {
	if s.settings.baseURL != "" {
		return s.settings.baseURL
	}
	return s.LocalURL()
}

// LocalURL is the URL under which the backend answers on this machine, without a slash at its end, whatever `backend.baseUrl` says.
func (s *Server) LocalURL() string { return *s.local.Load() }

func (s *Server) setLocalURL(port int) {
	a := address{s.settings.listen.host, port}
	if ip := net.ParseIP(a.host); a.host == "" || ip != nil && ip.IsUnspecified() {
		a.host = "localhost"
	}
	scheme := "http"
	if s.settings.tls {
		scheme = "https"
	}
	url := scheme + "://" + a.String()
	s.local.Store(&url)
}

// Handler serves the routes of the backend and of its plugins without the middleware at the root: for requests that come from within
// the backend. Waiting for the start of a plugin, credentials and errors are the same. A handler that fails after its answer has begun
// panics with http.ErrAbortHandler.
func (s *Server) Handler() http.Handler {
	if s.observer != nil {
		return s.observer.handler(s)
	}
	return s.echo
}

// Routes are the routes that a plugin has registered, ordered by path and method. It is not for use while plugins register routes.
func (s *Server) Routes(pluginID string) []*echo.Route {
	m, ok := s.mounts.Load(pluginID)
	if !ok {
		return nil
	}
	routes := slices.DeleteFunc(m.(*mount).echo.Routes(), func(r *echo.Route) bool { return r.Method == echo.RouteNotFound })
	slices.SortFunc(routes, func(a, b *echo.Route) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return routes
}

type requestCountKey struct{}

// ServeHTTP serves a request with all middleware.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.inflight.Add(1)
	res := &response{server: s, w: w, req: r}
	defer s.inflight.Add(-1)
	if count, ok := r.Context().Value(requestCountKey{}).(*atomic.Int64); ok && count.Add(1) >= int64(s.settings.timeouts.maxRequests) {
		w.Header().Set("Connection", "close")
	}
	h := w.Header()
	for _, header := range s.settings.headers {
		h[header.name] = header.values
	}
	if s.settings.cors != nil && s.settings.cors.serve(w, r) {
		return
	}
	if s.observer != nil && !strings.HasPrefix(r.URL.Path, health.PathPrefix) {
		var seen *observed
		r, seen = s.observer.begin(s, r)
		defer func() { s.observer.end(r.Context(), seen, res.status) }()
	}
	completed := false
	defer func() {
		if !completed {
			res.drop() // the handler has aborted its answer
		}
		s.logRequest(res, r)
	}()
	s.serve(res, r)
	res.finish()
	completed = true
}

func (s *Server) serve(res *response, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			s.fail(res, r, contain(v))
		}
	}()
	if n := s.settings.timeouts.maxHeaders; n > 0 && len(r.Header) > n {
		s.fail(res, r, echo.NewHTTPError(http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("Too many headers, the limit is %d", n)))
		return
	}
	r = limitBody(res.w, r, s.settings.timeouts.request)
	if s.limiter != nil {
		answered, err := s.limiter.take(res, r)
		if err != nil {
			s.fail(res, r, err)
		}
		if answered == nil {
			return
		}
		defer func() { answered(res.status) }()
	}
	if strings.HasPrefix(r.URL.Path, health.PathPrefix) {
		s.health.ServeHTTP(res, r)
		return
	}
	s.echo.ServeHTTP(res, r)
}

// fail answers a request at the root.
func (s *Server) fail(res *response, r *http.Request, err error) {
	if res.sent() {
		logError(r, s.log, errorAnswer{status: http.StatusInternalServerError}, err)
		panic(http.ErrAbortHandler)
	}
	res.reset()
	answerError(res, r, "", err, s.log)
}

// handleError is the error handler of the Echos.
func (s *Server) handleError(err error, c echo.Context, mount string, log *slog.Logger) {
	if c.Response().Committed {
		// The client has to see that the answer is not whole. If it went away itself there is nothing to tell.
		if c.Request().Context().Err() == nil {
			logError(c.Request(), log, errorAnswer{status: http.StatusInternalServerError}, err)
		}
		panic(http.ErrAbortHandler)
	}
	answerError(c.Response(), c.Request(), mount, err, log)
}
