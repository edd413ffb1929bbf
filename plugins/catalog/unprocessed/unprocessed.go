// Package unprocessed is a module of the catalog plugin that tells of entities that were brought but are not served, or not as they were
// brought. It is @backstage/plugin-catalog-backend-module-unprocessed, for the frontend's catalog-unprocessed-entities.
//
//	backend.Main(catalog.Plugin(), unprocessed.Module())
//
// # Routes
//
// They are those of Backstage, below /api/catalog. The owner is compared with spec.owner as it is written.
//
//	GET    /entities/unprocessed/failed?owner=        entities with errors
//	GET    /entities/unprocessed/pending?owner=       entities that have yet to be processed
//	DELETE /entities/unprocessed/delete/:entity_id    forgets one; who has brought it may bring it again
//
// They need the permissions catalog.entities.unprocessed.read and catalog.entities.unprocessed.delete.
//
// # Differences from Backstage
//
// Entities with errors are told of also if the catalog goes on serving what they were before, and Locations if something that they lead to
// can't be taken. When an entity was last discovered is not recorded: it is when it was asked for, since an entity that nobody brings
// any more is not there.
package unprocessed

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Module adds the routes.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "catalog-module-unprocessed-entities", plugin.Init(start))
}

type deps struct {
	fx.In

	Router      *echo.Group
	DB          *bun.DB
	Clock       clockwork.Clock
	Auth        service.HTTPAuth
	Permissions service.Permissions
}

func start(d deps) {
	// The catalog follows the log of its database, in which it learns of what is deleted here.
	r := routes{store: store.New(d.DB, d.Clock.Now, func(context.Context, []store.Change) {}), deps: d}
	g := d.Router.Group("/entities/unprocessed")
	g.GET("/failed", r.list("failed", r.store.Failed))
	g.GET("/pending", r.list("pending", r.store.Pending))
	g.DELETE("/delete/:entity_id", r.delete)
}

type routes struct {
	deps
	store *store.Store
}

func (r routes) require(c echo.Context, p service.Permission) error {
	who, err := r.Auth.Credentials(c.Request())
	if err != nil {
		return err
	}
	return service.RequirePermission(c.Request().Context(), r.Permissions, who, p)
}

// entity is an entity in the form of Backstage's table refresh_state.
type entity struct {
	ID            string          `json:"entity_id"`
	Ref           string          `json:"entity_ref"`
	Unprocessed   json.RawMessage `json:"unprocessed_entity"`
	Hash          string          `json:"unprocessed_hash"`
	Processed     json.RawMessage `json:"processed_entity"` // null if it never was
	ResultHash    string          `json:"result_hash"`
	Due           time.Time       `json:"next_update_at"`
	LastDiscovery time.Time       `json:"last_discovery_at"`
	Errors        []store.Error   `json:"errors"`
	LocationKey   string          `json:"location_key"`
}

func (r routes) list(kind string, read func(context.Context) ([]store.Unprocessed, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := r.require(c, catalogpermission.UnprocessedRead); err != nil {
			return err
		}
		found, err := read(c.Request().Context())
		if err != nil {
			return err
		}
		entities, now := []entity{}, r.Clock.Now().UTC()
		for _, u := range found {
			if owner := c.QueryParam("owner"); owner != "" {
				if e, err := catalogmodel.ParseJSON(u.Ingested); err != nil || e.Get("spec", "owner").Text() != owner {
					continue
				}
			}
			entities = append(entities, entity{
				ID: u.ID, Ref: u.Ref, Unprocessed: u.Ingested, Hash: u.IngestedHash, Processed: u.Processed, ResultHash: u.ResultHash,
				Due: u.Due.UTC(), LastDiscovery: now, Errors: u.Errors, LocationKey: u.LocationKey,
			})
		}
		return c.JSON(http.StatusOK, map[string]any{"type": kind, "entities": entities})
	}
}

func (r routes) delete(c echo.Context) error {
	if err := r.require(c, catalogpermission.UnprocessedDelete); err != nil {
		return err
	}
	if err := r.store.DeleteByUID(c.Request().Context(), c.Param("entity_id")); err != nil && !errors.Is(err, service.NotFoundError) {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
