package httpclient

import (
	"context"
	"errors"
	"fmt"
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
	instance service.Instance
	network  *http.Transport
	workers  workers
	signals  sync.Pool // of empty channels with room for one value
	dates    dates
}

func newTransport(server *httprouter.Server, instance service.Instance, log service.RootLogger, lifecycle fx.Lifecycle) *Transport {
	t := &Transport{
		server: server, instance: instance, network: http.DefaultTransport.(*http.Transport).Clone(),
		workers: workers{handler: server.Handler(), log: log.With("service", "httpClient"), all: map[*worker]struct{}{}},
	}
	t.signals.New = func() any { return make(chan struct{}, 1) }
	lifecycle.Append(fx.Hook{OnStop: t.stop})
	return t
}

func (t *Transport) stop(ctx context.Context) error {
	t.workers.stop()
	t.network.CloseIdleConnections()
	ended := make(chan struct{})
	go func() {
		t.workers.running.Wait()
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
	if req.URL == nil {
		return t.network.RoundTrip(req)
	}
	if _, ok := t.local(req); !ok {
		return t.network.RoundTrip(req)
	}
	return t.call(req, "")
}

// call has a plugin of this backend answer the request. The authorization is added to it, unless it is empty.
func (t *Transport) call(req *http.Request, authorization string) (*http.Response, error) {
	x, err := newExchange(t, req, authorization)
	if err != nil {
		closeBody(req)
		return nil, fmt.Errorf("httpclient: %w", err)
	}
	if err := t.workers.serve(x); err != nil {
		x.body.close()
		return nil, err
	}
	return x.response(req.Context())
}

// closeBody closes the body of a request that isn't sent, as every RoundTripper does.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nobody is left to be told
	}
}

// local is the plugin of this backend that the request is for. A connection that is to become something else than HTTP has to be a real
// one.
func (t *Transport) local(req *http.Request) (pluginID string, ok bool) {
	rest, ok := strings.CutPrefix(req.URL.Path, apiPrefix)
	if !ok || req.Method == http.MethodConnect || req.Header["Upgrade"] != nil || !below(req.URL, t.server.LocalURL()) {
		return "", false
	}
	id, _, _ := strings.Cut(rest, "/")
	_, ok = t.instance.Plugin(id)
	return id, ok
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
	if rest == "" {
		return true
	}
	after, ok := strings.CutPrefix(u.EscapedPath(), rest)
	return ok && (after == "" || after[0] == '/')
}
