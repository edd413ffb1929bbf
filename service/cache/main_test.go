package cache_test

import (
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/cache"
	"github.com/portico-dev/portico/service/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager makes a manager from a configuration of backend.cache, which closes at the end of the test.
func manager(t testing.TB, config map[string]any, log slog.Handler) *cache.Manager {
	t.Helper()
	lifecycle := fxtest.NewLifecycle(quiet{t})
	m, err := cache.NewManager(configuration(config), service.RootLogger{Logger: slog.New(log)}, lifecycle)
	if err != nil {
		t.Fatal(err)
	}
	lifecycle.RequireStart()
	t.Cleanup(func() { lifecycle.RequireStop() })
	return m
}

func configuration(section map[string]any) service.Config {
	return config.Static(map[string]any{"backend": map[string]any{"cache": section}})
}

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}

// proxy stands before a server, and can be made to hang up on everybody, or to leave everybody without an answer.
type proxy struct {
	address string
	target  string
	state   atomic.Int32
	running sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

const (
	up int32 = iota
	hangingUp
	silent
)

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String(), target: target, conns: map[net.Conn]struct{}{}}
	p.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[conn] = struct{}{}
			p.mu.Unlock()
			p.running.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.become(hangingUp)
		p.running.Wait()
	})
	return p
}

// become changes the state, which ends all connections.
func (p *proxy) become(state int32) {
	p.state.Store(state)
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
	clear(p.conns)
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	switch p.state.Load() {
	case hangingUp:
	case silent:
		io.Copy(io.Discard, client)
	default:
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			return
		}
		defer server.Close()
		p.running.Go(func() {
			io.Copy(client, server)
			client.Close()
		})
		io.Copy(server, client)
	}
}

func discard() service.RootLogger { return service.RootLogger{Logger: slog.New(slog.DiscardHandler)} }
