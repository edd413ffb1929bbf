package api

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// defaultLimit is how many entities a page of by-query has if the request does not say.
const defaultLimit = 200

// uncounted is the mode of totalItems in which entities are not counted.
const uncounted = "exclude"

func (a *API) byQuery(c echo.Context) error {
	params := parameters(c)
	fields, err := query.ParseFields(params.All("fields")...)
	if err != nil {
		return err
	}
	limit, limited := params.Int("limit")
	if !limited {
		limit = defaultLimit
	}
	if encoded, ok := params.Get("cursor"); ok {
		cursor, err := query.ParseCursor(encoded)
		if err != nil {
			return err
		}
		return a.page(c, cursor, fields, 0, limit, false)
	}
	var cursor query.Cursor
	if cursor.Query, err = parseFilter(params); err != nil {
		return err
	}
	offset, _ := params.Int("offset")
	if cursor.Orders, err = parseOrderFields(params); err != nil {
		return err
	}
	term, _ := params.Get("fullTextFilterTerm")
	cursor.Text = &query.Text{Term: term}
	for _, list := range params.All("fullTextFilterFields") {
		cursor.Text.Fields = append(cursor.Text.Fields, strings.Split(list, ",")...)
	}
	mode, _ := params.Get("totalItems")
	return a.page(c, cursor, fields, offset, limit, mode == uncounted)
}

// byPredicate is byQuery with a body.
func (a *API) byPredicate(c echo.Context) error {
	var (
		names         []string
		encoded, mode string
		limit, offset = float64(defaultLimit), float64(0) // 20.0 is an integer in JSON
		cursor        query.Cursor
		predicate     json.RawMessage
	)
	err := decode(c, body{"fields": &names, "cursor": &encoded, "limit": &limit, "offset": &offset, "totalItems": &mode,
		"query": &predicate, "orderBy": &cursor.Orders, "fullTextFilter": &cursor.Text})
	if err != nil {
		return err
	}
	fields, err := query.ParseFields(names...)
	if err != nil {
		return err
	}
	if encoded != "" {
		if cursor, err = query.ParseCursor(encoded); err != nil {
			return err
		}
		return a.page(c, cursor, fields, 0, int(limit), false)
	}
	if cursor.Query, err = query.ParsePredicate(predicate); err != nil {
		return err
	}
	return a.page(c, cursor, fields, int(offset), int(limit), mode == uncounted)
}

// page answers the page of by-query that begins at the cursor.
func (a *API) page(c echo.Context, cursor query.Cursor, fields query.Fields, offset, limit int, unasked bool) error {
	where, err := a.visible(c, cursor.Query)
	if err != nil {
		return err
	}
	q := index.Query{Where: where, Text: cursor.Text, After: cursor.Position, Backward: cursor.Backward, Skip: offset, Limit: limit}
	if len(cursor.Orders) > 0 {
		q.Order = &cursor.Orders[0]
	}
	page := a.index.Find(q)
	total := page.Total
	if unasked {
		total = 0
	}
	if cursor.Total != nil {
		total = *cursor.Total
	}
	first := cursor.First
	if first == nil {
		first = page.First
	}
	var pageInfo []string
	to := query.Cursor{Orders: cursor.Orders, Query: cursor.Query, Text: cursor.Text, First: first, Total: &total}
	if page.More && page.Last != nil {
		to.Position = page.Last
		pageInfo = append(pageInfo, `"nextCursor":"`+to.Encode()+`"`)
	}
	if cursor.First != nil && page.First != nil && !slices.Equal(page.First, cursor.First) {
		to.Position, to.Backward = page.First, true
		pageInfo = append(pageInfo, `"prevCursor":"`+to.Encode()+`"`)
	}
	after := `],"totalItems":` + strconv.Itoa(total) + `,"pageInfo":{` + strings.Join(pageInfo, ",") + `}}`
	return a.answer(c, fields, page.Entities, framing{`{"items":[`, after})
}
