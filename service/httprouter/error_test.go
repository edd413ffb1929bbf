package httprouter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

type errorBody struct {
	Error    map[string]any
	Request  struct{ Method, URL string }
	Response struct{ StatusCode int }
}

func parseError(t *testing.T, a answer) errorBody {
	t.Helper()
	var body errorBody
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%v: %q", err, a.body)
	}
	if body.Response.StatusCode != a.StatusCode {
		t.Errorf("the body says status %d, the answer has %d", body.Response.StatusCode, a.StatusCode)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	return body
}

func TestErrors(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	cause := errors.New("dial tcp 10.0.0.1:5432: password=hunter2")
	for _, test := range []struct {
		title   string
		err     error
		status  int
		name    string
		message string // empty for one that is not told
		logged  bool
	}{
		{"an input error", service.InputError.Errorf("limit is %d", 0), 400, "InputError", "limit is 0", false},
		{"an authentication error", service.AuthenticationError.Errorf("no"), 401, "AuthenticationError", "no", false},
		{"not allowed", service.NotAllowedError.Errorf("no"), 403, "NotAllowedError", "no", false},
		{"not found", service.NotFoundError.Errorf("item <1>"), 404, "NotFoundError", "item <1>", false},
		{"a conflict", service.ConflictError.Errorf("twice"), 409, "ConflictError", "twice", false},
		{"not implemented", service.NotImplementedError.Errorf("later"), 501, "NotImplementedError", "later", true},
		{"unavailable", service.ServiceUnavailableError.Errorf("later"), 503, "ServiceUnavailableError", "later", true},
		{"a name of its own", &service.Error{Name: "WeirdError", Message: "odd", Cause: cause}, 500, "WeirdError", "odd", true},
		{"a wrapped error", fmt.Errorf("todo: reading: %w", service.NotFoundError.Errorf("no item")), 404, "NotFoundError", "no item", false},
		{"a wrapped name", fmt.Errorf("no item 7: %w", service.NotFoundError), 404, "NotFoundError", "no item 7: NotFoundError", false},
		{"an error of echo", echo.NewHTTPError(http.StatusTeapot, "short"), 418, "ImateapotError", "short", false},
		{"a bad request of echo", echo.NewHTTPError(http.StatusBadRequest, "bad"), 400, "InputError", "bad", false},
		{"an unsupported type", echo.ErrUnsupportedMediaType, 415, "UnsupportedMediaTypeError", "Unsupported Media Type", false},
		{"a server error of echo", echo.ErrInternalServerError, 500, "InternalServerError", "Internal Server Error", true},
		{"a broken error of echo", echo.NewHTTPError(7, "odd"), 500, "Error", "", true},
		{"any error", fmt.Errorf("todo: reading: %w", cause), 500, "Error", "", true},
		{"a cancellation that is not the client's", fmt.Errorf("asking: %w", context.Canceled), 500, "Error", "", true},
	} {
		path := "/" + strings.ReplaceAll(test.title, " ", "-")
		group.GET(path, func(c echo.Context) error {
			c.Response().Header().Set("Content-Disposition", "attachment")
			c.Response().Header().Set("Content-Length", "3")
			return test.err
		})
		t.Run(test.title, func(t *testing.T) {
			b.ensureStarted()
			got := b.get("/api/todo" + path + "?q=%2F")
			body := parseError(t, got)
			if got.StatusCode != test.status || body.Error["name"] != test.name {
				t.Errorf("got %d %v, want %d %s", got.StatusCode, body.Error["name"], test.status, test.name)
			}
			if body.Request.Method != "GET" || body.Request.URL != path+"?q=%2F" {
				t.Errorf("request %+v", body.Request)
			}
			if got.Header.Get("Content-Disposition") != "" {
				t.Error("a header of the other answer is left")
			}
			entry := b.logOf(path)
			if test.logged != (entry != nil) {
				t.Fatalf("logged %v, want %v", entry, test.logged)
			}
			if test.message == "" {
				id, _ := entry["logId"].(string)
				if len(id) != 20 || body.Error["message"] != "An internal error occurred logId="+id {
					t.Errorf("message %q, log id %q", body.Error["message"], id)
				}
			} else if body.Error["message"] != test.message {
				t.Errorf("message %q, want %q", body.Error["message"], test.message)
			}
			if strings.Contains(got.body, "hunter2") || len(body.Error) != 2 {
				t.Errorf("the answer tells too much: %s", got.body)
			}
			if test.logged && (entry["plugin"] != "todo" || entry["type"] != "errorHandler") {
				t.Errorf("log entry %v", entry)
			}
		})
	}
}

// ensureStarted starts a backend whose routes a test registers one by one: echo must not change while it serves, so requests and
// registrations of these tests take turns.
func (b *backend) ensureStarted() {
	if b.server.Addr() == nil {
		b.start()
	}
}

// logOf is the entry about a failed request to a path.
func (b *backend) logOf(path string) map[string]any {
	b.t.Helper()
	for _, line := range b.log.lines(b.t) {
		if p, _ := line["path"].(string); strings.HasSuffix(p, path) && line["level"] == "ERROR" {
			return line
		}
	}
	return nil
}

func TestErrorDetails(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	group.GET("/details", func(echo.Context) error {
		return &service.Error{Name: service.ConflictError, Message: "taken", Details: map[string]any{"by": "me", "name": "x"}}
	})
	group.GET("/untold", func(echo.Context) error {
		return &service.Error{Name: service.ConflictError, Message: "taken", Details: map[string]any{"f": func() {}}}
	})
	group.GET("/unmodified", func(echo.Context) error { return service.NotModifiedError.Errorf("same") })
	group.HEAD("/head", func(echo.Context) error { return service.ConflictError.Errorf("taken") })
	b.start()
	if body := parseError(t, b.get("/api/todo/details")); body.Error["by"] != "me" || body.Error["name"] != "ConflictError" {
		t.Errorf("%v", body.Error)
	}
	if body := parseError(t, b.get("/api/todo/untold")); body.Error["message"] != "taken" {
		t.Errorf("%v", body.Error)
	}
	if got := b.get("/api/todo/unmodified"); got.StatusCode != http.StatusNotModified || got.body != "" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	if got := b.do(b.request(http.MethodHead, "/api/todo/head", nil)); got.StatusCode != http.StatusConflict || got.body != "" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}

func TestMalformedBody(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	group.POST("/items", func(c echo.Context) error {
		var item struct{ Title string }
		if err := c.Bind(&item); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, item)
	})
	b.start()
	for _, test := range []struct {
		body, contentType string
		status            int
		name              string
	}{
		{`{"title":`, "application/json", 400, "InputError"},
		{`{"title":1}`, "application/json", 400, "InputError"},
		{`nope`, "application/json", 400, "InputError"},
		{`<x/>`, "image/png", 415, "UnsupportedMediaTypeError"},
	} {
		got := b.do(b.request(http.MethodPost, "/api/todo/items", strings.NewReader(test.body), "Content-Type: "+test.contentType))
		if body := parseError(t, got); got.StatusCode != test.status || body.Error["name"] != test.name || body.Error["message"] == "" {
			t.Errorf("%s: %d %s", test.body, got.StatusCode, got.body)
		}
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, policies := b.plugin("todo")
	policies.AllowUnauthenticated("/")
	crash := func(echo.Context) error { panic("secret reason") }
	group.GET("/panic", crash)
	b.echo.GET("/panic", crash)
	b.echo.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.QueryParam("middleware") != "" {
				panic("secret reason")
			}
			return next(c)
		}
	})
	b.start()
	for _, path := range []string{"/api/todo/panic", "/panic", "/api/todo/x?middleware=1"} {
		got := b.get(path)
		if body := parseError(t, got); got.StatusCode != 500 || body.Error["name"] != "Error" || strings.Contains(got.body, "secret") {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
	entry := b.logOf("/api/todo/panic")
	if stack, _ := entry["stack"].(string); entry["plugin"] != "todo" || entry["error"] != "panic: secret reason" || !strings.Contains(stack, "TestPanic") {
		t.Errorf("log entry %v", entry)
	}
}

// An answer that has begun can't become an error; the client sees that it is not whole.
func TestFailureWhileAnswering(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	fail := map[string]func(echo.Context) error{
		"error": func(echo.Context) error { return errors.New("broken") },
		"panic": func(echo.Context) error { panic("broken") },
		"abort": func(echo.Context) error { panic(http.ErrAbortHandler) },
	}
	for name, how := range fail {
		group.GET("/flushed/"+name, func(c echo.Context) error {
			_ = c.String(http.StatusOK, "begin")
			c.Response().Flush()
			return how(c)
		})
		group.GET("/written/"+name, func(c echo.Context) error {
			_ = c.String(http.StatusOK, "begin")
			return how(c)
		})
	}
	b.start()
	for name := range fail {
		for _, kind := range []string{"/flushed/", "/written/"} {
			res, err := b.client.Do(b.request(http.MethodGet, "/api/todo"+kind+name, nil))
			if err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if err == nil {
				t.Errorf("%s%s: the answer looks whole", kind, name)
			}
			if entry := b.logOf(kind + name); (entry != nil) != (name != "abort") {
				t.Errorf("%s%s: log entry %v", kind, name, entry)
			}
		}
	}
}
