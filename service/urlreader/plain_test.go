package urlreader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service"
)

// reading is a configuration of backend.reading.
func reading(allow ...object) object {
	list := []any{}
	for _, entry := range allow {
		list = append(list, entry)
	}
	return object{"backend": object{"reading": object{"allow": list}}}
}

func TestReadAllowed(t *testing.T) {
	t.Parallel()
	server := newAPI(t, map[string]http.HandlerFunc{"/docs/a.yaml?x=1": text("a: 1")})
	reader := newReader(t, setup{config: reading(object{"host": server.host()})})
	file, err := reader.ReadURL(t.Context(), server.URL+"/docs/a.yaml?x=1", service.URLReadOptions{Token: "of-a-user"})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := file.Bytes(); err != nil || string(content) != "a: 1" || file.ETag != `"tag"` {
		t.Errorf("%q with the ETag %q, %v", content, file.ETag, err)
	}
	if got := server.last().Header.Get("Authorization"); got != "Bearer of-a-user" {
		t.Errorf("the Authorization is %q", got)
	}
	if _, err := reader.ReadURL(t.Context(), server.URL+"/docs/a.yaml?x=1", service.URLReadOptions{ETag: `"tag"`}); !errors.Is(err, service.NotModifiedError) {
		t.Errorf("with the ETag: %v", err)
	}
	if found, err := reader.Search(t.Context(), server.URL+"/docs/a.yaml?x=1", service.URLReadOptions{}); err != nil || len(found.Files) != 1 {
		t.Errorf("searching: %+v, %v", found, err)
	}
	if _, err := reader.Search(t.Context(), server.URL+"/docs/*.yaml", service.URLReadOptions{}); !errors.Is(err, service.NotImplementedError) {
		t.Errorf("searching with a pattern: %v", err)
	}
	if _, err := reader.ReadTree(t.Context(), server.URL+"/docs", service.URLReadOptions{}); !errors.Is(err, service.NotImplementedError) {
		t.Errorf("reading a tree: %v", err)
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		host    string
		paths   []any
		url     string
		allowed bool
	}{
		{"example.com", nil, "https://example.com/", true},
		{"example.com", nil, "http://EXAMPLE.com", true},
		{"example.com", nil, "https://example.com:443/a", true},
		{"example.com", nil, "https://example.com:8080/", false},
		{"example.com", nil, "https://example.com:80/", false},
		{"example.com", nil, "https://www.example.com/", false},
		{"example.com", nil, "https://example.com.evil.org/", false},
		{"example.com", nil, "https://notexample.com/", false},
		{"*.example.com", nil, "https://a.b.example.com/", true},
		{"*.example.com", nil, "https://example.com/", false},
		{"*.example.com", nil, "https://evilexample.com/", false},
		{"example.com:8080", nil, "https://example.com:8080/", true},
		{"example.com:8080", nil, "https://example.com/", false},
		{"example.com:443", nil, "https://example.com/", true},
		{"example.com:443", nil, "http://example.com/", false},
		{"example.com:80", nil, "http://example.com/", true},
		{"example.com:8000-8100", nil, "https://example.com:8050/", true},
		{"example.com:8000-8100", nil, "https://example.com:8101/", false},
		{"[::1]:8080", nil, "http://[::1]:8080/", true},
		{"[::1]", nil, "http://[::1]/", true},
		{"example.com", []any{"/docs"}, "https://example.com/docs", true},
		{"example.com", []any{"/docs"}, "https://example.com/docs/a/b", true},
		{"example.com", []any{"/docs"}, "https://example.com/docs2", false},
		{"example.com", []any{"/docs/"}, "https://example.com/docs", false},
		{"example.com", []any{"/docs/"}, "https://example.com/docs/", true},
		{"example.com", []any{"/docs/"}, "https://example.com/docs/a", true},
		{"example.com", []any{"/docs"}, "https://example.com/docs/../private", false},
		{"example.com", []any{"/docs"}, "https://example.com//docs/a", true},
		{"example.com", []any{"/a", "/docs"}, "https://example.com/docs/a", true},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.host, test.paths, " ", test.url), func(t *testing.T) {
			t.Parallel()
			entry := object{"host": test.host}
			if test.paths != nil {
				entry["paths"] = test.paths
			}
			reader := newReader(t, setup{config: reading(entry)})
			reader.Through(func(http.RoundTripper) http.RoundTripper { return answering("ok") })
			_, err := reader.ReadURL(t.Context(), test.url, service.URLReadOptions{})
			if test.allowed && err != nil {
				t.Error(err)
			}
			if !test.allowed && !errors.Is(err, service.NotAllowedError) {
				t.Errorf("%v, want a NotAllowedError", err)
			}
		})
	}
}

// answering answers all requests.
type answering string

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}

func TestURLsThatAreRefused(t *testing.T) {
	t.Parallel()
	reader := newReader(t, setup{config: reading(object{"host": "example.com", "paths": []any{"/docs"}})})
	reader.Through(func(http.RoundTripper) http.RoundTripper { return answering("ok") })
	for _, url := range []string{
		"", "docs/a", "file:///etc/passwd", "ftp://example.com/docs", "https:///docs", "https://me:secret@example.com/docs/a",
		"https://example.com/docs/%2e%2e/private", "https://example.com/docs/..%2fprivate", "https://example.com/docs/%252e%252e/private",
		"https://example.com/docs/%252e%252e%252fprivate", `https://example.com/docs/..%5cprivate`, "https://example.com/docs/%0d%0aa",
		"https://me:secret@exam ple.com/", "https://example.com:secret/docs", "https://example.com/docs/" + strings.Repeat("a", 10_000),
	} {
		_, err := reader.ReadURL(t.Context(), url, service.URLReadOptions{})
		if !errors.Is(err, service.InputError) {
			t.Errorf("%s: %v, want an InputError", url, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the password: %v", url, err)
		}
	}
}

func TestMistakesInAllow(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"", "https://example.com", "example.com/docs", "example.com:", "example.com:0", "example.com:99999", "example.com:9-1", "a.*.com", "*", "*."} {
		if _, err := tryReader(t, setup{config: reading(object{"host": host})}); err == nil || !strings.Contains(err.Error(), "backend.reading.allow") {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	other := newAPI(t, map[string]http.HandlerFunc{"/a": text("other")})
	server := newAPI(t, map[string]http.HandlerFunc{"/a": text("a")})
	server.handle("/within", status(http.StatusFound, "Location", "/a"))
	server.handle("/away", status(http.StatusTemporaryRedirect, "Location", other.URL+"/a?token=secret"))
	server.handle("/metadata", status(http.StatusFound, "Location", "http://169.254.169.254/latest/meta-data"))
	server.handle("/file", status(http.StatusFound, "Location", "file:///etc/passwd"))
	server.handle("/round", status(http.StatusFound, "Location", "/round"))
	server.handle("/login", status(http.StatusFound, "Location", "http://me:secret@"+server.host()+"/a"))

	t.Run("within what is allowed", func(t *testing.T) {
		t.Parallel()
		reader := newReader(t, setup{config: reading(object{"host": server.host()})})
		file, err := reader.ReadURL(t.Context(), server.URL+"/within", service.URLReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if content, err := file.Bytes(); err != nil || string(content) != "a" {
			t.Errorf("%q, %v", content, err)
		}
	})
	for path, want := range map[string]error{
		"/away": service.NotAllowedError, "/metadata": service.NotAllowedError, "/file": service.InputError, "/round": nil, "/login": service.InputError,
	} {
		t.Run("refused: "+path, func(t *testing.T) {
			t.Parallel()
			reader := newReader(t, setup{config: reading(object{"host": server.host()})})
			_, err := reader.ReadURL(t.Context(), server.URL+path, service.URLReadOptions{})
			if err == nil || want != nil && !errors.Is(err, want) {
				t.Fatalf("%v, want %v", err, want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has what may be secret: %v", err)
			}
		})
	}
	t.Run("to a path that isn't allowed", func(t *testing.T) {
		t.Parallel()
		server := newAPI(t, map[string]http.HandlerFunc{"/docs/a": status(http.StatusFound, "Location", "/private"), "/private": text("private")})
		reader := newReader(t, setup{config: reading(object{"host": server.host(), "paths": []any{"/docs"}})})
		for _, token := range []string{"", "of-a-user"} {
			if _, err := reader.ReadURL(t.Context(), server.URL+"/docs/a", service.URLReadOptions{Token: token}); !errors.Is(err, service.NotAllowedError) {
				t.Errorf("with the token %q: %v", token, err)
			}
		}
	})
	t.Run("credentials stay", func(t *testing.T) {
		t.Parallel()
		target := newAPI(t, map[string]http.HandlerFunc{"/a": text("a")})
		start := newAPI(t, map[string]http.HandlerFunc{
			"/repos/acme/shop/contents/a?ref=main": status(http.StatusFound, "Location", target.URL+"/a"),
		})
		cfg := reading(object{"host": target.host()})
		cfg["integrations"] = object{"github": []any{object{"host": start.host(), "apiBaseUrl": start.URL, "token": "secret"}}}
		reader := newReader(t, setup{config: cfg})
		if _, err := reader.ReadURL(t.Context(), start.URL+"/acme/shop/blob/main/a", service.URLReadOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := start.last().Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("the server of the integration got %q", got)
		}
		if got := target.last().Header.Get("Authorization"); got != "" {
			t.Errorf("the other server got %q", got)
		}
	})
}

func TestErrorsOfServers(t *testing.T) {
	t.Parallel()
	server := newAPI(t, map[string]http.HandlerFunc{
		"/401": status(401), "/403": status(403), "/404": status(404), "/410": status(410), "/500": status(500), "/503": status(503),
		"/302": status(302), "/203": status(203), "/304": status(304),
	})
	reader := newReader(t, setup{config: reading(object{"host": server.host()})})
	for path, want := range map[string]error{
		"/404": service.NotFoundError, "/410": service.NotFoundError, "/503": service.ServiceUnavailableError, "/304": service.NotModifiedError,
		"/401": nil, "/403": nil, "/500": nil, "/302": nil, "/203": nil,
	} {
		_, err := reader.ReadURL(t.Context(), server.URL+path, service.URLReadOptions{Token: "secret"})
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
			continue
		}
		if want == nil && errors.Is(err, service.NotFoundError) {
			t.Errorf("%s: %v", path, err)
		}
		if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), server.host()+path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		answer http.HandlerFunc
		waits  time.Duration // 0 if it doesn't wait
	}{
		{"Retry-After in seconds", status(429, "Retry-After", "7"), 7 * time.Second},
		{"Retry-After as a date", status(503, "Retry-After", start.Add(9*time.Second).Format(http.TimeFormat)), 9 * time.Second},
		{"the limit of GitHub", status(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", fmt.Sprint(start.Add(5*time.Second).Unix())), 5 * time.Second},
		{"the secondary limit of GitHub", status(403, "Retry-After", "3"), 3 * time.Second},
		{"the limit of GitLab", status(429, "RateLimit-Remaining", "0", "RateLimit-Reset", fmt.Sprint(start.Add(2*time.Second).Unix())), 2 * time.Second},
		{"too long", status(429, "Retry-After", "3600"), 0},
		{"far too long", status(429, "Retry-After", "999999999999999999"), 0},
		{"without a time", status(429), 0},
		{"in the past", status(429, "Retry-After", start.Add(-time.Hour).Format(http.TimeFormat)), 0},
		{"nonsense", status(429, "Retry-After", "-1 soon"), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := newAPI(t, map[string]http.HandlerFunc{"/a": func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					test.answer(w, r)
					return
				}
				text("a")(w, r)
			}})
			clock := clockwork.NewFakeClockAt(start)
			reader := newReader(t, setup{config: reading(object{"host": server.host()}), clock: clock})
			if test.waits == 0 {
				_, err := reader.ReadURL(t.Context(), server.URL+"/a", service.URLReadOptions{})
				if !errors.Is(err, service.ServiceUnavailableError) || !strings.Contains(err.Error(), "rate limit") {
					t.Errorf("%v, want a ServiceUnavailableError", err)
				}
				return
			}
			done := make(chan error)
			go func() {
				_, err := reader.ReadURL(t.Context(), server.URL+"/a", service.URLReadOptions{})
				done <- err
			}()
			if err := clock.BlockUntilContext(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			clock.Advance(test.waits - time.Millisecond)
			select {
			case err := <-done:
				t.Fatalf("it did not wait: %v", err)
			default:
			}
			clock.Advance(time.Millisecond)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("no longer than the context", func(t *testing.T) {
		t.Parallel()
		server := newAPI(t, map[string]http.HandlerFunc{"/a": status(429, "Retry-After", "20")})
		clock := clockwork.NewFakeClockAt(start)
		reader := newReader(t, setup{config: reading(object{"host": server.host()}), clock: clock})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := reader.ReadURL(ctx, server.URL+"/a", service.URLReadOptions{})
			done <- err
		}()
		if err := clock.BlockUntilContext(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, service.ServiceUnavailableError) {
			t.Error(err)
		}
	})
}

func TestRetriesOfGitLab(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := newAPI(t, map[string]http.HandlerFunc{
		"/api/v4/projects/acme%2Fshop/repository/files/a/raw?ref=main": func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) < 4 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			text("a")(w, r)
		},
	})
	clock := clockwork.NewFakeClock()
	reader := newReader(t, setup{clock: clock, config: object{"integrations": object{"gitlab": []any{object{
		"host": server.host(), "apiBaseUrl": server.URL + "/api/v4", "baseUrl": server.URL,
		"retry": object{"maxRetries": 3, "retryStatusCodes": []any{502}, "maxApiRequestsPerMinute": 60},
	}}}}})
	done := make(chan error)
	go func() {
		_, err := reader.ReadURL(t.Context(), server.URL+"/acme/shop/-/blob/main/a", service.URLReadOptions{})
		done <- err
	}()
	for range 3 {
		if err := clock.BlockUntilContext(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Minute)
	}
	if err := <-done; err != nil || asked.Load() != 4 {
		t.Errorf("after %d requests: %v", asked.Load(), err)
	}
}

func TestFilesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	server := newAPI(t, map[string]http.HandlerFunc{
		"/told": bytesOf(make([]byte, 1001)),
		"/endless": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		},
		"/just": bytesOf(make([]byte, 1000)),
	})
	cfg := reading(object{"host": server.host()})
	cfg["backend"].(object)["reading"].(object)["limits"] = object{"maxFileSize": 1000}
	reader := newReader(t, setup{config: cfg})
	for _, path := range []string{"/told", "/endless"} {
		file, err := reader.ReadURL(t.Context(), server.URL+path, service.URLReadOptions{})
		if err == nil {
			_, err = file.Bytes()
		}
		if !errors.Is(err, service.InputError) || !strings.Contains(err.Error(), "maxFileSize") {
			t.Errorf("%s: %v", path, err)
		}
	}
	file, err := reader.ReadURL(t.Context(), server.URL+"/just", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := file.Bytes(); err != nil || len(content) != 1000 {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}

func TestServerThatHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("begin"))
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	clock := clockwork.NewFakeClock()
	reader := newReader(t, setup{config: reading(object{"host": host(server.URL)}), clock: clock})
	ctx, cancel := context.WithCancel(t.Context())
	file, err := reader.ReadURL(ctx, server.URL+"/", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(file.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := file.Bytes(); !errors.Is(err, context.Canceled) {
		t.Errorf("reading on: %v", err)
	}

	// Without anybody losing patience, the reader itself does.
	file, err = reader.ReadURL(t.Context(), server.URL+"/", service.URLReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	var advancing sync.WaitGroup
	advancing.Go(func() {
		// The time runs while the body is being read.
		for clock.BlockUntilContext(ctx, 1) == nil {
			clock.Advance(time.Minute)
		}
	})
	_, err = file.Bytes()
	cancel()
	advancing.Wait()
	if err == nil || !strings.Contains(err.Error(), "has sent nothing") {
		t.Errorf("after a minute: %v", err)
	}
}
