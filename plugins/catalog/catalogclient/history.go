package catalogclient

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/portico-dev/portico/catalogmodel"
)

// Version is a change in the history of an entity.
type Version struct {
	Change
	// Diff is how the entity became what it was from then on, as a JSON Patch (RFC 6902), if that was asked for.
	Diff []Operation `json:"diff"`
}

// Operation is a step of a JSON Patch.
type Operation struct {
	// Op is "add", "remove" or "replace".
	Op string `json:"op"`
	// Path is a JSON Pointer (RFC 6901).
	Path string `json:"path"`
	// Value is the new value, if there is one.
	Value catalogmodel.Value `json:"value"`
}

// HistoryQuery says what of a history to answer. The zero HistoryQuery asks for the latest changes, without what the entity was.
type HistoryQuery struct {
	// Cursor is where a page ended, or empty for the latest changes.
	Cursor string
	// Limit is the most changes of a page, up to 200. Zero: 20.
	Limit int
	// Entity asks for what the entity became with each change, Previous for what it was before, and Diff for the difference.
	Entity, Previous, Diff bool
}

// HistoryPage is a part of a history, the latest change first.
type HistoryPage struct {
	Items []Version `json:"items"`
	// Page tells how to go on.
	Page struct {
		// NextCursor is the cursor of the next page, or empty at the end.
		NextCursor string `json:"nextCursor"`
	} `json:"pageInfo"`
}

// History answers how an entity changed, as far as the catalog remembers. Entities that are gone have a history too.
func (c *Client) History(ctx context.Context, ref catalogmodel.Ref, q HistoryQuery) (HistoryPage, error) {
	values := url.Values{}
	if q.Cursor != "" {
		values.Set("cursor", q.Cursor)
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	for name, asked := range map[string]bool{"entity": q.Entity, "previous": q.Previous, "diff": q.Diff} {
		if asked {
			values.Add("include", name)
		}
	}
	var page HistoryPage
	if err := c.get(ctx, namePath(ref)+"/history?"+values.Encode(), &page); err != nil {
		return page, fmt.Errorf("catalog: asking for the history of %s: %w", ref, err)
	}
	return page, nil
}

// EntityAt answers an entity as it was at a time. If there was none, errors.Is(err, service.NotFoundError) holds.
func (c *Client) EntityAt(ctx context.Context, ref catalogmodel.Ref, at time.Time) (catalogmodel.Entity, error) {
	var e catalogmodel.Entity
	if err := c.get(ctx, namePath(ref)+"?at="+url.QueryEscape(at.Format(time.RFC3339Nano)), &e); err != nil {
		return e, fmt.Errorf("catalog: asking for %s as of %s: %w", ref, at, err)
	}
	return e, nil
}

// EntitiesAt answers the entities for which one of the filters, if there are any, held at a time, as they were then.
func (c *Client) EntitiesAt(ctx context.Context, at time.Time, filters ...string) ([]catalogmodel.Entity, error) {
	values := url.Values{"filter": filters, "at": {at.Format(time.RFC3339Nano)}}
	var entities []catalogmodel.Entity
	if err := c.get(ctx, "/entities?"+values.Encode(), &entities); err != nil {
		return nil, fmt.Errorf("catalog: asking for entities as of %s: %w", at, err)
	}
	return entities, nil
}
