package catalogtest_test

import (
	"errors"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
	"github.com/portico-dev/portico/service"
)

func TestClient(t *testing.T) {
	t.Parallel()
	shop, err := catalogmodel.Component.New("shop", catalogmodel.ComponentSpec{Type: "website", Lifecycle: "production", Owner: "team"})
	if err != nil {
		t.Fatal(err)
	}
	client, err := catalogtest.Client(shop)
	if err != nil {
		t.Fatal(err)
	}
	found, err := client.Entities(t.Context(), catalogclient.Query{Filter: []string{"kind=component,spec.type=website"}})
	if err != nil || len(found) != 1 || found[0].Name() != "shop" {
		t.Errorf("got %v, %v", found, err)
	}
	if _, err := client.EntityByRef(t.Context(), catalogmodel.Ref{Kind: "component", Namespace: "default", Name: "absent"}); !errors.Is(err, service.NotFoundError) {
		t.Errorf("an absent entity: %v", err)
	}
}
