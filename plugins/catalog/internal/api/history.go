package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/feed"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/patch"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Past answers what was. Where a question goes back further than the log, the error is store.ErrForgotten.
type Past interface {
	// At answers the JSON of an entity at a time, or nil.
	At(ctx context.Context, ref string, at time.Time) ([]byte, error)
	// Rewind answers an index of all entities at a time.
	Rewind(ctx context.Context, at time.Time) (*index.Index, error)
}

// asOf is a handler for the parameter at, a time: the same request, answered from the catalog as it was then. Without it, nothing changes.
func (a *API) asOf(handler func(*API, echo.Context) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		at, set, err := parseTime(c)
		if err != nil {
			return err
		}
		if !set {
			return handler(a, c)
		}
		x, err := a.past.Rewind(c.Request().Context(), at)
		if err != nil {
			return tooLongAgo(err)
		}
		then := *a
		then.index = x
		return handler(&then, c)
	}
}

// parseTime is the parameter at.
func parseTime(c echo.Context) (at time.Time, set bool, err error) {
	text, set := parameters(c).Get("at")
	if !set {
		return at, false, nil
	}
	at, err = time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+")) // of a time zone that was not escaped
	if err != nil {
		err = service.InputError.Errorf("request/query/at must be a time like 2026-01-31T12:00:00Z")
	}
	return at, true, err
}

func tooLongAgo(err error) error {
	if errors.Is(err, store.ErrForgotten) {
		return echo.NewHTTPError(http.StatusGone, "The catalog does not remember that time any more (catalog.history.retention)")
	}
	return err
}

// byNameAt is by-name with the parameter at: of one entity, the log tells without the others.
func (a *API) byNameAt(c echo.Context) error {
	at, set, err := parseTime(c)
	if err != nil {
		return err
	}
	if !set {
		return a.byName(c)
	}
	ref := pathRef(c)
	found, err := a.past.At(c.Request().Context(), ref.String(), at)
	if err != nil {
		return tooLongAgo(err)
	}
	visible, err := a.access.Visible(c.Request())
	if err != nil {
		return err
	}
	if _, ok := feed.See(store.Entry{After: found}, visible); found == nil || !ok {
		return service.NotFoundError.Errorf("No entity named '%s' found at that time, with kind '%s' in namespace '%s'", ref.Name, ref.Kind, ref.Namespace)
	}
	return c.Blob(http.StatusOK, jsonType, found)
}

// History answers how entities came to be what they are.
type History struct {
	Store   *store.Store
	Visible Visible
}

// defaultVersions is how many changes the history answers if the request does not say.
const defaultVersions = 20

// Register adds the routes.
func (h History) Register(router Router) {
	router.GET("/entities/by-name/:kind/:namespace/:name/history", h.history)
}

// version is a change in the history of an entity.
type version struct {
	feed.Change
	Diff []patch.Operation `json:"diff,omitempty"`
}

func (h History) history(c echo.Context) error {
	params := parameters(c)
	limit, limited := params.Int("limit")
	if !limited {
		limit = defaultVersions
	}
	var before feed.Cursor
	if text, ok := params.Get("cursor"); ok {
		var err error
		if before, err = feed.ParseCursor(text); err != nil {
			return err
		}
	}
	var include []string
	for _, list := range params.All("include") {
		include = append(include, strings.Split(list, ",")...)
	}
	where, err := h.Visible(c.Request())
	if err != nil {
		return err
	}
	ref := pathRef(c).String()
	entries, err := h.Store.History(c.Request().Context(), ref, int64(before), limit+1)
	if err != nil {
		return err
	}
	if len(entries) == 0 && before == 0 {
		if err := h.known(c.Request().Context(), ref, where); err != nil {
			return err
		}
	}
	return answerHistory(c, entries, where, limit, include)
}

// known fails with a NotFoundError if there is no such entity: one that has not changed for long has no history, but is there.
func (h History) known(ctx context.Context, ref string, where query.Predicate) error {
	now, err := h.Store.At(ctx, ref, time.Now().AddDate(1, 0, 0))
	if err != nil {
		return err
	}
	if _, ok := feed.See(store.Entry{After: now}, where); now == nil || !ok {
		return service.NotFoundError.Errorf("No such entity %s, and none is remembered", ref)
	}
	return nil
}

func answerHistory(c echo.Context, entries []store.Entry, where query.Predicate, limit int, include []string) error {
	pageInfo := map[string]string{}
	if len(entries) > limit {
		entries = entries[:limit]
		pageInfo["nextCursor"] = feed.Cursor(entries[limit-1].Seq).String()
	}
	items := make([]version, 0, len(entries))
	for _, e := range entries {
		change, ok := feed.See(e, where)
		if !ok {
			continue
		}
		v := version{Change: change}
		if slices.Contains(include, "diff") && v.Entity != nil && v.Previous != nil {
			before, err := catalogmodel.ParseJSON(v.Previous)
			if err != nil {
				return err
			}
			after, err := catalogmodel.ParseJSON(v.Entity)
			if err != nil {
				return err
			}
			v.Diff = patch.Diff(before.Value(), after.Value())
		}
		if !slices.Contains(include, "entity") {
			v.Entity = nil
		}
		if !slices.Contains(include, "previous") {
			v.Previous = nil
		}
		items = append(items, v)
	}
	return c.JSON(http.StatusOK, map[string]any{"items": items, "pageInfo": pageInfo})
}
