package integration_test

import (
	"fmt"
	"log"
	"log/slog"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/integration"
)

// A target in a catalog-info.yaml is relative to the file.
func ExampleIntegrations_ResolveURL() {
	in, err := integration.New(config.Static(map[string]any{}), service.RootLogger{Logger: slog.New(slog.DiscardHandler)},
		clockwork.NewRealClock(), fxtest.NewLifecycle(nil))
	if err != nil {
		log.Fatal(err)
	}
	const base = "https://github.com/acme/shop/blob/main/services/cart/catalog-info.yaml"
	for _, target := range []string{"./openapi.yaml", "/docs"} {
		resolved, err := in.ResolveURL(target, base, 0)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resolved)
	}
	// Output:
	// https://github.com/acme/shop/tree/main/services/cart/openapi.yaml
	// https://github.com/acme/shop/tree/main/docs
}
