package httprouter

import (
	"net"
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
