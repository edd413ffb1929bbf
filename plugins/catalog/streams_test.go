package catalog_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

// TestStreamsOfOneUserAreBounded opens as many streams as one user may have.
func TestStreamsOfOneUserAreBounded(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin())
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	open := func(user string) (status int, end func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL()+"/api/catalog/changes", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Authorization", "Bearer "+`mock-user-token:{"sub":"`+user+`"}`)
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		end = func() {
			cancel()
			_ = res.Body.Close() // its context has ended
		}
		t.Cleanup(end)
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
