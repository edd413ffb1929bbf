package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-dev/portico/service"
)

// TestGone has callers go away in different ways: handlers get to know.
func TestGone(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{}, 1)
	ended := make(chan error, 1)
	wait := func(w http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
		return nil
	}
	r := routes{
		"/silent": func(w http.ResponseWriter, r *http.Request) error {
			entered <- struct{}{}
			return wait(w, r)
		},
		"/begun": func(w http.ResponseWriter, r *http.Request) error {
			_, _ = io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
			return wait(w, r)
		},
		"/reading": func(w http.ResponseWriter, r *http.Request) error {
			_ = http.NewResponseController(w).EnableFullDuplex() // memory needs no permission
			w.(http.Flusher).Flush()
			_, err := io.ReadAll(r.Body)
			ended <- err
			return nil
		},
		"/writing": func(w http.ResponseWriter, _ *http.Request) error {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					ended <- err
					return nil
				}
			}
		},
	}
	each(t, r, func(t *testing.T, w way) {
		t.Run("cancelled before the answer", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var canceller sync.WaitGroup
			canceller.Go(func() {
				<-entered
				cancel()
			})
			if res, err := w.do(ctx, t, http.MethodGet, "/silent", nil); !errors.Is(err, context.Canceled) {
				t.Errorf("%v, %v", res, err)
			}
			canceller.Wait()
			<-ended
		})
		t.Run("timeout of the client", func(t *testing.T) {
			c := *w.client
			c.Timeout = time.Second // more than the header takes
			res, err := c.Get(w.base + "/begun")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var timeout interface{ Timeout() bool }
			if _, err := io.ReadAll(res.Body); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Error(err)
			}
			<-ended
		})
		t.Run("cancelled in the middle", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			res, err := w.do(ctx, t, http.MethodGet, "/begun", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			cancel()
			if _, err := res.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			<-ended
		})
		t.Run("closed in the middle", func(t *testing.T) {
			res, err := w.do(t.Context(), t, http.MethodGet, "/begun", nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			<-ended
			if _, err := res.Body.Read(make([]byte, 1)); err == nil {
				t.Error("a closed body is read")
			}
		})
		t.Run("gone while the handler writes", func(t *testing.T) {
			res, err := w.do(t.Context(), t, http.MethodGet, "/writing", nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if err := <-ended; err == nil {
				t.Error("the handler does not get to know")
			}
		})
		t.Run("gone while the handler reads", func(t *testing.T) {
			read, write := io.Pipe()
			defer write.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			res, err := w.do(ctx, t, http.MethodPost, "/reading", read)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			cancel()
			if err := <-ended; err == nil {
				t.Error("the handler does not get to know")
			}
		})
	})
}

// TestAbandonedBody has a handler that doesn't read the body: it is closed.
func TestAbandonedBody(t *testing.T) {
	t.Parallel()
	each(t, routes{"/": func(http.ResponseWriter, *http.Request) error { return service.InputError.Errorf("no") }}, func(t *testing.T, w way) {
		body := &closing{Reader: strings.NewReader("hello"), closed: make(chan struct{})}
		res, err := w.do(t.Context(), t, http.MethodPost, "/", body)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		<-body.closed
		if res.StatusCode != http.StatusBadRequest {
			t.Error(res.Status)
		}
	})
}

type closing struct {
	io.Reader
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, routes{"/copy": func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		_, err = w.Write(body)
		return err
	}}, func(t *testing.T, w way) {
		var all sync.WaitGroup
		for i := range 100 { // more than there are idle workers at any time
			all.Go(func() {
				want := strings.Repeat(fmt.Sprint(i), 40_000)
				got := look(w.do(t.Context(), t, http.MethodPost, "/copy", strings.NewReader(want)))
				if got.Body != want || got.Broken {
					t.Errorf("%d: %d bytes of %d, broken: %v", i, len(got.Body), len(want), got.Broken)
				}
			})
		}
		all.Wait()
	})
}
