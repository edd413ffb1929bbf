package database

import (
	"context"
	_ "embed"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

//go:embed schema.json
var schema []byte

// Services declares the *[Manager] of a backend and the *bun.DB of each plugin, which the manager opens.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Manager](NewManager, service.ConfigSchema(schema)),
		service.PerPlugin[*bun.DB](open),
	}
}

func open(ctx context.Context, manager *Manager, meta plugin.Metadata, health service.Health) (*bun.DB, error) {
	db, err := manager.Open(ctx, meta.ID)
	if err != nil {
		return nil, err
	}
	health.AddCheck("database", db.PingContext)
	return db, nil
}
