package httpclient_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httpclient"
	"github.com/portico-dev/portico/service/httprouter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// routes is a plugin "target" with handlers that a test gives.
type routes map[string]func(http.ResponseWriter, *http.Request) error

// way is one of the ways to the plugin.
type way struct {
	name   string
	client *http.Client
	base   string
}

// ways starts a backend with the routes, and leads there in memory and over a socket. What is behind is the same.
func ways(t testing.TB, r routes) []way {
	t.Helper()
	var server *httprouter.Server
	var transport *httpclient.Transport
	b := backendtest.Start(t, plugin.New("target", plugin.Init(
		func(g *echo.Group, policies service.AuthPolicies, s *httprouter.Server, tr *httpclient.Transport) {
			server, transport = s, tr
			policies.AllowUnauthenticated("/")
			for path, handler := range r {
				g.Any(path, func(c echo.Context) error { return handler(c.Response(), c.Request()) })
			}
		})))
	socket := httptest.NewServer(server.Handler())
	network := &http.Transport{DisableCompression: true}
	t.Cleanup(func() {
		network.CloseIdleConnections()
		socket.Close()
	})
	return []way{
		{"socket", &http.Client{Transport: network}, socket.URL + "/api/target"},
		{"memory", &http.Client{Transport: transport}, b.URL() + "/api/target"},
	}
}

// each runs the test on both ways.
func each(t *testing.T, r routes, test func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range ways(t, r) {
		t.Run(w.name, func(t *testing.T) { test(t, w) })
	}
}

func (w way) do(ctx context.Context, t testing.TB, method, path string, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return w.client.Do(req)
}

// seen is all that a caller can see of an answer.
type seen struct {
	Failed, Broken   bool // without an answer, and in the middle of its body
	Status           string
	Proto            string
	Header, Trailer  http.Header
	Length           int64
	TransferEncoding []string
	Body             string
}

func look(res *http.Response, err error) seen {
	if err != nil {
		return seen{Failed: true}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	header := maps.Clone(res.Header)
	if header.Get("Date") != "" {
		header.Set("Date", "now")
	}
	return seen{Broken: err != nil, Status: res.Status, Proto: res.Proto, Header: header, Trailer: res.Trailer, Length: res.ContentLength,
		TransferEncoding: res.TransferEncoding, Body: string(body)}
}

// TestAnswers has the same answers look the same.
func TestAnswers(t *testing.T) {
	t.Parallel()
	text := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	write := func(w http.ResponseWriter, p []byte) error {
		_, err := w.Write(p)
		return err
	}
	r := routes{
		"/nothing": func(http.ResponseWriter, *http.Request) error { return nil },
		"/short":   func(w http.ResponseWriter, _ *http.Request) error { return write(w, []byte("hello")) },
		"/html":    func(w http.ResponseWriter, _ *http.Request) error { return write(w, []byte("<html><body>")) },
		"/limit":   func(w http.ResponseWriter, _ *http.Request) error { return write(w, text(2048)) },
		"/beyond":  func(w http.ResponseWriter, _ *http.Request) error { return write(w, text(2049)) },
		"/large":   func(w http.ResponseWriter, _ *http.Request) error { return write(w, text(1<<20)) },
		"/json": func(w http.ResponseWriter, _ *http.Request) error {
			return json.NewEncoder(w).Encode(map[string]int{"a": 1})
		},
		"/empty-writes": func(w http.ResponseWriter, _ *http.Request) error { return write(w, nil) },
		"/status": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("X-Before", "a")
			w.Header().Add("X-Two", "1")
			w.Header().Add("X-Two", "2")
			w.WriteHeader(http.StatusTeapot)
			w.Header().Set("X-After", "b")
			return write(w, []byte("tea"))
		},
		"/odd-status": func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(299); return nil },
		"/typed": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "text/x")
			return write(w, []byte("<html>"))
		},
		"/encoded": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Encoding", "x")
			return write(w, []byte("<html>"))
		},
		"/no-content":   func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusNoContent); return nil },
		"/not-modified": func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusNotModified); return nil },
		"/no-content-with-body": func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusNoContent)
			if err := write(w, []byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
				panic(fmt.Sprint("a body is allowed: ", err))
			}
			return nil
		},
		"/announced": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Length", "5")
			return write(w, []byte("hello"))
		},
		"/announced-too-much": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Length", "50")
			return write(w, []byte("hello"))
		},
		"/announced-too-little": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Length", "5")
			if err := write(w, []byte("hello world")); !errors.Is(err, http.ErrContentLength) {
				panic(fmt.Sprint("too much is written: ", err))
			}
			return write(w, []byte("hello"))
		},
		"/flushed": func(w http.ResponseWriter, _ *http.Request) error {
			_ = write(w, []byte("a"))
			w.(http.Flusher).Flush()
			return write(w, []byte("b"))
		},
		"/trailers": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Trailer", "X-Sum, X-Unset")
			_ = write(w, []byte("body"))
			w.Header().Set("X-Sum", "42")
			return nil
		},
		"/late-trailers": func(w http.ResponseWriter, _ *http.Request) error {
			_ = write(w, text(5000))
			w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
			return nil
		},
		"/split-header": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("X-Split", "a\r\nX-Evil: b")
			return write(w, []byte("x"))
		},
		"/spaced-header":  func(w http.ResponseWriter, _ *http.Request) error { w.Header().Set("X-Spaced", "  a  "); return nil },
		"/error":          func(http.ResponseWriter, *http.Request) error { return service.ConflictError.Errorf("taken") },
		"/internal-error": func(w http.ResponseWriter, _ *http.Request) error { w.Header().Set("X", "y"); return echo.ErrNotFound },
		"/panic":          func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) },
		"/panic-held": func(w http.ResponseWriter, _ *http.Request) error {
			_ = write(w, text(10))
			panic(http.ErrAbortHandler)
		},
		"/panic-late": func(w http.ResponseWriter, _ *http.Request) error {
			_ = write(w, text(5000))
			w.(http.Flusher).Flush()
			panic("late")
		},
		"/error-late": func(w http.ResponseWriter, _ *http.Request) error {
			_ = write(w, text(5000))
			w.(http.Flusher).Flush()
			return errors.New("late")
		},
		"/many-statuses": func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusAccepted)
			w.WriteHeader(http.StatusTeapot)
			return nil
		},
		"/early-hints": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Link", "</x>")
			w.WriteHeader(http.StatusEarlyHints)
			return write(w, []byte("x"))
		},
	}
	both := ways(t, r)
	for _, path := range slices.Sorted(maps.Keys(r)) {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			t.Run(method+path, func(t *testing.T) {
				var got [2]seen
				for i, w := range both {
					w.client.CloseIdleConnections() // one that the server is about to close may fail a request
					got[i] = look(w.do(t.Context(), t, method, path, nil))
				}
				if !reflect.DeepEqual(got[0], got[1]) {
					t.Errorf("\nsocket %.500s\nmemory %.500s", fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", got[1]))
				}
			})
		}
	}
}

// TestRequests has handlers see the same requests.
func TestRequests(t *testing.T) {
	t.Parallel()
	type request struct {
		Method, URI, Path, RawPath, Query, Host, Proto, Body string
		Absolute                                             bool
		Length                                               int64
		TransferEncoding                                     []string
		Header, Trailer                                      http.Header
		BodyError                                            string
		Address                                              bool
		Value                                                any
	}
	type key struct{}
	both := ways(t, routes{"/*": func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		saw := request{Method: r.Method, URI: r.RequestURI, Path: r.URL.Path, RawPath: r.URL.RawPath, Query: r.URL.RawQuery, Host: r.Host, Proto: r.Proto,
			Body: string(body), Absolute: r.URL.IsAbs(), Length: r.ContentLength, TransferEncoding: r.TransferEncoding, Header: r.Header, Trailer: r.Trailer,
			Address: r.RemoteAddr != "", Value: r.Context().Value(key{})}
		if err != nil {
			saw.BodyError = err.Error()
		}
		return json.NewEncoder(w).Encode(saw)
	}})
	for name, make := range map[string]func(base string) (*http.Request, error){
		"plain": func(base string) (*http.Request, error) { return http.NewRequest("", base+"/x", nil) },
		"a query": func(base string) (*http.Request, error) {
			return http.NewRequest("GET", base+"/x?a=b&c=%20d#fragment", nil)
		},
		"escapes":    func(base string) (*http.Request, error) { return http.NewRequest("GET", base+"/a%2Fb/%20/ü/+", nil) },
		"own method": func(base string) (*http.Request, error) { return http.NewRequest("REPORT", base+"/x", nil) },
		"no body":    func(base string) (*http.Request, error) { return http.NewRequest("POST", base+"/x", nil) },
		"a body": func(base string) (*http.Request, error) {
			return http.NewRequest("PUT", base+"/x", strings.NewReader("hello"))
		},
		"unknown length": func(base string) (*http.Request, error) {
			return http.NewRequest("POST", base+"/x", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")))
		},
		"a large body": func(base string) (*http.Request, error) {
			return http.NewRequest("POST", base+"/x", strings.NewReader(strings.Repeat("x", 300_000)))
		},
		"headers": func(base string) (*http.Request, error) {
			r, err := http.NewRequest("GET", base+"/x", nil)
			r.Header = http.Header{"X-A": {"1", "2"}, "User-Agent": {"me"}, "X-Space": {"  a "}, "lower-case": {"x"}, "Host": {"evil"}, "Content-Length": {"7"},
				"Cookie": {"a=b"}, "X-Empty": {""}}
			return r, err
		},
		"no agent": func(base string) (*http.Request, error) {
			r, err := http.NewRequest("GET", base+"/x", nil)
			r.Header.Set("User-Agent", "")
			return r, err
		},
		"another host": func(base string) (*http.Request, error) {
			r, err := http.NewRequest("GET", base+"/x", nil)
			r.Host = "portal.example.com"
			return r, err
		},
		"trailers": func(base string) (*http.Request, error) {
			r, err := http.NewRequest("POST", base+"/x", io.MultiReader(strings.NewReader("x")))
			r.Trailer = http.Header{"X-Sum": {"42"}}
			return r, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got [2]request
			for i, w := range both {
				r, err := make(w.base)
				if err != nil {
					t.Fatal(err)
				}
				res, err := w.client.Do(r.WithContext(context.WithValue(t.Context(), key{}, "of the caller")))
				if err != nil {
					t.Fatal(err)
				}
				if err := json.NewDecoder(res.Body).Decode(&got[i]); err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				got[i].Host = strings.Replace(got[i].Host, r.URL.Host, "host", 1)
			}
			if !reflect.DeepEqual(got[0], got[1]) {
				t.Errorf("\nsocket %.600s\nmemory %.600s", fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", got[1]))
			}
		})
	}
	for name, header := range map[string]http.Header{"a bad name": {"a b": {"x"}}, "a bad value": {"X": {"a\r\nb"}}} {
		for _, w := range both {
			r, err := http.NewRequest("POST", w.base+"/x", io.NopCloser(strings.NewReader("x")))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = header
			if res, err := w.client.Do(r); err == nil {
				res.Body.Close()
				t.Errorf("%s: %s is let through", w.name, name)
			}
		}
	}
}

// TestBothWays has the handler answer while the request is still being sent, line by line.
func TestBothWays(t *testing.T) {
	t.Parallel()
	each(t, routes{"/echo": func(w http.ResponseWriter, r *http.Request) error {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // memory needs no permission
		if err := control.Flush(); err != nil {
			return err
		}
		buffer := make([]byte, 100)
		for {
			n, err := r.Body.Read(buffer)
			if n > 0 {
				if _, err := w.Write(bytes.ToUpper(buffer[:n])); err != nil {
					return err
				}
				if err := control.Flush(); err != nil {
					return err
				}
			}
			if err != nil {
				return nil
			}
		}
	}}, func(t *testing.T, w way) {
		read, write := io.Pipe()
		res, err := w.do(t.Context(), t, http.MethodPost, "/echo", read)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		buffer := make([]byte, 100)
		for _, line := range []string{"one", "two", "three"} {
			if _, err := io.WriteString(write, line); err != nil {
				t.Fatal(err)
			}
			n, err := io.ReadAtLeast(res.Body, buffer, len(line))
			if err != nil || string(buffer[:n]) != strings.ToUpper(line) {
				t.Fatalf("%q, %v", buffer[:n], err)
			}
		}
		write.Close()
		if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

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
		for i := range 50 {
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
