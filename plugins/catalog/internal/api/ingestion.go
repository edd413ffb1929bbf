package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/internal/access"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Ingestion answers requests about how entities get into the catalog.
type Ingestion struct {
	// Refresh has an entity processed as soon as possible, together with the Locations that it came from. An unknown one is a
	// NotFoundError.
	Refresh func(ctx context.Context, ref string) error
	// Delete deletes the entity with a uid. An unknown one is a NotFoundError, which is none to clients.
	Delete func(ctx context.Context, uid string) error
	// Process processes an entity without storing anything.
	Process func(ctx context.Context, work store.Work) store.Result
	// Entity answers the entity with a uid if the condition holds for it, and none otherwise.
	Entity func(uid string, where query.Predicate) index.Entity
	// Access tells what callers may do.
	Access *access.Control
}

// Register adds the routes.
func (i Ingestion) Register(router Router) {
	router.DELETE("/entities/by-uid/:uid", i.deleteByUID)
	router.POST("/refresh", i.refresh)
	router.POST("/validate-entity", i.validateEntity)
}

func (i Ingestion) deleteByUID(c echo.Context) error {
	where, err := i.Access.Within(c.Request(), catalogpermission.EntityDelete)
	if err != nil {
		return err
	}
	if where != nil && !i.Entity(c.Param("uid"), where).Exists() {
		return denied(catalogpermission.EntityDelete)
	}
	if err := i.Delete(c.Request().Context(), c.Param("uid")); err != nil && !errors.Is(err, service.NotFoundError) {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (i Ingestion) refresh(c echo.Context) error {
	var text string
	if err := decode(c, body{"entityRef": &text}); err != nil {
		return err
	}
	ref, err := catalogmodel.ParseRef(text, catalogmodel.RefDefaults{})
	if err != nil {
		return service.NotFoundError.Errorf("Entity %s not found", text)
	}
	if err := i.Access.Require(c.Request(), catalogpermission.EntityRefresh, ref.String()); err != nil {
		return err
	}
	if err := i.Refresh(c.Request().Context(), ref.String()); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// validateEntity processes an entity as if it had been read at the location, and answers what is wrong with it.
func (i Ingestion) validateEntity(c echo.Context) error {
	var entity json.RawMessage
	var location string
	if err := decode(c, body{"entity": &entity, "location": &location}); err != nil {
		return err
	}
	if err := i.Access.Require(c.Request(), catalogpermission.EntityValidate); err != nil {
		return err
	}
	e, err := catalogmodel.ParseJSON(entity)
	if err == nil {
		err = ingest.CheckEnvelope(e)
	}
	if err == nil {
		var ref catalogmodel.LocationRef
		if ref, err = catalogmodel.ParseLocationRef(location); err == nil && ref.Type != "url" {
			err = service.InputError.Errorf("Invalid location ref %s, only 'url:<target>' is supported, e.g. url:https://host/path", location)
		}
	}
	if err != nil { // before an entity is processed, Backstage names no errors of its own
		return failed(c, store.Error{Name: "TypeError", Message: err.Error()})
	}
	// Whatever the entity itself says: with the location of a file it would get at files.
	e = e.WithAnnotation(catalogmodel.AnnotationManagedByLocation, location).
		WithAnnotation(catalogmodel.AnnotationManagedByOriginLocation, location)
	result := i.Process(c.Request().Context(), store.Work{Ref: e.Ref().String(), JSON: e.AppendJSON(nil)})
	if len(result.Errors) > 0 {
		return failed(c, result.Errors...)
	}
	return c.NoContent(http.StatusOK)
}

func denied(p service.Permission) error {
	return service.NotAllowedError.Errorf("Permission %s is denied", p.Name)
}

// failed answers what is wrong with an entity.
func failed(c echo.Context, failures ...store.Error) error {
	return c.JSON(http.StatusBadRequest, map[string]any{"errors": failures})
}
