package httprouter_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	b.echo.GET("/status", hello)
	group, policies := b.plugin("todo")
	group.GET("/items/:id", func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]string{"id": c.Param("id")}) })
	group.GET("/public/logo", hello)
	policies.AllowUnauthenticated("/public")
	b.plugin("empty")
	b.instance.set("silent", service.StateRunning)
	b.start()
	const anonymous = "Authorization: "
	missing := func(url string) string {
		return `{"error":{"message":"Missing credentials","name":"AuthenticationError"},"request":{"method":"GET","url":"` + url + `"},"response":{"statusCode":401}}`
	}
	for _, test := range []struct {
		name, path, header string
		status             int
		contentType, body  string
	}{
		{"a route of a plugin", "/api/todo/items/1", "", 200, "application/json; charset=utf-8", "{\"id\":\"1\"}\n"},
		{"a route of the backend", "/status", anonymous, 200, "text/plain; charset=UTF-8", "hello"},
		{"an unknown route of a plugin", "/api/todo/nope", "", 404, "", ""},
		{"an unknown route of a plugin without credentials", "/api/todo/nope?a=1", anonymous, 401, "application/json; charset=utf-8", missing("/nope?a=1")},
		{"the root of a plugin", "/api/todo", anonymous, 401, "application/json; charset=utf-8", missing("/")},
		{"a route without credentials", "/api/todo/items/1", anonymous, 401, "application/json; charset=utf-8", missing("/items/1")},
		{"an open route", "/api/todo/public/logo", anonymous, 200, "text/plain; charset=UTF-8", "hello"},
		{"a plugin without routes", "/api/empty/x", "", 404, "", ""},
		{"a plugin that never asked for routes", "/api/silent/x", "", 404, "", ""},
		{"an unknown plugin", "/api/nope/x", "", 404, "", ""},
		{"a longer name of a plugin", "/api/todos/items/1", "", 404, "", ""},
		{"no plugin", "/api/", "", 404, "", ""},
		{"an unknown route of the backend", "/nope", "", 404, "", ""},
		{"the root", "/", "", 404, "", ""},
		{"liveness", "/.backstage/health/v1/liveness", anonymous, 200, "application/json; charset=utf-8", `{"status":"ok"}`},
		{"readiness", "/.backstage/health/v1/readiness", anonymous, 200, "application/json; charset=utf-8", `{"status":"ok"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			if test.header != "" {
				headers = append(headers, test.header)
			}
			got := b.get(test.path, headers...)
			if got.StatusCode != test.status || got.Header.Get("Content-Type") != test.contentType || got.body != test.body {
				t.Errorf("got %d %q %q, want %d %q %q", got.StatusCode, got.Header.Get("Content-Type"), got.body, test.status, test.contentType, test.body)
			}
		})
	}
}
