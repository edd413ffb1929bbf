package api

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/internal/access"
)

// Analysis answers what there is at locations, and what could be.
type Analysis struct {
	// Analyze answers of a location which entities are described there, in files with the given name, or could be.
	Analyze func(ctx context.Context, at catalogmodel.LocationRef, filename string) (catalogclient.Analysis, error)
	// Access tells what callers may do.
	Access *access.Control
}

// Register adds the route.
func (a Analysis) Register(router Router) { router.POST("/analyze-location", a.analyze) }

func (a Analysis) analyze(c echo.Context) error {
	var at catalogmodel.LocationRef
	filename := "catalog-info.yaml"
	if err := decode(c, body{"location": &at, "catalogFilename": &filename}); err != nil {
		return err
	}
	if err := a.Access.Require(c.Request(), catalogpermission.LocationAnalyze); err != nil {
		return err
	}
	found, err := a.Analyze(c.Request().Context(), at, filename)
	if err != nil {
		return err
	}
	// Clients rely on lists.
	found.Existing = append([]catalogclient.ExistingFile{}, found.Existing...)
	found.Generated = append([]catalogclient.GeneratedEntity{}, found.Generated...)
	for i, proposed := range found.Generated {
		found.Generated[i].Fields = append([]catalogclient.GeneratedField{}, proposed.Fields...)
	}
	return c.JSON(http.StatusOK, found)
}
