package httpclient

import (
	"log/slog"
	"net/http"
	"sync"
)

// maxIdle is how many workers may wait for another request.
const maxIdle = 64

// workers serve requests. Each is a goroutine that goes on with another request when it is done with one: handlers need stacks that are
// larger than those of new goroutines, and growing one costs more than all the rest of a call. Safe for concurrent use.
type workers struct {
	handler http.Handler
	log     *slog.Logger
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	stopped bool
	all     map[*worker]struct{}
	idle    []*worker // the one that was busy last is at the end
}

type worker struct {
	next    chan *exchange // has room for one; closed when there will be no other
	current *exchange      // guarded by workers.mu
}

// serve has a worker serve the request: one that waits, or a new one.
func (s *workers) serve(x *exchange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped
	}
	var w *worker
	if last := len(s.idle) - 1; last >= 0 {
		w, s.idle = s.idle[last], s.idle[:last]
	} else {
		w = &worker{next: make(chan *exchange, 1)}
		s.all[w] = struct{}{}
		s.running.Go(func() {
			for x := range w.next {
				x.serve(s.handler, s.log)
				s.rest(w)
			}
		})
	}
	w.current = x
	w.next <- x
	return nil
}

// rest is called by a worker that has served its request.
func (s *workers) rest(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.current = nil
	if s.stopped || len(s.idle) == maxIdle {
		delete(s.all, w)
		close(w.next)
		return
	}
	s.idle = append(s.idle, w)
}

// stop cuts the requests that are being served, and takes no others. The workers end when their handlers have returned.
func (s *workers) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for w := range s.all {
		if w.current != nil {
			w.current.cancel(errStopped)
		}
	}
	for _, w := range s.idle {
		close(w.next)
	}
	s.idle = nil
}
