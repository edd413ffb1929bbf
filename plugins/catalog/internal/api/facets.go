package api

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

func (a *API) facets(c echo.Context) error {
	params := parameters(c)
	where, _, err := parseFilter(params)
	if err != nil {
		return err
	}
	return a.answerFacets(c, where, params.All("facet"))
}

func (a *API) facetsByPredicate(c echo.Context) error {
	var facets []string
	var predicate json.RawMessage
	if err := decode(c, body{"facets": &facets, "query": &predicate}); err != nil {
		return err
	}
	where, err := query.ParsePredicate(predicate)
	if err != nil {
		return err
	}
	return a.answerFacets(c, where, facets)
}

func (a *API) answerFacets(c echo.Context, where query.Predicate, facets []string) error {
	where, err := a.visible(c, where)
	if err != nil {
		return err
	}
	facets = slices.DeleteFunc(facets, func(facet string) bool { return facet == "" })
	return c.JSON(http.StatusOK, map[string]any{"facets": a.index.Facets(where, facets)})
}
