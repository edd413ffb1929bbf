package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/internal/access"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

const jsonType = "application/json; charset=utf-8"

// API answers requests.
type API struct {
	index   *index.Index
	parents Parents
	access  *access.Control
	past    Past
	rooms   *sync.Pool // of *[]byte, in which answers are put together
}

// Parents answers, for each of some refs, the refs of the entities that it came from.
type Parents func(ctx context.Context, refs []string) (map[string][]string, error)

// New returns an API that answers from the index and, for what that does not know, by parents and past; to each what they may see.
func New(x *index.Index, parents Parents, past Past, access *access.Control) *API {
	return &API{index: x, parents: parents, past: past, access: access, rooms: &sync.Pool{New: func() any { return new([]byte) }}}
}

// Register adds the routes.
func (a *API) Register(router Router) {
	router.GET("/entities", a.asOf((*API).entities))
	router.GET("/entities/by-query", a.asOf((*API).byQuery))
	router.POST("/entities/by-query", a.asOf((*API).byPredicate))
	router.POST("/entities/by-refs", a.asOf((*API).byRefs))
	router.GET("/entities/by-uid/:uid", a.asOf((*API).byUID))
	router.GET("/entities/by-name/:kind/:namespace/:name", a.byNameAt)
	router.GET("/entities/by-name/:kind/:namespace/:name/ancestry", a.ancestry)
	router.GET("/entity-facets", a.asOf((*API).facets))
	router.POST("/entity-facets", a.asOf((*API).facetsByPredicate))
}

func (a *API) byName(c echo.Context) error {
	visible, err := a.access.Visible(c.Request())
	if err != nil {
		return err
	}
	ref := pathRef(c)
	found := a.index.ByRef([]string{ref.String()}, visible)[0]
	if !found.Exists() {
		return service.NotFoundError.Errorf("No entity named '%s' found, with kind '%s' in namespace '%s'", ref.Name, ref.Kind, ref.Namespace)
	}
	return a.answer(c, nil, []index.Entity{found}, framing{})
}

// pathRef is the entity that the path of a request names.
func pathRef(c echo.Context) catalogmodel.Ref {
	return catalogmodel.Ref{Kind: c.Param("kind"), Namespace: c.Param("namespace"), Name: c.Param("name")}
}

func (a *API) byUID(c echo.Context) error {
	visible, err := a.access.Visible(c.Request())
	if err != nil {
		return err
	}
	found := a.index.ByUID(c.Param("uid"), visible)
	if !found.Exists() {
		return service.NotFoundError.Errorf("No entity with uid %s", c.Param("uid"))
	}
	return a.answer(c, nil, []index.Entity{found}, framing{})
}

func (a *API) byRefs(c echo.Context) error {
	var refs, names []string
	var predicate json.RawMessage
	if err := decode(c, body{"entityRefs": &refs, "fields": &names, "query": &predicate}); err != nil {
		return err
	}
	where, err := parseFilter(parameters(c))
	if err != nil {
		return err
	}
	also, err := query.ParsePredicate(predicate)
	if err != nil {
		return err
	}
	fields, err := query.ParseFields(names...)
	if err != nil {
		return err
	}
	if where, err = a.visible(c, both(where, also)); err != nil {
		return err
	}
	return a.answer(c, fields, a.index.ByRef(refs, where), framing{`{"items":[`, "]}"})
}

// visible is a condition together with what the caller may see.
func (a *API) visible(c echo.Context, where query.Predicate) (query.Predicate, error) {
	visible, err := a.access.Visible(c.Request())
	return both(visible, where), err
}

// both is the condition that two conditions hold, of which nil always does.
func both(a, b query.Predicate) query.Predicate {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return query.All{a, b}
}

// ancestry answers the entities that an entity came from, and those that they came from: of each way up, as far as the caller may see.
func (a *API) ancestry(c echo.Context) error {
	visible, err := a.access.Visible(c.Request())
	if err != nil {
		return err
	}
	root := pathRef(c).String()
	if !a.index.ByRef([]string{root}, visible)[0].Exists() {
		if visible != nil {
			return service.NotAllowedError.Errorf("Permission %s is denied for %s", catalogpermission.EntityRead.Name, root)
		}
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
		for i, entity := range a.index.ByRef(todo, visible) {
			if !entity.Exists() { // it may not be seen, or went while the question was answered
				continue
			}
			items = append(items, item{entity.JSON(), append([]string{}, parents[todo[i]]...)})
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
	params := parameters(c)
	where, err := parseFilter(params)
	if err != nil {
		return err
	}
	fields, err := query.ParseFields(params.All("fields")...)
	if err != nil {
		return err
	}
	orders := parseOrders(params)
	limit, limited := params.Int("limit")
	offset, skipped := params.Int("offset")
	if where, err = a.visible(c, where); err != nil {
		return err
	}
	after, continued := params.Get("after")
	if !limited && !skipped && !continued {
		q := index.Query{Where: where, Limit: -1}
		if len(orders) > 0 {
			q.Order = &orders[0]
		}
		return a.answer(c, fields, a.index.Find(q).Entities, array)
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
	return a.answer(c, fields, found, array)
}

// nextLink is the URL of the next page, relative to the plugin as in Backstage.
func nextLink(c echo.Context, limit, offset int) string {
	after := "after=" + encodeForm(query.Offset{Limit: &limit, Offset: &offset}.Encode())
	var pairs []string
	for pair := range strings.SplitSeq(c.Request().URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case pair == "" || name == "offset":
		case name == "after":
			pairs, after = append(pairs, after), ""
		default:
			pairs = append(pairs, reencode(name)+"="+reencode(value))
		}
	}
	if after != "" {
		pairs = append(pairs, after)
	}
	return "/entities?" + strings.Join(pairs, "&")
}

// reencode encodes what stands in a query as browsers do.
func reencode(text string) string {
	decoded, _ := url.QueryUnescape(text) // it has been read already
	return encodeForm(decoded)
}

func encodeForm(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(text), "~", "%7E"), "%2A", "*")
}
