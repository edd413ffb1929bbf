package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"

	"github.com/portico-dev/portico/examples/entityprovider/cmdb"
)

// TestCMDB runs the catalog with the module, on a CMDB that forgets a system between two readings.
func TestCMDB(t *testing.T) {
	t.Parallel()
	var answer atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answer.Load().(string))
	}))
	t.Cleanup(server.Close)
	answer.Store(`[{"name":"shop","owner":"team-a","stage":"production"},{"name":"old","owner":"team-b","stage":"deprecated"}]`)
	b := backendtest.Start(t, catalog.Plugin(), cmdb.Module(), backendtest.Config(map[string]any{
		"catalog": map[string]any{"providers": map[string]any{"cmdb": map[string]any{"url": server.URL, "every": "5m"}}},
	}))
	guest := b.As(t, "user:default/guest")
	status := func(name string) int {
		return guest.Get("/api/catalog/entities/by-name/component/default/" + name).StatusCode
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); {
			if time.Now().After(deadline) {
				t.Fatal("never happened: " + what)
			}
		}
	}
	until("both systems are in the catalog", func() bool { return status("shop") == http.StatusOK && status("old") == http.StatusOK })

	answer.Store(`[{"name":"shop","owner":"team-a","stage":"production"}]`)
	if err := b.RunTask(t, "catalog", "cmdb-refresh"); err != nil {
		t.Fatal(err)
	}
	until("the forgotten system is gone", func() bool { return status("old") == http.StatusNotFound })
	if got := status("shop"); got != http.StatusOK {
		t.Errorf("the other system answers %d", got)
	}
}
