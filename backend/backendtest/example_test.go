package backendtest_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
)

func todo() plugin.Plugin {
	return plugin.New("todo", plugin.Init(func(router *echo.Group) {
		router.GET("/items", func(c echo.Context) error { return c.JSON(http.StatusOK, []string{"write tests"}) })
	}))
}

// The body of a test: t is its *testing.T.
func ExampleStart() {
	var t *testing.T
	_ = func() {
		b := backendtest.Start(t, todo())
		res := b.As(t, "user:default/guest").Get("/api/todo/items")
		if items := backendtest.JSON[[]string](t, res); len(items) != 1 {
			t.Errorf("%d items", len(items))
		}
	}
}
