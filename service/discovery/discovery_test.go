package discovery_test

import (
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/discovery"
)

func TestBaseURL(t *testing.T) {
	t.Parallel()
	var found service.Discovery
	b := backendtest.Start(t, service.Root[service.Discovery](discovery.New),
		backendtest.Config(map[string]any{"backend": map[string]any{"baseUrl": "https://portal.example.com"}}),
		plugin.New("todo", plugin.Init(func(d service.Discovery) { found = d })))
	got, err := found.BaseURL(t.Context(), "user-settings")
	if want := b.URL() + "/api/user-settings"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
