package cache

import (
	_ "embed"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

//go:embed schema.json
var schema []byte

// Services declares the *[Manager] of a backend and the service.Cache of each plugin, which the manager makes.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Manager](NewManager, service.ConfigSchema(schema)),
		service.PerPlugin[service.Cache](func(manager *Manager, meta plugin.Metadata) service.Cache {
			return manager.Cache(meta.ID)
		}),
	}
}
