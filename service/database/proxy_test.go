package database_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands before a server and hangs up on the first connections, as if the server were not up yet.
type proxy struct {
	address string
	target  string
	refuse  atomic.Int64
	running sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String(), target: target}
	p.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if p.refuse.Add(-1) >= 0 {
				conn.Close()
				continue
			}
			p.running.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.running.Wait()
	})
	return p
}

// upAfter has the proxy hang up n times.
func (p *proxy) upAfter(n int64) { p.refuse.Store(n) }

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
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
