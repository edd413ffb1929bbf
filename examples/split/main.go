// Command split is a portal that runs as one backend or as several: its configuration says which plugins a backend has, and where the
// others are.
//
//	cd examples/split
//	go run .                                                             # everything in one backend, or:
//	go run . --config app-config.yaml --config app-config.catalog.yaml & # only the catalog,
//	go run . --config app-config.yaml --config app-config.rest.yaml      # and beside it everything else
//
//	token=$(curl -s localhost:7007/api/auth/guest/refresh | jq -r .backstageIdentity.token)
//	curl -H "Authorization: Bearer $token" localhost:7007/api/mine
//
// In one backend, plugins call each other in memory. In two, the same calls go over the network; no plugin can tell.
package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/examples/split/mine"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/guest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

func main() {
	backend.Main(backend.Loader(configured))
}

// configured are the plugins that the configuration key portal.plugins names, with their modules. Without the key, it is all of them.
func configured(_ context.Context, config service.Config) ([]backend.Feature, error) {
	all := map[string][]backend.Feature{
		"auth":    {auth.Plugin(), guest.Module()},
		"catalog": {catalog.Plugin()},
		"mine":    {mine.Plugin()},
	}
	names := slices.Sorted(maps.Keys(all))
	ids := names
	if err := config.Decode("portal.plugins", &ids); err != nil {
		return nil, err
	}
	var features []backend.Feature
	for _, id := range ids {
		if all[id] == nil {
			return nil, fmt.Errorf("portal.plugins: there is no plugin %q, only %s", id, strings.Join(names, ", "))
		}
		features = append(features, all[id]...)
	}
	return features, nil
}
