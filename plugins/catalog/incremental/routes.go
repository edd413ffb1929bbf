package incremental

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/service"
)

// routes tell operators how ingestions are doing, and let them interfere.
type routes struct{ ledger *ledger }

func (r routes) register(g *echo.Group) {
	g.GET("/health", r.health)
	g.POST("/cleanup", r.cleanup)
	g.GET("/providers", r.list)
	g.GET("/providers/:provider", r.status)
	g.DELETE("/providers/:provider", r.reset)
	g.POST("/providers/:provider/trigger", r.trigger)
	g.POST("/providers/:provider/start", r.start)
	g.POST("/providers/:provider/cancel", r.cancel)
	g.GET("/providers/:provider/marks", r.marks)
	g.DELETE("/providers/:provider/marks", r.forget)
}

// permitted lets operators see with one permission, and interfere with another.
func permitted(auth service.HTTPAuth, permissions service.Permissions) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			who, err := auth.Credentials(c.Request())
			if err != nil {
				return err
			}
			needed := catalogpermission.IngestionManage
			if c.Request().Method == http.MethodGet {
				needed = catalogpermission.IngestionRead
			}
			if err := service.RequirePermission(c.Request().Context(), permissions, who, needed); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// health is always well: a provider can't have two ingestions at once.
func (r routes) health(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{"healthy": true})
}

func (r routes) list(c echo.Context) error {
	names, err := r.ledger.providers(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "providers": names})
}

func (r routes) cleanup(c echo.Context) error {
	names, err := r.ledger.providers(c.Request().Context())
	if err != nil {
		return err
	}
	var total deletions
	for _, name := range names {
		gone, _, err := r.ledger.reset(c.Request().Context(), name)
		if err != nil {
			return err
		}
		total.ingestions += gone.ingestions
		total.marks += gone.marks
		total.entities += gone.entities
	}
	return c.JSON(http.StatusOK, map[string]any{
		"ingestionsDeleted": total.ingestions, "ingestionMarksDeleted": total.marks, "markEntitiesDeleted": total.entities,
	})
}

func (r routes) status(c echo.Context) error {
	in, err := r.ledger.current(c.Request().Context(), c.Param("provider"))
	switch {
	case err != nil:
		return err
	case in == nil:
		return unknown(c, "last_error", map[string]any{"status": struct{}{}})
	case in.Status == statusComplete:
		return c.JSON(http.StatusOK, map[string]any{"success": true, "status": map[string]any{"current_action": "rest complete, waiting to start"}})
	}
	return c.JSON(http.StatusOK, map[string]any{
		"success": true, "last_error": in.LastError,
		"status": map[string]any{"current_action": in.Status, "next_action_at": timestamp(in.ActionAt)},
	})
}

func (r routes) reset(c echo.Context) error {
	provider := c.Param("provider")
	gone, found, err := r.ledger.reset(c.Request().Context(), provider)
	switch {
	case err != nil:
		return err
	case !found:
		return unknown(c, "message", nil)
	}
	return c.JSON(http.StatusOK, map[string]any{
		"provider": provider, "ingestionsDeleted": gone.ingestions, "marksDeleted": gone.marks, "markEntitiesDeleted": gone.entities,
	})
}

func (r routes) trigger(c echo.Context) error {
	return r.command(c, "Next action triggered.", "Unable to trigger next action (provider is restarting)", func(in *ingestion) {
		in.ActionAt = r.ledger.now().UnixMilli()
	})
}

func (r routes) start(c echo.Context) error {
	return r.command(c, "Next cycle triggered.", "Provider is already restarting", func(in *ingestion) {
		status := statusCanceling
		if in.Status == statusResting {
			status = statusComplete
		}
		in.set(status, actionBegin, r.ledger.now())
	})
}

func (r routes) cancel(c echo.Context) error {
	return r.command(c, "Current ingestion canceled.", "Provider is currently restarting, please wait.", func(in *ingestion) {
		in.set(statusResting, actionRest, r.ledger.now().Add(pause))
	})
}

// command changes an ingestion, unless it is over.
func (r routes) command(c echo.Context, done, restarting string, change func(*ingestion)) error {
	message := c.Param("provider") + ": " + done
	found, err := r.ledger.change(c.Request().Context(), c.Param("provider"), func(_ context.Context, _ bun.Tx, in *ingestion) error {
		if in.Status == statusComplete {
			message = restarting
			return nil
		}
		change(in)
		return nil
	})
	switch {
	case err != nil:
		return err
	case !found:
		return unknown(c, "message", nil)
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "message": message})
}

func (r routes) marks(c echo.Context) error {
	in, err := r.ledger.current(c.Request().Context(), c.Param("provider"))
	switch {
	case err != nil:
		return err
	case in == nil:
		return unknown(c, "last_error", map[string]any{"status": struct{}{}})
	case in.Status == statusComplete:
		return c.JSON(http.StatusOK, map[string]any{"success": true, "message": "No records yet (provider is restarting)"})
	}
	marks, err := r.ledger.marks(c.Request().Context(), in, 0)
	if err != nil {
		return err
	}
	type record struct {
		ID        string          `json:"id"`
		Ingestion string          `json:"ingestion_id"`
		Cursor    json.RawMessage `json:"cursor"`
		Sequence  int             `json:"sequence"`
		CreatedAt string          `json:"created_at"`
	}
	records := make([]record, len(marks))
	for i, m := range marks {
		records[i] = record{ID: m.ID, Ingestion: m.Ingestion, Cursor: m.cursor(), Sequence: m.Sequence, CreatedAt: timestamp(m.CreatedAt)}
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "records": records})
}

func (r routes) forget(c echo.Context) error {
	gone, err := r.ledger.forgetExpired(c.Request().Context(), c.Param("provider"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{
		"success": true, "message": fmt.Sprintf("Expired marks for provider '%s' removed.", c.Param("provider")),
		"deletions": map[string]any{"deletions": map[string]any{ // twice, as in Backstage
			"markEntitiesDeleted": gone.entities, "marksDeleted": gone.marks, "ingestionsDeleted": gone.ingestions,
		}},
	})
}

// unknown answers that there is no such provider, in the field that clients of this route look at.
func unknown(c echo.Context, field string, more map[string]any) error {
	answer := map[string]any{"success": false, field: fmt.Sprintf("Provider '%s' not found", c.Param("provider"))}
	for key, value := range more {
		answer[key] = value
	}
	return c.JSON(http.StatusNotFound, answer)
}

// timestamp is a time as JavaScript writes it.
func timestamp(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
