package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/feed"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Visible answers the condition for the entities that who makes a request may see, or nil if these are all. It fails if the request has no
// good credentials.
type Visible func(r *http.Request) (query.Predicate, error)

// Changes answers what has changed, and what changes.
type Changes struct {
	Feed    *feed.Feed
	Visible Visible
	Auth    service.HTTPAuth
	Clock   clockwork.Clock
	// Stopping is closed when the backend stops: streams end then.
	Stopping <-chan struct{}

	streams *streams
}

const (
	defaultChanges = 100
	// heartbeat is how often a stream tells that it is alive, and looks whether who reads it still may.
	heartbeat = 15 * time.Second
	// reconnect is the time after which a client of a stream that has ended is to come back.
	reconnect = 3 * time.Second
	// comeBack is the time after which there may be room for one that was refused.
	comeBack = 15 * time.Second
)

// Register adds the routes.
func (a Changes) Register(router Router) {
	a.streams = &streams{each: map[string]int{}}
	router.GET("/changes", a.changes)
}

// follow is a request for changes.
type follow struct {
	at       feed.Cursor
	limit    int
	filter   query.Predicate
	fields   query.Fields
	previous bool
}

func (a Changes) changes(c echo.Context) error {
	request, err := a.parse(c)
	if err != nil {
		return err
	}
	where, err := a.condition(c.Request(), request.filter)
	if err != nil {
		return err
	}
	if wantsEvents(c.Request()) {
		return a.stream(c, request, where)
	}
	page, err := a.Feed.Read(c.Request().Context(), request.at, request.limit, where)
	if err != nil {
		return startOver(err)
	}
	answer := struct {
		Items  []feed.Change `json:"items"`
		Cursor feed.Cursor   `json:"cursor"`
		More   bool          `json:"hasMore"`
	}{make([]feed.Change, 0, len(page.Changes)), page.Next, page.More}
	for _, change := range page.Changes {
		if change, err = request.show(change); err != nil {
			return err
		}
		answer.Items = append(answer.Items, change)
	}
	return c.JSON(http.StatusOK, answer)
}

func (a Changes) parse(c echo.Context) (follow, error) {
	params := parameters(c)
	f := follow{limit: defaultChanges, previous: params.Bool("previous")}
	var err error
	if f.filter, err = parseFilter(params); err != nil {
		return f, err
	}
	if f.fields, err = query.ParseFields(params.All("fields")...); err != nil {
		return f, err
	}
	if limit, set := params.Int("limit"); set {
		f.limit = limit
	}
	at, _ := params.Get("cursor")
	if last := c.Request().Header.Get("Last-Event-ID"); last != "" {
		at = last
	}
	switch at {
	case "":
		f.at, err = a.Feed.Now(c.Request().Context())
	case "earliest":
		f.at, err = a.Feed.Earliest(c.Request().Context())
	default:
		f.at, err = feed.ParseCursor(at)
	}
	return f, err
}

// condition is the filter together with what the caller may see.
func (a Changes) condition(r *http.Request, filter query.Predicate) (query.Predicate, error) {
	visible, err := a.Visible(r)
	return both(visible, filter), err
}

// show leaves of a change what was asked for.
func (f follow) show(c feed.Change) (feed.Change, error) {
	if !f.previous {
		c.Previous = nil
	}
	var err error
	if c.Entity, err = project(c.Entity, f.fields); err != nil {
		return c, err
	}
	c.Previous, err = project(c.Previous, f.fields)
	return c, err
}

// project leaves the fields of an entity, if there are any.
func project(entity json.RawMessage, fields query.Fields) (json.RawMessage, error) {
	if len(fields) == 0 || entity == nil {
		return entity, nil
	}
	e, err := catalogmodel.ParseJSON(entity)
	if err != nil {
		return nil, err
	}
	return fields.Select(e).AppendJSON(nil), nil
}

// startOver is the error of reading at a cursor that leads nowhere.
func startOver(err error) error {
	const fix = "read all entities again (GET /export answers a cursor with them), or begin with what changes from now on, without a cursor"
	switch {
	case errors.Is(err, store.ErrForgotten):
		return echo.NewHTTPError(http.StatusGone, "The cursor is too old: the changes after it have been deleted (catalog.history.retention); "+fix)
	case errors.Is(err, service.NotFoundError):
		return service.InputError.Errorf("The cursor is not one of this catalog: the log of its changes ends before it; %s", fix)
	}
	return err
}

// wantsEvents tells whether the client asks for a stream.
func wantsEvents(r *http.Request) bool {
	for accepted := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		kind, _, _ := strings.Cut(accepted, ";")
		if strings.EqualFold(strings.TrimSpace(kind), "text/event-stream") {
			return true
		}
	}
	return false
}

// stream sends changes as server-sent events until the client or the backend ends it.
func (a Changes) stream(c echo.Context, request follow, where query.Predicate) error {
	ctx := c.Request().Context()
	who, err := a.Auth.Credentials(c.Request())
	if err != nil {
		return err
	}
	end, err := a.streams.open(who.String())
	if err != nil {
		if errors.Is(err, service.ServiceUnavailableError) {
			c.Response().Header().Set("Retry-After", strconv.Itoa(int(comeBack.Seconds())))
		}
		return err
	}
	defer end()
	page, err := a.Feed.Read(ctx, request.at, request.limit, where)
	if err != nil {
		return startOver(err) // as long as the answer has not begun
	}
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	c.Response().WriteHeader(http.StatusOK)
	if _, err := fmt.Fprintf(c.Response(), "retry: %d\n", reconnect.Milliseconds()); err != nil {
		return err
	}
	beats := a.Clock.NewTicker(heartbeat)
	defer beats.Stop()
	for beat := true; ; {
		if err := request.send(c, page, beat); err != nil {
			return err
		}
		beat = false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.Stopping:
			return nil
		case <-a.Feed.Beyond(page.Next):
		case <-beats.Chan():
			beat = true
			if where, err = a.condition(c.Request(), request.filter); err != nil {
				return nil //nolint:nilerr // the credentials have ended: coming back, the client is told
			}
		}
		page, err = a.Feed.Read(ctx, page.Next, request.limit, where)
		if errors.Is(err, store.ErrForgotten) {
			return sendEvent(c, "error", map[string]string{"message": startOver(err).Error()})
		} else if err != nil {
			return err
		}
	}
}

// send sends changes as events. With a beat, it also tells how far the client has come, which advances its Last-Event-ID even where nothing
// passes the filter.
func (f follow) send(c echo.Context, page feed.Page, beat bool) error {
	for _, change := range page.Changes {
		change, err := f.show(change)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c.Response(), "id: %s\n", change.Cursor); err != nil {
			return err
		}
		if err := sendEvent(c, string(change.Type), change); err != nil {
			return err
		}
	}
	if beat {
		if _, err := fmt.Fprintf(c.Response(), ": alive\nid: %s\n\n", page.Next); err != nil {
			return err
		}
	}
	return http.NewResponseController(c.Response()).Flush()
}

func sendEvent(c echo.Context, event string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Response(), "event: %s\ndata: %s\n\n", event, text)
	return err
}
