package httprouter

import (
	"net"
	"net/http"
	"sync"
)

// streams are the connections that handlers have taken over, which net/http does not close.
type streams struct {
	mu   sync.Mutex
	open map[*stream]struct{}
}

type stream struct {
	net.Conn
	all *streams
}

func (s *streams) track(conn net.Conn) net.Conn {
	st := &stream{Conn: conn, all: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*stream]struct{}{}
	}
	s.open[st] = struct{}{}
	return st
}

// Close closes the connection.
func (s *stream) Close() error {
	s.all.mu.Lock()
	delete(s.all.open, s)
	s.all.mu.Unlock()
	return s.Conn.Close()
}

func (s *streams) close() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for st := range open {
		_ = st.Conn.Close() // the handler sees it too
	}
}

// fresh are the connections on which no request has begun. Browsers open them in advance, and net/http waits for them for seconds before
// it stops.
type fresh struct{ conns sync.Map }

// watch is an http.Server.ConnState.
func (f *fresh) watch(conn net.Conn, state http.ConnState) {
	if state == http.StateNew {
		f.conns.Store(conn, nil)
	} else {
		f.conns.Delete(conn)
	}
}

func (f *fresh) close() {
	f.conns.Range(func(conn, _ any) bool {
		_ = conn.(net.Conn).Close() // nobody has asked for anything yet
		return true
	})
}
