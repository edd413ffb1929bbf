package incremental_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/incremental"
	"github.com/portico-dev/portico/service"
)

// inventory is a source with an API that answers pages: {"items": ["shop", …], "next": "token"}.
type inventory struct {
	url string
}

// Name implements incremental.Provider.
func (i *inventory) Name() string { return "inventory" }

// Around implements incremental.Provider.
func (i *inventory) Around(ctx context.Context, burst func(context.Context, *http.Client) error) error {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	return burst(ctx, client)
}

// Next implements incremental.Provider.
func (i *inventory) Next(ctx context.Context, client *http.Client, cursor *string) (incremental.Page[string], error) {
	var page incremental.Page[string]
	url := i.url
	if cursor != nil {
		url += "?page=" + *cursor
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return page, err
	}
	res, err := client.Do(r)
	if err != nil {
		return page, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return page, fmt.Errorf("the inventory answers %s", res.Status)
	}
	var answer struct {
		Items []string
		Next  *string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return page, fmt.Errorf("reading the inventory's answer: %w", err)
	}
	page.Next = answer.Next
	for _, name := range answer.Items {
		e, err := newResource(name)
		if err != nil {
			return page, err
		}
		page.Entities = append(page.Entities, catalog.DeferredEntity{Entity: e})
	}
	return page, nil
}

// Topics implements incremental.EventHandler.
func (i *inventory) Topics() []string { return []string{"inventory"} }

// OnEvent implements incremental.EventHandler.
func (i *inventory) OnEvent(_ context.Context, event service.Event) (catalog.Mutation, error) {
	var change struct{ Added, Removed string }
	if err := event.Decode(&change); err != nil {
		return catalog.Mutation{}, err
	}
	if change.Removed != "" {
		return catalog.DeltaMutation(nil, []catalogmodel.Ref{{Kind: "resource", Name: change.Removed}}), nil
	}
	e, err := newResource(change.Added)
	if err != nil {
		return catalog.Mutation{}, err
	}
	return catalog.DeltaMutation([]catalogmodel.Entity{e}, nil), nil
}

func newResource(name string) (catalogmodel.Entity, error) {
	return catalogmodel.Resource.New(name, catalogmodel.ResourceSpec{Type: "server", Owner: "operations"})
}

// inventoryModule reads catalog.providers.inventory.
func inventoryModule() plugin.Module {
	return plugin.NewModule("catalog", "inventory", plugin.Init(func(cfg service.Config, providers incremental.Providers) error {
		var settings struct {
			URL                 string `config:"url" schema:"required"`
			incremental.Options        // burstInterval and so on
		}
		if err := cfg.Decode("catalog.providers.inventory", &settings); err != nil {
			return err
		}
		providers.AddProvider(incremental.NewSource(&inventory{url: settings.URL}, settings.Options))
		return nil
	}))
}

// A company's portal that reads its inventory page by page.
func Example() {
	_ = func() { // in its main
		backend.Main(catalog.Plugin(), incremental.Module(), inventoryModule())
	}
}

// serveInventory answers the pages over real HTTP. The interval is so long that tests themselves say when there are bursts, but for the
// first one.
func serveInventory(t *testing.T, answer http.HandlerFunc) map[string]any {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return map[string]any{
		"url": server.URL, "burstInterval": "P1Y", "burstLength": "3s", "restLength": "P1D",
		"backoff": []any{"PT1M", map[string]any{"minutes": 5}},
	}
}
