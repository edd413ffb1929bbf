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
	"sync/atomic"
	"time"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

const (
	apiPrefix = "/api/"
	// stopGrace is how long handlers may take to return once their requests have been cut.
	stopGrace = 2 * time.Second
	// workerIdle is how long a worker waits for another request.
	workerIdle = 5 * time.Second
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

	dates    dates
	lifetime context.Context
	end      context.CancelFunc
	work     chan *exchange // to workers that wait
	running  sync.WaitGroup // of workers

	mu      sync.Mutex // guards workers, and their beginning against the end
	workers map[*worker]struct{}
}

// worker is a goroutine that serves requests.
type worker struct{ current atomic.Pointer[exchange] }

func newTransport(server *httprouter.Server, instance service.Instance, log service.RootLogger, lifecycle fx.Lifecycle) *Transport {
	t := &Transport{
		server: server, handler: server.Handler(), instance: instance, network: http.DefaultTransport.(*http.Transport).Clone(),
		log: log.With("service", "httpClient"),
	}
	t.work = make(chan *exchange)
	t.workers = map[*worker]struct{}{}
	t.lifetime, t.end = context.WithCancel(context.Background())
	lifecycle.Append(fx.Hook{OnStop: t.stop})
	return t
}

func (t *Transport) stop(ctx context.Context) error {
	t.mu.Lock()
	t.end()
	for w := range t.workers {
		if x := w.current.Load(); x != nil {
			x.cancel(errStopped)
		}
	}
	t.mu.Unlock()
	t.network.CloseIdleConnections()
	ended := make(chan struct{})
	go func() {
		t.running.Wait()
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

// call has a plugin of this backend answer the request. The token is added to it, unless it is empty.
func (t *Transport) call(req *http.Request, token string) (*http.Response, error) {
	x, err := newExchange(req, token, &t.dates)
	if err != nil {
		closeBody(req)
		return nil, fmt.Errorf("httpclient: %w", err)
	}
	if err := t.begin(x); err != nil {
		x.request.close()
		return nil, err
	}
	return x.response()
}

// closeBody closes the body of a request that isn't sent, as every RoundTripper does.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nobody is left to be told
	}
}

// begin has a worker serve the request: one that waits, or a new one.
func (t *Transport) begin(x *exchange) error {
	select {
	case t.work <- x:
		return nil
	default:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lifetime.Err() != nil {
		return errStopped
	}
	w := &worker{}
	t.workers[w] = struct{}{}
	t.running.Go(func() {
		t.serve(w, x)
		t.mu.Lock()
		delete(t.workers, w)
		t.mu.Unlock()
	})
	return nil
}

// serve serves one request after another, until there is none for a while. Handlers need stacks that are larger than those of new
// goroutines, and growing one costs more than all the rest of a call.
func (t *Transport) serve(w *worker, x *exchange) {
	look := time.NewTicker(workerIdle)
	defer look.Stop()
	for {
		w.current.Store(x)
		if t.lifetime.Err() != nil { // the end may have come before the worker had the request
			x.cancel(errStopped)
		}
		x.serve(t.handler, t.log)
		w.current.Store(nil)
		x = nil
		for idle := false; x == nil; idle = true {
			select {
			case x = <-t.work:
			case <-look.C:
				if idle {
					return
				}
			case <-t.lifetime.Done():
				return
			}
		}
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
	after, ok := strings.CutPrefix(u.EscapedPath(), rest)
	return ok && (after == "" || after[0] == '/')
}
