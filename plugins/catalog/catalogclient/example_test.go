package catalogclient_test

import (
	"context"
	"fmt"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
)

// A plugin asks for a *catalogclient.Client; here it comes from catalogtest.
func ExampleClient_Entities() {
	api, err := catalogmodel.Component.New("shop", catalogmodel.ComponentSpec{Type: "service", Lifecycle: "production", Owner: "team-a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := catalogtest.Client(api)
	if err != nil {
		fmt.Println(err)
		return
	}
	services, err := client.Entities(context.Background(), catalogclient.Query{Filter: []string{"kind=component,spec.type=service"}})
	fmt.Println(len(services), err)
	// Output: 1 <nil>
}
