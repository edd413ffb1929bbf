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
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

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
