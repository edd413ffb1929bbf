package api

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

// Bounds of the streams that are open at once: each takes a connection, and looks at all that changes.
const (
	mostStreams     = 2000
	mostStreamsEach = 100 // of one user or service
)

// streams counts the streams that are open.
type streams struct {
	mu   sync.Mutex
	all  int
	each map[string]int
}

// open counts one more for somebody, until end is called.
func (s *streams) open(who string) (end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.each[who] >= mostStreamsEach:
		return nil, echo.NewHTTPError(http.StatusTooManyRequests,
			"You have "+strconv.Itoa(mostStreamsEach)+" streams of changes open, which is all that there may be: close one, or ask for changes page by page")
	case s.all >= mostStreams:
		return nil, service.ServiceUnavailableError.Errorf("There are %d streams of changes open, which is all that there may be: ask for changes page by page", mostStreams)
	}
	s.all++
	s.each[who]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.each[who]--; s.each[who] == 0 {
			delete(s.each, who)
		}
	}, nil
}
