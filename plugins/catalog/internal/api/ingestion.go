package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Ingestion answers requests about how entities get into the catalog.
type Ingestion struct {
	// Refresh has an entity processed as soon as possible, together with the Locations that it came from. An unknown one is a
	// NotFoundError.
	Refresh func(ctx context.Context, ref string) error
	// Process processes an entity without storing anything.
	Process func(ctx context.Context, work store.Work) store.Result
}

// Register adds the routes.
func (i Ingestion) Register(router *echo.Group) {
	router.POST("/refresh", i.refresh)
	router.POST("/validate-entity", i.validateEntity)
	router.POST("/analyze-location", i.analyzeLocation)
}

func (i Ingestion) refresh(c echo.Context) error {
	var request struct {
		EntityRef string `json:"entityRef"`
	}
	if err := decode(c, &request, "entityRef"); err != nil {
		return err
	}
	ref, err := catalogmodel.ParseRef(request.EntityRef, catalogmodel.RefDefaults{})
	if err != nil {
		return service.NotFoundError.Errorf("Entity %s not found", request.EntityRef)
	}
	if err := i.Refresh(c.Request().Context(), ref.String()); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// validateEntity processes an entity as if it had been read at the location, and answers what is wrong with it.
func (i Ingestion) validateEntity(c echo.Context) error {
	var request struct {
		Entity   json.RawMessage `json:"entity"`
		Location string          `json:"location"`
	}
	if err := decode(c, &request, "location", "entity"); err != nil {
		return err
	}
	e, err := catalogmodel.ParseJSON(request.Entity)
	if err == nil {
		err = ingest.CheckEnvelope(e)
	}
	if err == nil {
		var location catalogmodel.LocationRef
		if location, err = catalogmodel.ParseLocationRef(request.Location); err == nil && location.Type != "url" {
			err = service.InputError.Errorf("Invalid location ref %s, only 'url:<target>' is supported, e.g. url:https://host/path", request.Location)
		}
	}
	if err != nil {
		return failed(c, []store.Error{ingest.AsError(err)})
	}
	// Whatever the entity itself says: with the location of a file it would get at files.
	e = e.WithAnnotation(catalogmodel.AnnotationManagedByLocation, request.Location).
		WithAnnotation(catalogmodel.AnnotationManagedByOriginLocation, request.Location)
	result := i.Process(c.Request().Context(), store.Work{Ref: e.Ref().String(), JSON: e.AppendJSON(nil)})
	if len(result.Errors) > 0 {
		return failed(c, result.Errors)
	}
	return c.NoContent(http.StatusOK)
}

// failed answers what is wrong with an entity.
func failed(c echo.Context, failures []store.Error) error {
	return c.JSON(http.StatusBadRequest, map[string]any{"errors": failures})
}

// analyzeLocation proposes an entity for a repository that has none.
func (i Ingestion) analyzeLocation(c echo.Context) error {
	var request struct {
		Location struct {
			Type   string `json:"type"`
			Target string `json:"target"`
		} `json:"location"`
		Filename string `json:"catalogFilename"`
	}
	if err := decode(c, &request, "location"); err != nil {
		return err
	}
	target, err := url.Parse(request.Location.Target)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return service.InputError.Errorf("The given location.target is not a URL")
	}
	// Of /owner/repository/…, the second part is the name.
	parts := strings.Split(strings.Trim(target.Path, "/"), "/")
	name := strings.TrimSuffix(parts[min(1, len(parts)-1)], ".git")
	type generated struct {
		Entity any   `json:"entity"`
		Fields []any `json:"fields"`
	}
	return c.JSON(http.StatusOK, map[string]any{"existingEntityFiles": []any{}, "generateEntities": []generated{{Fields: []any{}, Entity: map[string]any{
		"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"type": "other", "lifecycle": "unknown"},
	}}}})
}
