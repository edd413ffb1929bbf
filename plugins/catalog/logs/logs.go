// Package logs is a module of the catalog plugin that logs what goes wrong in processing entities: one entry for each error, with the entity
// and where it was read. It is @backstage/plugin-catalog-backend-module-logs.
//
//	backend.Main(catalog.Plugin(), logs.Module())
//
// The catalog publishes the errors of an entity when they are not those of the time before, so each is logged once.
package logs

import (
	"context"
	"log/slog"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// Module logs the errors of entities.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "logs", plugin.Init(func(events service.Events, log *slog.Logger) error {
		return events.Subscribe(service.Subscription{
			ID: "catalog-module-logs", Topics: []string{catalog.ErrorsTopic},
			OnEvent: func(ctx context.Context, event service.Event) error {
				var failed catalog.ProcessingErrors
				if err := event.Decode(&failed); err != nil {
					return err
				}
				for _, e := range failed.Errors {
					log.WarnContext(ctx, e.Message, "name", e.Name, "entity", failed.Entity, "location", failed.Location)
				}
				return nil
			},
		})
	}))
}
