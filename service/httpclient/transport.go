package httpclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

const (
	apiPrefix = "/api/"
	// stopGrace is how long handlers may take to return once their requests have been cut.
	stopGrace = 2 * time.Second
)

var errStopped = errors.New("httpclient: the backend has stopped")

// Transport is an http.RoundTripper that hands requests for plugins of this backend to their handlers in memory, and sends others over
// the network. It adds no tokens. Safe for concurrent use.
type Transport struct {
	server   *httprouter.Server
	handler  http.Handler
	instance service.Instance
	network  *http.Transport
	log      *slog.Logger

	lifetime context.Context
	end      context.CancelCauseFunc
	mu       sync.Mutex // guards the beginning of handlers against the end
	handlers sync.WaitGroup
}

func newTransport(server *httprouter.Server, instance service.Instance, log service.RootLogger, lifecycle fx.Lifecycle) *Transport {
	t := &Transport{
		server: server, handler: server.Handler(), instance: instance, network: http.DefaultTransport.(*http.Transport).Clone(),
		log: log.With("service", "httpClient"),
	}
	t.lifetime, t.end = context.WithCancelCause(context.Background())
	lifecycle.Append(fx.Hook{OnStop: t.stop})
	return t
}

func (t *Transport) stop(ctx context.Context) error {
	t.mu.Lock()
	t.end(errStopped)
	t.mu.Unlock()
	t.network.CloseIdleConnections()
	ended := make(chan struct{})
	go func() {
		t.handlers.Wait()
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.New("httpclient: requests between plugins are still being served")
	}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil || !t.isLocal(req) {
		return t.network.RoundTrip(req)
	}
	x, err := newExchange(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as every RoundTripper does
		}
		return nil, fmt.Errorf("httpclient: %w", err)
	}
	t.mu.Lock()
	if t.lifetime.Err() != nil {
		t.mu.Unlock()
		x.request.close()
		return nil, errStopped
	}
	t.handlers.Go(func() { x.serve(t.lifetime, t.handler, t.log) })
	t.mu.Unlock()
	return x.response()
}

// isLocal tells whether the request is one for a plugin of this backend. A connection that is to become something else than HTTP has to
// be a real one.
func (t *Transport) isLocal(req *http.Request) bool {
	rest, ok := strings.CutPrefix(req.URL.Path, apiPrefix)
	if !ok || req.Method == http.MethodConnect || req.Header["Upgrade"] != nil || !below(req.URL, t.server.LocalURL()) {
		return false
	}
	id, _, _ := strings.Cut(rest, "/")
	_, ok = t.instance.Plugin(id)
	return ok
}

// below tells whether the URL begins with the base, which has no slash at its end.
func below(u *url.URL, base string) bool {
	rest, ok := strings.CutPrefix(base, u.Scheme)
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(rest, "://")
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(rest, u.Host)
	if !ok || rest != "" && rest[0] != '/' {
		return false
	}
	after, ok := strings.CutPrefix(u.EscapedPath(), rest)
	return ok && (after == "" || after[0] == '/')
}
