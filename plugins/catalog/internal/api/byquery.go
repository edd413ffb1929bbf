package api

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

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
