package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugins/catalog/internal/bulk"
	"github.com/portico-dev/portico/plugins/catalog/internal/feed"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

// Bulk exports and imports entities.
type Bulk struct {
	Store   *store.Store
	Visible Visible
	// Allow fails if who makes the request may not import.
	Allow func(r *http.Request) error
	// Target is the provider with a name, for imports.
	Target func(provider string) bulk.Target
	// Imported is called when something was imported.
	Imported func()
	Log      *slog.Logger
}

const (
	// cursorHeader has the cursor of the feed from which on changes are not in an export.
	cursorHeader = "Catalog-Cursor"
	ndjsonType   = "application/x-ndjson; charset=utf-8"
	exportPage   = 500
	// mostImported is the most bytes of an import.
	mostImported = 4 << 30
	// importPatience is how long the next batch of an import may take to arrive.
	importPatience = 2 * time.Minute
	// importEnding is how long it may take to tell that an import has ended.
	importEnding = 10 * time.Second
)

// Register adds the routes.
func (b Bulk) Register(router Router) {
	router.GET("/export", b.export)
	router.POST("/import", b.importStream, httprouter.BodyLimit(mostImported))
}

// export answers all entities, one in each line, in the order of their refs. They are read page by page: those that change meanwhile may be
// in either form, and changes behind the cursor in the header tell which.
func (b Bulk) export(c echo.Context) error {
	params := parameters(c)
	where, err := parseFilter(params)
	if err != nil {
		return err
	}
	fields, err := query.ParseFields(params.All("fields")...)
	if err != nil {
		return err
	}
	if where, err = (Changes{Visible: b.Visible}).condition(c.Request(), where); err != nil {
		return err
	}
	ctx := c.Request().Context()
	head, err := b.Store.Head(ctx)
	if err != nil {
		return err
	}
	after, _ := params.Get("after")
	page, err := b.Store.FinalsAfter(ctx, after, exportPage)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Type", ndjsonType)
	c.Response().Header().Set(cursorHeader, feed.Cursor(head).String())
	c.Response().WriteHeader(http.StatusOK)
	for len(page) > 0 {
		var lines []byte
		for _, entity := range page {
			after = entity.Ref
			if _, ok := feed.See(store.Entry{After: entity.JSON}, where); !ok {
				continue
			}
			line, err := project(entity.JSON, fields)
			if err != nil {
				return err
			}
			lines = append(append(lines, line...), '\n')
		}
		if _, err := c.Response().Write(lines); err != nil {
			return err
		}
		if page, err = b.Store.FinalsAfter(ctx, after, exportPage); err != nil {
			return err // the client sees that the answer is not whole
		}
	}
	return nil
}

func (b Bulk) importStream(c echo.Context) error {
	params := parameters(c)
	if err := b.Allow(c.Request()); err != nil {
		return err
	}
	provider, _ := params.Get("provider")
	mode, _ := params.Get("mode")
	report, err := b.run(c, provider, mode == "full")
	if refused := (*service.Error)(nil); report.Errors != nil && errors.As(err, &refused) {
		refused.Details = map[string]any{"report": report}
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, report)
}

// run imports the stream. When it returns, the next import may begin.
func (b Bulk) run(c echo.Context, provider string, full bool) (report bulk.Report, err error) {
	ctx := c.Request().Context()
	goOn := func() error { return nil }
	if full {
		running, err := b.Store.BeginImport(ctx, provider)
		if err != nil {
			return report, err
		}
		defer b.end(context.WithoutCancel(ctx), running)
		goOn = func() error { return running.Extend(ctx) }
	} else if err := b.Store.RequireNoImport(ctx, provider); err != nil {
		return report, err
	}
	control := http.NewResponseController(c.Response())
	wait := func() {
		_ = control.SetReadDeadline(time.Now().Add(importPatience)) // what is no connection has no deadline
	}
	wait()
	defer b.Imported()
	return bulk.Import(ctx, c.Request().Body, b.Target(provider), full, func() error {
		b.Imported()
		wait()
		return goOn()
	})
}

// end ends a full import, also of a client that has gone.
func (b Bulk) end(ctx context.Context, running *store.Import) {
	ctx, cancel := context.WithTimeout(ctx, importEnding)
	defer cancel()
	if err := running.End(ctx); err != nil {
		b.Log.WarnContext(ctx, "A full import could not be ended: the next one of the provider has to wait", "error", err)
	}
}
