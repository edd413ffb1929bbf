package httprouter_test

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

// A plugin asks for its routes, and for the policies of those that need no credentials.
func Example() {
	todo := plugin.New("todo", plugin.Init(func(router *echo.Group, policies service.AuthPolicies) {
		router.GET("/items/:id", func(c echo.Context) error {
			return service.NotFoundError.Errorf("there is no item %s", c.Param("id")) // 404 with Backstage's JSON body
		})
		router.GET("/logo", func(c echo.Context) error { return c.Blob(http.StatusOK, "image/svg+xml", []byte("<svg/>")) })
		policies.AllowUnauthenticated("/logo")
	}))
	fmt.Println(todo)
	// Output: plugin todo
}

func ExampleServices() {
	for _, s := range httprouter.Services() {
		fmt.Println(s.Scope(), s)
	}
	// Output:
	// root service *httprouter.Server
	// root service *echo.Echo
	// plugin service *echo.Group
	// plugin service service.AuthPolicies
}

// An Echo of the adopter's own, with middleware for all requests, replaces the built-in one. It is added to a backend like a plugin.
func ExampleServices_override() {
	own := service.Root[*echo.Echo](func(log service.RootLogger) *echo.Echo {
		e := echo.New()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				c.Response().Header().Set("X-Portal", "acme")
				return next(c)
			}
		})
		e.GET("/robots.txt", func(c echo.Context) error { return c.String(http.StatusOK, "User-agent: *\nDisallow: /\n") })
		return e
	})
	fmt.Println(own)
	// Output: service *echo.Echo
}

func ExampleBodyLimit() {
	upload := func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
	docs := plugin.New("docs", plugin.Init(func(router *echo.Group) {
		router.PUT("/archive", upload, httprouter.BodyLimit(1<<30)) // 1 GiB instead of MaxBodyBytes
	}))
	fmt.Println(docs)
	// Output: plugin docs
}
