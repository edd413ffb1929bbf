package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/catalog/internal/feed"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/plugins/catalog/internal/webhook"
	"github.com/portico-dev/portico/service"
)

// Webhooks answers how webhooks are doing.
type Webhooks struct {
	Webhooks []webhook.Webhook
	Store    *store.Store
	Feed     *feed.Feed
	// Allow fails if who makes the request may not know and change that.
	Allow func(r *http.Request) error
}

// Register adds the routes.
func (a Webhooks) Register(router Router) {
	router.GET("/webhooks", a.list)
	router.POST("/webhooks/:id/enable", a.enable)
}

// webhookState is a webhook as it is answered.
type webhookState struct {
	ID  string `json:"id"`
	URL string `json:"url"`
	// State is "ok", "failing", "disabled" or, before it has run for the first time, "new".
	State  string      `json:"state"`
	Cursor feed.Cursor `json:"cursor"`
	// Pending is the number of changes that it has not got or passed over yet.
	Pending       int64     `json:"pending"`
	DeliveredAt   time.Time `json:"deliveredAt,omitzero"`
	Failures      int       `json:"failures"`
	FailingSince  time.Time `json:"failingSince,omitzero"`
	LastError     string    `json:"lastError,omitempty"`
	NextAttemptAt time.Time `json:"nextAttemptAt,omitzero"`
	DisabledAt    time.Time `json:"disabledAt,omitzero"`
}

func (a Webhooks) list(c echo.Context) error {
	if err := a.Allow(c.Request()); err != nil {
		return err
	}
	ctx := c.Request().Context()
	ids := make([]string, len(a.Webhooks))
	for i, h := range a.Webhooks {
		ids[i] = h.ID
	}
	rows, err := a.Store.Webhooks(ctx, ids...)
	if err != nil {
		return err
	}
	known := map[string]store.Webhook{}
	for _, row := range rows {
		known[row.ID] = row
	}
	head, err := a.Feed.Now(ctx)
	if err != nil {
		return err
	}
	items := make([]webhookState, len(a.Webhooks))
	for i, h := range a.Webhooks {
		items[i] = webhookState{ID: h.ID, URL: h.Address(), State: "new", Cursor: head}
		if row, ok := known[h.ID]; ok {
			items[i].fill(row, head)
		}
	}
	return c.JSON(http.StatusOK, map[string]any{"items": items})
}

func (s *webhookState) fill(row store.Webhook, head feed.Cursor) {
	s.State, s.Cursor, s.Pending = "ok", feed.Cursor(row.Seq), max(0, int64(head)-row.Seq)
	s.Failures, s.LastError = row.Failures, row.LastError
	s.DeliveredAt, s.FailingSince, s.NextAttemptAt, s.DisabledAt = moment(row.DeliveredAt), moment(row.FailingSince), moment(row.NextAttemptAt), moment(row.DisabledAt)
	switch {
	case row.DisabledAt > 0:
		s.State, s.NextAttemptAt = "disabled", time.Time{}
	case row.Failures > 0:
		s.State = "failing"
	}
}

// moment is a time of the database.
func moment(milliseconds int64) time.Time {
	if milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds).UTC()
}

func (a Webhooks) enable(c echo.Context) error {
	if err := a.Allow(c.Request()); err != nil {
		return err
	}
	for _, h := range a.Webhooks {
		if h.ID == c.Param("id") {
			if err := a.Store.EnableWebhook(c.Request().Context(), h.ID); err != nil {
				return err
			}
			return c.NoContent(http.StatusNoContent)
		}
	}
	return service.NotFoundError.Errorf("No webhook with the id %s", c.Param("id"))
}
