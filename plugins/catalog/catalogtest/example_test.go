package catalogtest_test

import (
	"context"
	"fmt"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
)

func ExampleClient() {
	shop, err := catalogmodel.Component.New("shop", catalogmodel.ComponentSpec{Type: "website", Lifecycle: "production", Owner: "team-a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := catalogtest.Client(shop)
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := client.EntityByRef(context.Background(), catalogmodel.Ref{Kind: "component", Namespace: "default", Name: "shop"})
	fmt.Println(found.Ref(), err)
	// Output: component:default/shop <nil>
}
