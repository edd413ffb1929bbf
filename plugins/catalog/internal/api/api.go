package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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

// defaultLimit is how many entities a page of by-query has if the request does not say.
const defaultLimit = 200

func (a *API) byQuery(c echo.Context) error {
	params, err := parameters(c.Request().URL, "fields", "limit", "offset", "orderField", "cursor", "filter", "totalItems",
		"fullTextFilterTerm", "fullTextFilterFields")
	if err != nil {
		return err
	}
	fields, err := query.ParseFields(params.all("fields")...)
	if err != nil {
		return err
	}
	limit, limited, err := params.integer("limit")
	if err != nil {
		return err
	}
	if !limited {
		limit = defaultLimit
	}
	if encoded, ok := params.get("cursor"); ok {
		cursor, err := query.ParseCursor(encoded)
		if err != nil {
			return err
		}
		return a.page(c, cursor, fields, 0, limit, false)
	}
	_, text, err := params.filter()
	if err != nil {
		return err
	}
	offset, _, err := params.integer("offset")
	if err != nil {
		return err
	}
	cursor := query.Cursor{Query: text}
	if cursor.Orders, err = params.orderFields(); err != nil {
		return err
	}
	term, _ := params.get("fullTextFilterTerm")
	cursor.Text = &query.Text{Term: term}
	for _, list := range params.all("fullTextFilterFields") {
		cursor.Text.Fields = append(cursor.Text.Fields, strings.Split(list, ",")...)
	}
	mode, set := params.get("totalItems")
	if set && mode != "include" && mode != "exclude" {
		return service.InputError.Errorf(`Invalid totalItems parameter "%s", expected one of: include, exclude`, mode)
	}
	return a.page(c, cursor, fields, offset, limit, mode == "exclude")
}

// byPredicate is byQuery with a body.
func (a *API) byPredicate(c echo.Context) error {
	if _, err := parameters(c.Request().URL); err != nil {
		return err
	}
	var request struct {
		Cursor  *string         `json:"cursor"`
		Limit   *int            `json:"limit"`
		Offset  int             `json:"offset"`
		OrderBy []query.Order   `json:"orderBy"`
		Text    *query.Text     `json:"fullTextFilter"`
		Fields  []string        `json:"fields"`
		Total   string          `json:"totalItems"`
		Query   json.RawMessage `json:"query"`
	}
	if err := decode(c, &request); err != nil {
		return err
	}
	fields, err := query.ParseFields(request.Fields...)
	if err != nil {
		return err
	}
	limit := defaultLimit
	if request.Limit != nil {
		limit = *request.Limit
	}
	if limit < 0 || request.Offset < 0 {
		return service.InputError.Errorf("limit and offset must be zero or greater")
	}
	if request.Cursor != nil {
		if *request.Cursor == "" {
			return service.InputError.Errorf("Cursor cannot be empty")
		}
		cursor, err := query.ParseCursor(*request.Cursor)
		if err != nil {
			return err
		}
		return a.page(c, cursor, fields, 0, limit, false)
	}
	for _, order := range request.OrderBy {
		if order.Field == "" || order.Direction != "asc" && order.Direction != "desc" {
			return service.InputError.Errorf("Invalid order field order, must be asc or desc")
		}
	}
	if request.Total != "" && request.Total != "include" && request.Total != "exclude" {
		return service.InputError.Errorf(`Invalid totalItems value "%s", expected one of: include, exclude`, request.Total)
	}
	cursor := query.Cursor{Query: request.Query, Orders: request.OrderBy, Text: request.Text}
	return a.page(c, cursor, fields, request.Offset, limit, request.Total == "exclude")
}

// page answers the page of by-query that begins at the cursor.
func (a *API) page(c echo.Context, cursor query.Cursor, fields query.Fields, offset, limit int, uncounted bool) error {
	where, err := query.ParsePredicate(cursor.Query)
	if err != nil {
		return err
	}
	q := index.Query{Where: where, Text: cursor.Text, After: cursor.Position, Backward: cursor.Backward, Skip: offset, Limit: limit}
	if len(cursor.Orders) > 0 {
		q.Order = &cursor.Orders[0]
	}
	page := a.index.Find(q)
	total := page.Total
	if uncounted {
		total = 0
	}
	if cursor.Total != nil {
		total = *cursor.Total
	}
	first := cursor.First
	if first == nil {
		first = page.First
	}
	var next, previous string
	if page.More && page.Last != nil {
		to := query.Cursor{Orders: cursor.Orders, Query: cursor.Query, Text: cursor.Text, Position: page.Last, First: first, Total: &total}
		if next, err = to.Encode(); err != nil {
			return err
		}
	}
	if cursor.First != nil && page.First != nil && !slices.Equal(page.First, cursor.First) {
		to := query.Cursor{Orders: cursor.Orders, Query: cursor.Query, Text: cursor.Text, Position: page.First, First: first, Total: &total, Backward: true}
		if previous, err = to.Encode(); err != nil {
			return err
		}
	}
	var pageInfo []string
	if next != "" {
		pageInfo = append(pageInfo, `"nextCursor":"`+next+`"`)
	}
	if previous != "" {
		pageInfo = append(pageInfo, `"prevCursor":"`+previous+`"`)
	}
	return answer(c, fields, page.Entities, `{"items":`, `,"totalItems":`+strconv.Itoa(total)+`,"pageInfo":{`+strings.Join(pageInfo, ",")+`}}`)
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
