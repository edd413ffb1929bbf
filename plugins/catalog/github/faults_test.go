package github_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-dev/portico/plugins/catalog/github"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// limited answers as a server that has had enough.
func limited(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// reset is when a rate limit begins anew, as header.
func reset(in time.Duration) string { return fmt.Sprint(time.Now().Add(in).Unix()) }

// TestFaultsThatPass has the server fail once, in the middle of a list. The run goes on, and not too early.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	const exceeded = `{"message": "API rate limit exceeded for installation ID 1.", "documentation_url": "https://docs.github.com/rest"}`
	for name, test := range map[string]struct {
		fault http.HandlerFunc
		// pause is the least time that passes before the next request.
		pause time.Duration
		want  string
	}{
		"502":             {limited(502, "<html>Bad gateway"), 0, "it answered 502 Bad Gateway"},
		"500":             {limited(500, ""), 0, "it answered 500"},
		"429 and a pause": {limited(429, exceeded, "Retry-After", "90"), 90 * time.Second, "its rate limit is exceeded (429 Too Many Requests); it asks to come back in 1m30s"},
		"403 and a reset": {limited(403, exceeded, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset(20*time.Minute)), 19 * time.Minute, "its rate limit is exceeded"},
		"a secondary limit": {limited(403, `{"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`),
			time.Minute, "its rate limit is exceeded (403 Forbidden)"},
		"a limit of GraphQL": {limited(200, `{"data": null, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}`,
			"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset(10*time.Minute)), 9 * time.Minute, "its rate limit is exceeded (RATE_LIMITED)"},
		"garbage":          {limited(200, "<html>Please sign in"), 0, "the answer is not the expected JSON"},
		"JSON of no kind":  {limited(200, `{"data": []}`), 0, "the answer is not the expected JSON"},
		"half an answer":   {limited(200, `{"data": {`, "Content-Length", "100"), 0, "the answer ended early"},
		"no answer at all": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "it can't be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newGitHub(t)
			s.repos["acme"] = acme()
			failed := make(chan struct{})
			s.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n == 2 {
					close(failed)
					test.fault(w, r)
				}
				return n == 2
			}
			b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "acme", "pageSizes": object{"repositories": 3}}}))
			<-failed
			served.Await(t, "the failure to be logged", func() bool { return strings.Contains(b.Log.String(), test.want) })
			began := b.Clock.Now()
			served.Await(t, "the rest of the run", func() bool {
				if len(s.operations()) == 2 {
					b.Clock.Advance(time.Second)
				}
				return strings.Contains(b.Log.String(), "Read 6 GitHub repositories")
			})
			if passed := b.Clock.Since(began); passed < test.pause {
				t.Errorf("the server was asked again after %s, want %s", passed, test.pause)
			}
		})
	}
}

// TestFaultsThatStay has runs fail. What was there before stays.
func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		fault http.HandlerFunc
		want  string
	}{
		"refused":       {limited(401, `{"message": "Bad credentials"}`), "it refuses the credentials (401 Unauthorized)"},
		"forbidden":     {limited(403, `{"message": "Forbidden"}`), "the credentials don't allow that (403 Forbidden)"},
		"nothing there": {limited(404, ""), "there is nothing (404 Not Found)"},
		"a redirect to somebody else": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "a redirect that isn't followed"},
		"a redirect to a cloud's secret":   {limited(302, "", "Location", "http://169.254.169.254/latest/meta-data/"), "a redirect that isn't followed"},
		"an answer without an end":         {endless, "the answer is larger than 32 MiB"},
		"an organization that isn't there": {limited(200, `{"data": {"repositoryOwner": null}}`), "the repositories of acme: there is nothing of the kind"},
		"an error":                         {limited(200, `{"data": {"repositoryOwner": {"repositories": {"nodes": [], "pageInfo": {"hasNextPage": false}}}}, "errors": [{"message": "Something went wrong"}]}`), "Something went wrong"},
		"the same page for ever": {limited(200, `{"data": {"repositoryOwner": {"repositories": {"nodes": [], "pageInfo": {"hasNextPage": true, "endCursor": "x"}}}}}`),
			"the same page again and again"},
		"a limit that lasts": {limited(429, "", "Retry-After", "86400"), "it asks to come back in 24h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newGitHub(t)
			s.repos["acme"] = acme()[4:5]
			b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "acme"}}))
			const shop = "/acme/shop/blob/main/catalog-info.yaml"
			served.Targets(t, b, s.URL, shop)
			s.with(func() {
				s.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
					test.fault(w, r)
					return true
				}
			})
			err := b.RunTask(t, "catalog", "github-provider:default:refresh")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			} else if strings.Contains(err.Error(), "pat") || strings.Contains(b.Log.String(), `"Bearer`) {
				t.Errorf("the token is told: %v", err)
			}
			served.Targets(t, b, s.URL, shop)
			if n := asked.Load(); n != 0 {
				t.Errorf("somebody else was asked %d times", n)
			}
		})
	}
}

// endless answers a gigabyte.
func endless(w http.ResponseWriter, _ *http.Request) {
	chunk := bytes.Repeat([]byte(" "), 1<<20)
	for range 1 << 10 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// TestMemoryOfLargeAnswers looks at what is kept of an answer without an end.
func TestMemoryOfLargeAnswers(t *testing.T) {
	s := newGitHub(t)
	s.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		endless(w, r)
		return true
	}
	b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "acme", "schedule": object{"frequency": object{"trigger": "manual"}, "timeout": "1m"}}}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := b.RunTask(t, "catalog", "github-provider:default:refresh"); err == nil {
		t.Error("it was read")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 512<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

// TestStopWhileTheServerHangs stops the backend in the middle of a run.
func TestStopWhileTheServerHangs(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	hangs := make(chan struct{})
	s.fault = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		close(hangs)
		<-r.Context().Done()
		return true
	}
	b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "acme"}}))
	<-hangs
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Error(err)
	}
}
