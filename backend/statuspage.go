package backend

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/service"
)

//go:embed statuspage.html
var statusPage string

// addStatusPage serves a page at / that tells which plugins run and in what state. The plugin app, which serves the frontend, takes its place.
func (b *Backend) addStatusPage() error {
	router, ok := wiring.Value[*echo.Echo](b.root)
	if _, frontend := b.instance.Plugin("app"); frontend || !ok {
		return nil
	}
	page, err := template.New("status page").Funcs(template.FuncMap{"round": func(d time.Duration) time.Duration {
		return d.Round(10 * time.Microsecond)
	}}).Parse(statusPage)
	if err != nil {
		return err
	}
	router.GET("/", func(c echo.Context) error {
		_, catalog := b.instance.Plugin("catalog")
		_, auth := b.instance.Plugin("auth")
		var html bytes.Buffer
		if err := page.Execute(&html, struct {
			Status  service.Status
			Plugins []service.Status
			Catalog bool
			Auth    bool
		}{b.instance.Status(), b.instance.Plugins(), catalog, auth}); err != nil {
			return err
		}
		return c.HTMLBlob(http.StatusOK, html.Bytes())
	})
	return nil
}
