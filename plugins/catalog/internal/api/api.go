package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

const jsonType = "application/json; charset=utf-8"

// API answers requests.
type API struct {
	index   *index.Index
	parents Parents
}

// Parents answers, for each of some refs, the refs of the entities that it came from.
type Parents func(ctx context.Context, refs []string) (map[string][]string, error)

// New returns an API that answers from the index and, for what that does not know, by parents.
func New(x *index.Index, parents Parents) *API { return &API{index: x, parents: parents} }

// Register adds the routes.
func (a *API) Register(router *echo.Group) {
	router.GET("/entities", a.entities)
	router.GET("/entities/by-query", a.byQuery)
	router.POST("/entities/by-query", a.byPredicate)
	router.POST("/entities/by-refs", a.byRefs)
	router.GET("/entities/by-uid/:uid", a.byUID)
	router.GET("/entities/by-name/:kind/:namespace/:name", a.byName)
	router.GET("/entities/by-name/:kind/:namespace/:name/ancestry", a.ancestry)
	router.GET("/entity-facets", a.facets)
	router.POST("/entity-facets", a.facetsByPredicate)
}

func (a *API) byName(c echo.Context) error {
	if _, err := parameters(c.Request().URL); err != nil {
		return err
	}
	ref := pathRef(c)
	found := a.index.ByRef([]string{ref.String()}, nil)[0]
	if found == nil {
		return service.NotFoundError.Errorf("No entity named '%s' found, with kind '%s' in namespace '%s'", ref.Name, ref.Kind, ref.Namespace)
	}
	return c.Blob(http.StatusOK, jsonType, found)
}

// pathRef is the entity that the path of a request names.
func pathRef(c echo.Context) catalogmodel.Ref {
	return catalogmodel.Ref{Kind: c.Param("kind"), Namespace: c.Param("namespace"), Name: c.Param("name")}
}

func (a *API) byUID(c echo.Context) error {
	if _, err := parameters(c.Request().URL); err != nil {
		return err
	}
	found := a.index.ByUID(c.Param("uid"))
	if found == nil {
		return service.NotFoundError.Errorf("No entity with uid %s", c.Param("uid"))
	}
	return c.Blob(http.StatusOK, jsonType, found)
}

func (a *API) byRefs(c echo.Context) error {
	params, err := parameters(c.Request().URL, "filter")
	if err != nil {
		return err
	}
	var request struct {
		EntityRefs []string        `json:"entityRefs"`
		Fields     []string        `json:"fields"`
		Query      json.RawMessage `json:"query"`
	}
	if err := decode(c, &request, "entityRefs"); err != nil {
		return err
	}
	where, _, err := params.filter()
	if err != nil {
		return err
	}
	also, err := query.ParsePredicate(request.Query)
	if err != nil {
		return err
	}
	switch {
	case where == nil:
		where = also
	case also != nil:
		where = query.All{where, also}
	}
	fields, err := query.ParseFields(request.Fields...)
	if err != nil {
		return err
	}
	return answer(c, fields, a.index.ByRef(request.EntityRefs, where), `{"items":`, "}")
}

// ancestry answers the entities that an entity came from, and those that they came from.
func (a *API) ancestry(c echo.Context) error {
	if _, err := parameters(c.Request().URL); err != nil {
		return err
	}
	root := pathRef(c).String()
	if a.index.ByRef([]string{root}, nil)[0] == nil {
		return service.NotFoundError.Errorf("No such entity %s", root)
	}
	type item struct {
		Entity  json.RawMessage `json:"entity"`
		Parents []string        `json:"parentEntityRefs"`
	}
	items := []item{}
	seen := map[string]bool{root: true}
	for todo := []string{root}; len(todo) > 0; {
		parents, err := a.parents(c.Request().Context(), todo)
		if err != nil {
			return err
		}
		var next []string
		for i, entity := range a.index.ByRef(todo, nil) {
			if entity == nil { // it went while the question was answered
				continue
			}
			items = append(items, item{entity, append([]string{}, parents[todo[i]]...)})
			for _, parent := range parents[todo[i]] {
				if !seen[parent] {
					seen[parent] = true
					next = append(next, parent)
				}
			}
		}
		todo = next
	}
	return c.JSON(http.StatusOK, map[string]any{"rootEntityRef": root, "items": items})
}

func (a *API) entities(c echo.Context) error {
	params, err := parameters(c.Request().URL, "fields", "limit", "filter", "offset", "after", "order")
	if err != nil {
		return err
	}
	where, _, err := params.filter()
	if err != nil {
		return err
	}
	fields, err := query.ParseFields(params.all("fields")...)
	if err != nil {
		return err
	}
	orders, err := params.orders()
	if err != nil {
		return err
	}
	limit, limited, err := params.integer("limit")
	if err != nil {
		return err
	}
	offset, skipped, err := params.integer("offset")
	if err != nil {
		return err
	}
	after, continued := params.get("after")
	if !limited && !skipped && !continued {
		q := index.Query{Where: where, Limit: -1}
		if len(orders) > 0 {
			q.Order = &orders[0]
		}
		return answer(c, fields, a.index.Find(q).Entities, "", "")
	}
	if limited && limit == 0 {
		return service.InputError.Errorf("Invalid limit, must be greater than zero")
	}
	if continued {
		place, err := query.ParseOffset(after)
		if err != nil {
			return err
		}
		if place.Limit != nil {
			limit, limited = *place.Limit, true
		}
		if place.Offset != nil {
			offset = *place.Offset
		}
	}
	if !limited {
		limit = -1
	}
	found, more := a.index.List(where, orders, offset, limit)
	if more {
		c.Response().Header().Set("Link", "<"+nextLink(c, limit, offset+limit)+`>; rel="next"`)
	}
	return answer(c, fields, found, "", "")
}

// nextLink is the URL of the next page, relative to the plugin as in Backstage.
func nextLink(c echo.Context, limit, offset int) string {
	values := c.Request().URL.Query()
	values.Del("offset")
	values.Set("after", query.Offset{Limit: &limit, Offset: &offset}.Encode())
	var pairs []string
	for pair := range strings.SplitSeq(c.Request().URL.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if pair != "" && name != "offset" && name != "after" {
			pairs = append(pairs, pair)
		}
	}
	return "/entities?" + strings.Join(append(pairs, "after="+url.QueryEscape(values.Get("after"))), "&")
}

// answer writes an array of entities between before and after.
func answer(c echo.Context, fields query.Fields, entities [][]byte, before, after string) error {
	size := len(before) + len(after) + 2
	for i, entity := range entities {
		if len(fields) > 0 && entity != nil {
			e, err := catalogmodel.ParseJSON(entity)
			if err != nil {
				return err
			}
			entities[i] = fields.Select(e).AppendJSON(nil)
		}
		size += len(entities[i]) + 5
	}
	body := make([]byte, 0, size)
	body = append(body, before...)
	body = append(body, '[')
	for i, entity := range entities {
		if i > 0 {
			body = append(body, ',')
		}
		if entity == nil {
			body = append(body, "null"...)
		}
		body = append(body, entity...)
	}
	body = append(body, ']')
	return c.Blob(http.StatusOK, jsonType, append(body, after...))
}
