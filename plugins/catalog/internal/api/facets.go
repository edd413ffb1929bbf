package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

func (a *API) facets(c echo.Context) error {
	params := parameters(c)
	where, err := parseFilter(params)
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
	room := a.rooms.Get().(*[]byte)
	defer a.rooms.Put(room)
	*room = appendFacets((*room)[:0], a.index.Facets(where, facets))
	setLength(c, len(*room))
	return c.Blob(http.StatusOK, jsonType, *room)
}

// appendFacets writes what encoding/json would, without looking at the types of thousands of values.
func appendFacets(to []byte, facets map[string][]index.Count) []byte {
	to = append(to, `{"facets":{`...)
	for i, name := range slices.Sorted(maps.Keys(facets)) {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendText(to, name), ":["...)
		for j, count := range facets[name] {
			if j > 0 {
				to = append(to, ',')
			}
			to = append(appendText(append(to, `{"value":`...), count.Value), `,"count":`...)
			to = append(strconv.AppendInt(to, int64(count.Count), 10), '}')
		}
		to = append(to, ']')
	}
	return append(to, "}}"...)
}

func appendText(to []byte, text string) []byte { return catalogmodel.StringValue(text).AppendJSON(to) }
