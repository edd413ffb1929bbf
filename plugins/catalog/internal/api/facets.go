package api

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

func (a *API) facets(c echo.Context) error {
	params, err := parameters(c.Request().URL, "facet", "filter")
	if err != nil {
		return err
	}
	if len(params.all("facet")) == 0 {
		return service.InputError.Errorf("request/query must have required property 'facet'")
	}
	where, _, err := params.filter()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"facets": a.index.Facets(where, params.all("facet"))})
}

func (a *API) facetsByPredicate(c echo.Context) error {
	if _, err := parameters(c.Request().URL); err != nil {
		return err
	}
	var request struct {
		Facets []string        `json:"facets"`
		Query  json.RawMessage `json:"query"`
	}
	if err := decode(c, &request, "facets"); err != nil {
		return err
	}
	facets := slices.DeleteFunc(request.Facets, func(facet string) bool { return facet == "" })
	if len(facets) == 0 {
		return service.InputError.Errorf("Missing or empty facets parameter")
	}
	where, err := query.ParsePredicate(request.Query)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"facets": a.index.Facets(where, facets)})
}
