package cache

import (
	_ "embed"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/telemetry"
)

//go:embed schema.json
var schema []byte

// Services declares the *[Manager] of a backend and the service.Cache of each plugin, which the manager makes.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Manager](newManager, service.ConfigSchema(schema)),
		service.PerPlugin[service.Cache](func(manager *Manager, meta plugin.Metadata) service.Cache {
			return manager.Cache(meta.ID)
		}),
	}
}

// newManager makes a manager whose caches are recorded, if anybody wants to know of them.
func newManager(config service.Config, log service.RootLogger, lifecycle fx.Lifecycle, providers telemetry.Providers) (*Manager, error) {
	m, err := NewManager(config, log, lifecycle)
	if err != nil {
		return nil, err
	}
	m.observer, err = newObserver(providers)
	return m, err
}
