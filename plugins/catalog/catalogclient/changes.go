package catalogclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portico-dev/portico/catalogmodel"
)

// Change is a change of an entity, as far as the query lets see it: one that begins to pass the filter is created, and one that does not pass
// any more is deleted.
type Change struct {
	// Cursor is the place behind the change.
	Cursor string `json:"cursor"`
	// Type is "created", "updated" or "deleted".
	Type      string    `json:"type"`
	EntityRef string    `json:"entityRef"`
	UID       string    `json:"uid"`
	At        time.Time `json:"at"`
	Cause     Cause     `json:"cause"`
	// Entity is what the entity became; it is zero if it was deleted.
	Entity catalogmodel.Entity `json:"entity"`
	// Previous is what it was, if that was asked for; it is zero if it was created.
	Previous catalogmodel.Entity `json:"previous"`
}

// Cause is why an entity changed.
type Cause struct {
	// Reason is "content", "relations", "status", "orphaned", "adopted" or "withdrawn".
	Reason string `json:"reason"`
	// Provider is the entity provider that brings the entity, and Parent the ref of the entity from which it comes; both may be empty.
	Provider string `json:"provider"`
	Parent   string `json:"parent"`
}

// ChangesQuery asks for changes. The zero ChangesQuery asks for those from now on.
type ChangesQuery struct {
	// Cursor is the place to begin at: from a change, a page or an export, or "earliest". Empty: now.
	Cursor string
	// Filter are conditions as in [Query].
	Filter []string
	// Fields are the parts of entities to answer. None: everything.
	Fields []string
	// Previous asks for what entities were before.
	Previous bool
	// Limit is the most changes of a page, up to 1000. Zero: 100.
	Limit int
}

// ChangesPage is a part of the changes.
type ChangesPage struct {
	// Items are the changes. There may be more even if these are few, or none.
	Items []Change `json:"items"`
	// Cursor is the place to go on at.
	Cursor string `json:"cursor"`
	// More tells that there is more already.
	More bool `json:"hasMore"`
}

// ErrCursorTooOld is the error of asking for changes that the catalog does not remember any more: read all entities again.
var ErrCursorTooOld = errors.New("the cursor is too old")

func (q ChangesQuery) path() string {
	values := url.Values{"filter": q.Filter}
	if q.Cursor != "" {
		values.Set("cursor", q.Cursor)
	}
	if len(q.Fields) > 0 {
		values.Set("fields", strings.Join(q.Fields, ","))
	}
	if q.Previous {
		values.Set("previous", "true")
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return "/changes?" + values.Encode()
}

// Changes answers changes of entities from a cursor on. If that is too old, errors.Is(err, ErrCursorTooOld) holds.
func (c *Client) Changes(ctx context.Context, q ChangesQuery) (ChangesPage, error) {
	var page ChangesPage
	res, err := c.open(ctx, http.MethodGet, q.path(), nil, nil)
	if err == nil {
		err = errors.Join(json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&page), res.Body.Close())
	}
	if err != nil {
		return page, fmt.Errorf("catalog: asking for changes: %w", err)
	}
	return page, nil
}

// Follow answers changes of entities from a cursor on as they happen, until ctx ends or the loop does. It connects again, and goes on where it
// was, whenever the connection is lost; refusals and [ErrCursorTooOld] end the sequence with an error.
func (c *Client) Follow(ctx context.Context, q ChangesQuery) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		failures := 0
		for {
			before := q.Cursor
			err := c.stream(ctx, &q, func(change Change) bool { return yield(change, nil) })
			switch {
			case errors.Is(err, errLoopEnded):
				return
			case ctx.Err() != nil:
				yield(Change{}, ctx.Err())
				return
			case err != nil && !errors.Is(err, errInterrupted):
				yield(Change{}, fmt.Errorf("catalog: following changes: %w", err))
				return
			}
			if failures++; q.Cursor != before {
				failures = 0
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause(failures)):
			}
		}
	}
}

var (
	errLoopEnded   = errors.New("the loop has ended")
	errInterrupted = errors.New("the connection was lost")
)

// pause is how long to wait before the next attempt, up to half a minute.
func pause(failures int) time.Duration {
	most := min(30*time.Second, 100*time.Millisecond<<min(failures, 10))
	return most/2 + rand.N(most/2) //nolint:gosec // spreads load
}

// stream follows changes by one connection, and moves the cursor of the query.
func (c *Client) stream(ctx context.Context, q *ChangesQuery, each func(Change) bool) (err error) {
	res, err := c.open(ctx, http.MethodGet, q.path(), http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		var refused *refusal
		if errors.As(err, &refused) && refused.status < http.StatusInternalServerError && refused.status != http.StatusTooManyRequests {
			return err
		}
		return fmt.Errorf("%w: %w", errInterrupted, err)
	}
	defer func() { _ = res.Body.Close() }() // its end is told by reading
	lines := bufio.NewReader(res.Body)
	var id, event, data string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%w: %w", errInterrupted, err)
		}
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			id = value
		case "event":
			event = value
		case "data":
			data = value // the catalog sends one line
		}
		if strings.Trim(line, "\r\n") != "" {
			continue
		}
		if event == "error" {
			return fmt.Errorf("%w: %s", ErrCursorTooOld, data)
		}
		if data != "" {
			var change Change
			if err := json.Unmarshal([]byte(data), &change); err != nil {
				return fmt.Errorf("a change can't be read: %w", err)
			}
			if !each(change) {
				return errLoopEnded
			}
		}
		if id != "" {
			q.Cursor = id
		}
		id, event, data = "", "", ""
	}
}

// refusal is an answer with an error.
type refusal struct {
	status int
	err    error
}

// Error implements error.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap is what the catalog answered.
func (r *refusal) Unwrap() []error {
	if r.status == http.StatusGone {
		return []error{r.err, ErrCursorTooOld}
	}
	return []error{r.err}
}

// open sends a request and answers the response if it was granted. The body must be closed.
func (c *Client) open(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	base, err := c.discovery.BaseURL(ctx, "catalog")
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		err := failure(res, res.Body)
		return nil, &refusal{res.StatusCode, errors.Join(err, res.Body.Close())}
	}
	return res, nil
}
