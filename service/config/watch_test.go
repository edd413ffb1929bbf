package config_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// watched is a store that is watching, and what it has told.
type watched struct {
	*config.Store
	changes chan struct{}
	failed  chan error
}

func watch(t *testing.T, options config.Options) *watched {
	t.Helper()
	w := &watched{changes: make(chan struct{}, 100), failed: make(chan error, 100)}
	options.Watch = true
	options.OnReloadError = func(err error) { w.failed <- err }
	if options.Env == nil {
		options.Env = []string{"X=x"}
	}
	var err error
	if w.Store, err = config.Load(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	w.Subscribe(func() { w.changes <- struct{}{} })
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// until waits for the value at a.
func (w *watched) until(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		var got string
		if err := w.Decode("a", &got); err != nil {
			t.Fatal(err)
		}
		if got == want {
			return
		}
		select {
		case <-w.changes:
		case err := <-w.failed:
			t.Fatal(err)
		case <-deadline:
			t.Fatalf("a is %q, want %q", got, want)
		}
	}
}

func TestWatchFiles(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"app-config.yaml": "a: {$file: sub/a.txt}\n", "sub/a.txt": "1", "more/b.txt": "b1"})
	w := watch(t, config.Options{Dir: dir})
	w.until(t, "1")

	put(t, filepath.Join(dir, "sub/a.txt"), "2")
	w.until(t, "2")

	// A file that is replaced, as editors do.
	put(t, filepath.Join(dir, "new"), "a: '3'\n")
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "app-config.yaml")); err != nil {
		t.Fatal(err)
	}
	w.until(t, "3")

	// A file that wasn't there, which refers to a directory that wasn't watched.
	put(t, filepath.Join(dir, "app-config.local.yaml"), "a: {$include: more/c.yaml#v}\n")
	err := <-w.failed
	if got := problems(t, err); len(got) != 1 || !strings.Contains(got[0], "there is no such file") {
		t.Fatalf("got %q", got)
	}
	put(t, filepath.Join(dir, "more/c.yaml"), "v: '4'\n")
	w.until(t, "4")

	if err := os.Remove(filepath.Join(dir, "app-config.local.yaml")); err != nil {
		t.Fatal(err)
	}
	w.until(t, "3")
}

// TestWatchConfigMap has a directory as Kubernetes mounts it: files are links through a link that is replaced.
func TestWatchConfigMap(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"..v1/app-config.yaml": "a: '1'\n", "..v2/app-config.yaml": "a: '2'\n"})
	link := func(from, to string) {
		t.Helper()
		if err := errorsOf(os.Symlink(to, filepath.Join(dir, "new")), os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, from))); err != nil {
			t.Fatal(err)
		}
	}
	link("..data", "..v1")
	link("app-config.yaml", "..data/app-config.yaml")
	w := watch(t, config.Options{Dir: dir})
	w.until(t, "1")
	link("..data", "..v2")
	w.until(t, "2")
	put(t, filepath.Join(dir, "..v3/app-config.yaml"), "a: '3'\n")
	link("..data", "..v3")
	w.until(t, "3")
}

func TestBrokenReload(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"app-config.yaml": "a: '1'\n"})
	w := watch(t, config.Options{Dir: dir})
	if err := w.Validate(service.ConfigSchemas{{Feature: "plugin a", Schema: []byte(`{"properties": {"a": {"enum": ["1", "2"], "visibility": "secret"}}}`)}}); err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{"a: [": "is not valid YAML", "a: '9'": "a (app-config.yaml:1:4): must be one of 1, 2"} {
		put(t, filepath.Join(dir, "app-config.yaml"), content)
		for err := <-w.failed; !strings.Contains(err.Error(), want); err = <-w.failed {
			t.Logf("also %v", err)
		}
		var got string
		if err := w.Decode("a", &got); err != nil || got != "1" {
			t.Errorf("after %q, a is %q, %v", content, got, err)
		}
	}
	if len(w.changes) > 0 {
		t.Error("a change was told")
	}
	put(t, filepath.Join(dir, "app-config.yaml"), "a: '2'\n")
	w.until(t, "2")
	if got := w.Secrets(); len(got) != 1 || got[0] != "2" {
		t.Errorf("secrets are %q", got)
	}
}

func TestWatchURL(t *testing.T) {
	t.Parallel()
	var content atomic.Value
	content.Store("a: '1'\n")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(content.Load().(string)))
	}))
	t.Cleanup(server.Close)
	w := watch(t, config.Options{Dir: t.TempDir(), Targets: []string{server.URL}, HTTPClient: server.Client(), PollInterval: time.Millisecond})
	w.until(t, "1")
	content.Store("a: ${X}\n")
	w.until(t, "x")
	content.Store("a: [\n")
	if err := <-w.failed; !strings.Contains(err.Error(), server.URL+":2:1") {
		t.Errorf("got %v", err)
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"app-config.yaml": "a: 1\n"})
	failed := make(chan error, 1)
	s, err := config.Load(t.Context(), config.Options{Dir: dir, OnReloadError: func(err error) { failed <- err }})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	cancel := s.Subscribe(func() {
		var got struct{ A int }
		if err := s.Decode("", &got); err != nil || got.A != 2 {
			t.Errorf("a subscriber sees %+v, %v", got, err)
		}
		calls++
	})
	reload := func(content string) {
		t.Helper()
		put(t, filepath.Join(dir, "app-config.yaml"), content)
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reload("a: 1 # the same\n")
	if calls != 0 {
		t.Error("a reload without a change was told")
	}
	reload("a: 2\n")
	if calls != 1 {
		t.Errorf("a change was told %d times", calls)
	}
	cancel()
	cancel()
	reload("a: 3\n")
	if calls != 1 {
		t.Error("a change was told after the subscription was cancelled")
	}
	s.Subscribe(func() { panic("oh") })
	reload("a: 4\n")
	if err := <-failed; !strings.Contains(err.Error(), "oh") {
		t.Errorf("got %v", err)
	}
}

// TestCancelWaits has a subscription cancelled while the subscriber is running.
func TestCancelWaits(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string]string{"app-config.yaml": "a: 1\n"})
	s, err := config.Load(t.Context(), config.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	running, done := make(chan struct{}), atomic.Bool{}
	cancel := s.Subscribe(func() {
		close(running)
		for range 1000 { // Long enough to be overtaken.
			s.Has("a")
		}
		done.Store(true)
	})
	put(t, filepath.Join(dir, "app-config.yaml"), "a: 2\n")
	reloaded := make(chan error)
	go func() { reloaded <- s.Reload(context.WithoutCancel(t.Context())) }()
	<-running
	cancel()
	if !done.Load() {
		t.Error("the subscriber was still running")
	}
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
}

func TestLoadEnds(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stuck) })
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(errors.New("enough"))
	_, err := config.Load(ctx, config.Options{Dir: t.TempDir(), Targets: []string{server.URL}, HTTPClient: server.Client()})
	if got := problems(t, err); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}
