package catalog_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// stream opens a stream of changes for a user, until end is called.
func stream(t *testing.T, client *http.Client, catalogURL, user string) (res *http.Response, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, catalogURL+"/changes", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", `Bearer mock-user-token:{"sub":"`+user+`"}`)
	if res, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	end = func() {
		cancel()
		_ = res.Body.Close() // its context has ended
	}
	t.Cleanup(end)
	return res, end
}

// TestStreamsOfOneUserAreBounded opens as many streams as one user may have.
func TestStreamsOfOneUserAreBounded(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin())
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	open := func(user string) (status int, end func()) {
		t.Helper()
		res, end := stream(t, client, b.URL()+"/api/catalog", user)
		return res.StatusCode, end
	}
	var last func()
	for i := range 100 {
		status, end := open("user:default/greedy")
		if status != http.StatusOK {
			t.Fatalf("stream %d: status %d", i, status)
		}
		last = end
	}
	if status, _ := open("user:default/greedy"); status != http.StatusTooManyRequests {
		t.Errorf("one more: status %d", status)
	}
	if status, _ := open("user:default/modest"); status != http.StatusOK {
		t.Errorf("somebody else: status %d", status)
	}
	last()
	await(t, "a place to be free", func() bool {
		status, _ := open("user:default/greedy")
		return status == http.StatusOK
	})
}

// TestStreamsAreBounded opens as many streams as there may be in all, by many users. They are opened from within the backend, where they need no
// sockets; who comes too late is outside.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	var inside *http.Client
	var discovery service.Discovery
	b := backendtest.Start(t, catalog.Plugin(), plugin.New("reader", plugin.Init(func(client *http.Client, d service.Discovery) { inside, discovery = client, d })))
	base, err := discovery.BaseURL(t.Context(), "catalog")
	if err != nil {
		t.Fatal(err)
	}
	var last func()
	for i := range 2000 {
		res, end := stream(t, inside, base, fmt.Sprint("user:default/reader-", i%20))
		if res.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: status %d", i, res.StatusCode)
		}
		last = end
	}
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	res, _ := stream(t, client, b.URL()+"/api/catalog", "user:default/late")
	answer := backendtest.JSON[struct {
		Error struct{ Name, Message string }
	}](t, res)
	if res.StatusCode != http.StatusServiceUnavailable || answer.Error.Name != "ServiceUnavailableError" ||
		!strings.Contains(answer.Error.Message, "2000 streams") || res.Header.Get("Retry-After") != "15" {
		t.Errorf("one more: status %d, Retry-After %q, %+v", res.StatusCode, res.Header.Get("Retry-After"), answer.Error)
	}
	if status := b.As(t, "user:default/late").Get("/api/catalog/changes").StatusCode; status != http.StatusOK {
		t.Errorf("page by page: status %d", status)
	}
	last()
	await(t, "a place to be free", func() bool {
		res, _ := stream(t, client, b.URL()+"/api/catalog", "user:default/late")
		return res.StatusCode == http.StatusOK
	})
}
