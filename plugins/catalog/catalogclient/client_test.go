package catalogclient_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClient(t *testing.T) {
	t.Parallel()
	var client *catalogclient.Client
	ready := make(chan struct{})
	b := backendtest.Start(t,
		service.Root[service.Discovery](discovery.New),
		catalog.Plugin(),
		plugin.New("todo", plugin.Init(func(c *catalogclient.Client) { client = c; close(ready) })),
		backendtest.Config(map[string]any{
			"backend": map[string]any{"auth": map[string]any{"dangerouslyDisableDefaultAuthPolicy": true}},
			"catalog": map[string]any{
				"rules":     []any{map[string]any{"allow": []any{"Component", "API", "Resource", "System", "Domain", "Location", "User", "Group", "Template"}}},
				"locations": []any{map[string]any{"type": "file", "target": "../testdata/fixtures/all.yaml"}},
			},
		}),
		service.PerPlugin[*http.Client](newHTTP),
	)
	_ = b
	<-ready
	ctx := t.Context()
	deadline, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var all []catalogmodel.Entity
	for len(all) != 23 {
		select {
		case <-deadline.Done():
			t.Fatalf("%d entities", len(all))
		case <-tick.C:
		}
		var err error
		if all, err = client.Entities(ctx, catalogclient.Query{}); err != nil {
			t.Fatal(err)
		}
	}

	e, err := client.EntityByRef(ctx, catalogmodel.Ref{Kind: "Component", Name: "checkout-api"})
	if err != nil || e.Title() != "Checkout API" {
		t.Errorf("got %s, %v", e, err)
	}
	if _, err := client.EntityByRef(ctx, catalogmodel.Ref{Kind: "component", Name: "a/b"}); !errors.Is(err, service.NotFoundError) {
		t.Errorf("error is %v, want a NotFoundError", err)
	}
	if _, err := client.Entities(ctx, catalogclient.Query{Filter: []string{"=x"}}); !errors.Is(err, service.InputError) {
		t.Errorf("error is %v, want an InputError", err)
	}

	for subject, want := range map[string][]string{
		"user:default/jane.doe": {"checkout", "checkout", "checkout-api", "checkout-lib", "Checkout-Web", "commerce", "events", "good-in-bad-file",
			"new-service", "numbers", "orders-db", "artifacts", "tooling"},
		"user:default/nobody":  nil,
		"user:default/unknown": nil,
	} {
		owned, err := client.EntitiesOwnedBy(ctx, service.Credentials{Kind: service.AllowUser, Subject: subject})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range owned {
			names = append(names, e.Name())
		}
		slices.Sort(names)
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("%s owns %v, want %v", subject, names, want)
		}
	}
}

// newHTTP returns a client without connections that stay open behind the test.
func newHTTP() *http.Client { return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} }
