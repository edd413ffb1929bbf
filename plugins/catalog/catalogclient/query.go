package catalogclient

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// Page is some of the entities that a query asks for.
type Page struct {
	Items []catalogmodel.Entity `json:"items"`
	// Total is how many entities the query asks for.
	Total    int      `json:"totalItems"`
	PageInfo PageInfo `json:"pageInfo"`
}

// PageInfo tells where other pages begin. A cursor is empty if there is no such page.
type PageInfo struct {
	Next     string `json:"nextCursor,omitempty"`
	Previous string `json:"prevCursor,omitempty"`
}

// Query answers the first page of the entities that the query asks for.
func (c *Client) Query(ctx context.Context, q Query) (Page, error) {
	var page Page
	err := q.oneCondition()
	switch {
	case err != nil:
	case q.Where != nil:
		err = c.post(ctx, "/entities/by-query", q.body(), &page)
	default:
		err = c.get(ctx, "/entities/by-query?"+q.parameters().Encode(), &page)
	}
	if err != nil {
		return page, fmt.Errorf("catalog: querying entities: %w", err)
	}
	return page, nil
}

// Page answers the page that a cursor leads to. Of the query, which need not be the one of the first page, Fields and Limit count.
func (c *Client) Page(ctx context.Context, cursor string, q Query) (Page, error) {
	values := q.paging()
	values.Set("cursor", cursor)
	var page Page
	if err := c.get(ctx, "/entities/by-query?"+values.Encode(), &page); err != nil {
		return page, fmt.Errorf("catalog: querying entities: %w", err)
	}
	return page, nil
}

// All answers the entities that the query asks for, one after the other, with Limit many in a request. An error ends it.
func (c *Client) All(ctx context.Context, q Query) iter.Seq2[catalogmodel.Entity, error] {
	if q.Limit == 0 {
		q.Limit = 500
	}
	return func(yield func(catalogmodel.Entity, error) bool) {
		page, err := c.Query(ctx, q)
		for {
			if err != nil {
				yield(catalogmodel.Entity{}, err)
				return
			}
			for _, e := range page.Items {
				if !yield(e, nil) {
					return
				}
			}
			if page.PageInfo.Next == "" {
				return
			}
			page, err = c.Page(ctx, page.PageInfo.Next, q)
		}
	}
}

func (q Query) paging() url.Values {
	values := url.Values{}
	if len(q.Fields) > 0 {
		values.Set("fields", strings.Join(q.Fields, ","))
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values
}

// parameters are the query of a request for the first page.
func (q Query) parameters() url.Values {
	values := q.paging()
	values["filter"] = q.Filter
	if q.Offset > 0 {
		values.Set("offset", strconv.Itoa(q.Offset))
	}
	for _, order := range q.Order {
		direction, field, _ := strings.Cut(order, ":")
		values.Add("orderField", field+","+direction)
	}
	if q.Text != "" {
		values.Set("fullTextFilterTerm", q.Text)
	}
	if len(q.TextFields) > 0 {
		values.Set("fullTextFilterFields", strings.Join(q.TextFields, ","))
	}
	return values
}

// body is the same for a request with a predicate.
func (q Query) body() map[string]any {
	body := map[string]any{"query": q.Where}
	if len(q.Fields) > 0 {
		body["fields"] = q.Fields
	}
	if q.Limit > 0 {
		body["limit"] = q.Limit
	}
	if q.Offset > 0 {
		body["offset"] = q.Offset
	}
	var orders []map[string]string
	for _, order := range q.Order {
		direction, field, _ := strings.Cut(order, ":")
		orders = append(orders, map[string]string{"field": field, "order": direction})
	}
	if orders != nil {
		body["orderBy"] = orders
	}
	if q.Text != "" {
		text := map[string]any{"term": q.Text}
		if len(q.TextFields) > 0 {
			text["fields"] = q.TextFields
		}
		body["fullTextFilter"] = text
	}
	return body
}
