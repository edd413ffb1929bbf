package database

import (
	"context"
	_ "embed"

	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/telemetry"
)

//go:embed schema.json
var schema []byte

// Services declares the *[Manager] of a backend and the *bun.DB of each plugin, which the manager opens.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Manager](newManager, service.ConfigSchema(schema)),
		service.PerPlugin[*bun.DB](open),
	}
}

// newManager makes a manager whose statements are recorded, if anybody wants to know of them.
func newManager(config service.Config, log service.RootLogger, lifecycle fx.Lifecycle, providers telemetry.Providers) (*Manager, error) {
	m, err := NewManager(config, log, lifecycle)
	if err != nil {
		return nil, err
	}
	m.providers = providers
	return m, nil
}

func open(ctx context.Context, manager *Manager, meta plugin.Metadata, health service.Health) (*bun.DB, error) {
	db, err := manager.Open(ctx, meta.ID)
	if err != nil {
		return nil, err
	}
	health.AddCheck("database", db.PingContext)
	return db, nil
}
