package httprouter_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

// local calls the routes without a connection.
func (b *backend) local(ctx context.Context, path string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	req.Header.Set("Authorization", "Bearer guest")
	rec := httptest.NewRecorder()
	b.server.Handler().ServeHTTP(rec, req)
	return rec
}

func TestWaitForStart(t *testing.T) {
	t.Parallel()
	const starting, stopping = "Service has not started up yet", "Service is shutting down"
	for _, test := range []struct {
		name    string
		pause   any
		becomes service.State
		after   time.Duration
		status  int
		message string
		waited  time.Duration
	}{
		{"it starts in time", nil, service.StateRunning, 4 * time.Second, 200, "", 4 * time.Second},
		{"it takes too long", nil, service.StateRunning, 6 * time.Second, 503, starting, 5 * time.Second},
		{"it may take longer", "10s", service.StateRunning, 6 * time.Second, 200, "", 6 * time.Second},
		{"the wait is in milliseconds", 1500, service.StateRunning, 6 * time.Second, 503, starting, 1500 * time.Millisecond},
		{"nobody waits", 0, service.StateRunning, time.Second, 503, starting, 0},
		{"it fails", nil, service.StateFailed, time.Second, 503, "Service has failed to start", time.Second},
		{"it stops", nil, service.StateStopping, time.Second, 503, stopping, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				settings := map[string]any{}
				if test.pause != nil {
					settings["lifecycle"] = map[string]any{"startupRequestPauseTimeout": test.pause}
				}
				b := newBackend(t, settings)
				b.instance.set("todo", service.StateStarting)
				group, _ := b.plugin("todo")
				time.AfterFunc(test.after, func() {
					group.GET("/", hello) // routes may come while requests wait
					b.instance.set("todo", test.becomes)
				})
				begin := time.Now()
				rec := b.local(t.Context(), "/api/todo/")
				if rec.Code != test.status || time.Since(begin) != test.waited {
					t.Errorf("status %d after %s, want %d after %s", rec.Code, time.Since(begin), test.status, test.waited)
				}
				if test.message != "" && !strings.Contains(rec.Body.String(), `{"message":"`+test.message+`","name":"ServiceUnavailableError"}`) {
					t.Errorf("%s", rec.Body)
				}
				time.Sleep(10 * time.Second) // until nothing is left to happen
			})
		})
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, policies := b.plugin("todo")
	group.GET("/", hello)
	policies.AllowUnauthenticated("/")
	b.instance.set("silent", service.StateFailed)
	for state, status := range map[service.State]int{service.StateRunning: 200, service.StateFailed: 503, service.StateStopping: 503, service.StateStopped: 503} {
		b.instance.set("todo", state)
		if rec := b.local(t.Context(), "/api/todo/"); rec.Code != status {
			t.Errorf("%s: %d", state, rec.Code)
		}
	}
	if rec := b.local(t.Context(), "/api/silent/"); rec.Code != 503 {
		t.Errorf("a failed plugin without routes: %d", rec.Code)
	}
	t.Run("a plugin gets its routes while requests wait", func(t *testing.T) {
		b.instance.set("late", service.StateStarting)
		var wait sync.WaitGroup
		wait.Go(func() {
			if rec := b.local(t.Context(), "/api/late/"); rec.Code != 200 {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
		group, _ := b.plugin("late")
		group.GET("/", hello)
		b.instance.set("late", service.StateRunning)
		wait.Wait()
	})
	t.Run("a client that goes away while it waits", func(t *testing.T) {
		b.instance.set("slow", service.StateStarting)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if rec := b.local(ctx, "/api/slow/"); rec.Code != 499 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}

func TestAuthPolicies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policy       string
		open, closed []string
	}{
		{"/", []string{"", "/", "/a", "/a/b"}, nil},
		{"*", []string{"", "/", "/a", "/a/b"}, nil},
		{"/public", []string{"/public", "/public/", "/public/a/b", "/public/a.b", "/public/..a"}, []string{
			"/", "/publicity", "/Public", "/a/public", "/public/../secret", "/public/%2e%2E/secret", "/public/a/./b", "/public/..%2fsecret", "/%70ublic"}},
		{"/a/b/", []string{"/a/b", "/a/b/c"}, []string{"/a", "/a/c"}},
		{"/:provider/start", []string{"/github/start", "/github/start/x"}, []string{"/github", "/start", "//start", "/github/x/start", "/../start"}},
		{"/static/*", []string{"/static/x", "/static/x/y"}, []string{"/static", "/static/"}},
	} {
		t.Run(test.policy, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, nil)
			group, policies := b.plugin("todo")
			group.Any("", hello)
			group.Any("/*", hello)
			policies.AllowUnauthenticated(test.policy)
			status := func(path string) int {
				req := httptest.NewRequest(http.MethodGet, "/api/todo"+path, nil)
				rec := httptest.NewRecorder()
				b.server.ServeHTTP(rec, req)
				return rec.Code
			}
			for _, path := range test.open {
				if got := status(path); got != http.StatusOK {
					t.Errorf("%q: %d", path, got)
				}
			}
			for _, path := range test.closed {
				if got := status(path); got != http.StatusUnauthorized {
					t.Errorf("%q: %d", path, got)
				}
			}
		})
	}
	for _, bad := range []string{"", "public", "/a{/b}", "/*/a", "/a//b"} {
		func() {
			defer func() {
				if message, _ := recover().(string); !strings.Contains(message, "AllowUnauthenticated") {
					t.Errorf("%q: %q", bad, message)
				}
			}()
			_, policies := newBackend(t, nil).plugin("todo")
			policies.AllowUnauthenticated(bad)
		}()
	}
}

func TestUserCookiePolicy(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, policies := b.plugin("todo")
	group.Any("/*", hello)
	policies.AllowUserCookie("/images")
	for path, want := range map[string]int{
		"/images": 200, "/images/a": 200, "/imagesx": 401, "/other": 401, "/images/../other": 401, "/images/%2e%2e/other": 401,
		"/.backstage/auth/v1/cookie": 401,
	} {
		req := httptest.NewRequest(http.MethodGet, "/api/todo"+path, nil)
		req.Header.Set("Authorization", "Bearer limited")
		rec := httptest.NewRecorder()
		b.server.ServeHTTP(rec, req)
		if rec.Code != want {
			t.Errorf("%s: %d, want %d", path, rec.Code, want)
		}
	}
}

func TestNoCredentialsNeeded(t *testing.T) {
	t.Parallel()
	b := newBackend(t, map[string]any{"auth": map[string]any{"dangerouslyDisableDefaultAuthPolicy": true}})
	group, _ := b.plugin("todo")
	group.GET("/", hello)
	b.start()
	if got := b.get("/api/todo/", "Authorization: "); got.StatusCode != http.StatusOK {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestHandle(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	b.instance.set("todo", service.StateStarting)
	b.server.Handle("todo", http.MethodGet, "/.backstage/keys", func(c echo.Context) error { return c.JSON(http.StatusOK, []int{}) })
	b.server.Handle("todo", http.MethodGet, "/.backstage/fails", func(echo.Context) error { return service.ConflictError.Errorf("no") })
	b.start()
	if got := b.get("/api/todo/.backstage/keys", "Authorization: "); got.StatusCode != http.StatusOK || got.body != "[]\n" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if body := parseError(t, b.get("/api/todo/.backstage/fails")); body.Error["name"] != "ConflictError" || body.Request.URL != "/.backstage/fails" {
		t.Errorf("%+v", body)
	}
	b.instance.set("todo", service.StateRunning)
	if got := b.get("/api/todo/other"); got.StatusCode != http.StatusNotFound {
		t.Errorf("a plugin that has no routes of its own: %d", got.StatusCode)
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	b.echo.GET("/status", hello)
	group, policies := b.plugin("app")
	policies.AllowUnauthenticated("/")
	group.GET("/*", func(c echo.Context) error { return c.String(http.StatusOK, c.Request().URL.Path+" "+c.Param("*")) })
	b.start()
	for path, want := range map[string]string{
		"/":              "/api/app/ ",
		"/catalog/a%2Fb": "/api/app/catalog/a/b catalog/a%2Fb",
		"/status":        "hello",
		"/api/app/x":     "/api/app/x x",
		"/apis":          "/api/app/apis apis",
	} {
		if got := b.get(path); got.StatusCode != http.StatusOK || got.body != want {
			t.Errorf("%s: %d %q, want %q", path, got.StatusCode, got.body, want)
		}
	}
	for _, path := range []string{"/api", "/api/", "/api/nope"} {
		if got := b.get(path); got.StatusCode != http.StatusNotFound || got.body != "" {
			t.Errorf("%s: %d %q", path, got.StatusCode, got.body)
		}
	}
	if got := b.do(b.request(http.MethodPost, "/x", nil)); got.StatusCode != http.StatusNotFound {
		t.Errorf("a method that the frontend does not have: %d", got.StatusCode)
	}
}

// Routes match with and without a slash at the end, as in Express.
func TestSlashAtTheEnd(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	for id, path := range map[string]string{"slash": "/", "bare": ""} {
		group, _ := b.plugin(id)
		group.GET(path, func(c echo.Context) error { return c.String(http.StatusOK, "root") })
	}
	group, _ := b.plugin("todo")
	group.Use(func(next echo.HandlerFunc) echo.HandlerFunc { return next })
	group.GET("/items", func(c echo.Context) error { return c.String(http.StatusOK, "items") })
	group.GET("/items/:id", func(c echo.Context) error { return c.String(http.StatusOK, "item "+c.Param("id")) })
	group.GET("/pairs/:a/:b", func(c echo.Context) error { return c.String(http.StatusOK, "pair "+c.Param("a")+" "+c.Param("b")) })
	group.GET("/missing", func(echo.Context) error { return service.NotFoundError.Errorf("gone") })
	group.GET("/files/*", func(c echo.Context) error { return c.String(http.StatusOK, "file "+c.Param("*")) })
	rest, _ := b.plugin("rest")
	rest.GET("/items", func(c echo.Context) error { return c.String(http.StatusOK, "items") })
	rest.Any("/*", func(echo.Context) error {
		return &service.Error{Name: service.NotFoundError, Message: "nothing here", Cause: echo.ErrNotFound}
	})
	b.server.Handle("todo", http.MethodGet, "/keys", func(c echo.Context) error { return c.String(http.StatusOK, "keys") })
	b.start()
	for path, want := range map[string]string{
		"/api/slash": "root", "/api/slash/": "root",
		"/api/bare": "root", "/api/bare/": "root",
		"/api/todo/items": "items", "/api/todo/items?a=b": "items", "/api/todo/items/a%2Fb/": "item a/b",
		"/api/todo/items/7/": "item 7", "/api/todo/items/7/8": "", "/api/todo/pairs/1/2/": "pair 1 2", "/api/todo/pairs//2": "",
		"/api/todo/files/a/": "file a/", "/api/todo/nope/": "", "/api/todo": "", "/api/todo/": "",
		"/api/todo/items/": "items", "/api/todo/keys": "keys", "/api/todo/keys/": "keys", "/api/rest/items/": "items",
	} {
		if got := b.get(path); got.body != want || (got.StatusCode == http.StatusOK) != (want != "") {
			t.Errorf("%s: %d %q, want %q", path, got.StatusCode, got.body, want)
		}
	}
	if got := b.do(b.request(http.MethodPost, "/api/todo/items/", nil)); got.StatusCode != http.StatusNotFound || got.body != "" {
		t.Errorf("another method: %d %q", got.StatusCode, got.body)
	}
	if got := b.get("/api/todo/missing/?a=b"); !strings.Contains(got.body, `"url":"/missing/?a=b"`) {
		t.Errorf("the error does not tell what was asked for: %s", got.body)
	}
	for _, path := range []string{"/api/rest/other", "/api/rest/other/"} {
		if got := b.get(path); got.StatusCode != http.StatusNotFound || !strings.Contains(got.body, "nothing here") {
			t.Errorf("%s: %d %q", path, got.StatusCode, got.body)
		}
	}
}

func TestListRoutes(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	group.Use(func(next echo.HandlerFunc) echo.HandlerFunc { return next })
	group.POST("/b", hello)
	group.GET("/b", hello)
	group.GET("/a", hello)
	var got []string
	for _, r := range b.server.Routes("todo") {
		got = append(got, r.Method+" "+r.Path)
	}
	if want := "GET /api/todo/a, GET /api/todo/b, POST /api/todo/b"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if got := b.server.Routes("nope"); got != nil {
		t.Errorf("%v", got)
	}
}

func TestRoutesOnce(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	b.plugin("todo")
	var group *echo.Group
	err := fx.New(fx.NopLogger, fx.Supply(plugin.Metadata{ID: "todo"}, b.server),
		fx.Provide(func() service.HTTPAuth { return httpAuth{} }, b.logger, constructorOf[*echo.Group]()), fx.Populate(&group)).Err()
	if err == nil || !strings.Contains(err.Error(), "plugin todo has its routes already") {
		t.Errorf("%v", err)
	}
}

func constructorOf[T any]() any {
	for _, s := range httprouter.Services() {
		if s.Type() == service.Root[T](nil).Type() {
			return s.Constructor()
		}
	}
	return nil
}

// An Echo of the adopter's own sees all requests, and the server's rules hold for it too.
func TestOwnEcho(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil, fx.Decorate(func(*echo.Echo) *echo.Echo {
		e := echo.New()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				c.Response().Header().Set("X-Own", c.Request().URL.Path)
				return next(c)
			}
		})
		return e
	}))
	group, _ := b.plugin("todo")
	group.GET("/", hello)
	b.start()
	for path, status := range map[string]int{"/api/todo/": 200, "/nope": 404} {
		if got := b.get(path); got.StatusCode != status || got.Header.Get("X-Own") != path {
			t.Errorf("%s: %d %v", path, got.StatusCode, got.Header)
		}
	}
}

func TestRegisterWhileServing(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	group.GET("/", hello)
	b.start()
	var wait sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d"} {
		b.instance.set(id, service.StateStarting)
		wait.Go(func() {
			if got := b.get("/api/" + id + "/x/1"); got.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", id, got.StatusCode)
			}
		})
		wait.Go(func() {
			group, policies := b.plugin(id)
			group.GET("/x/:y", hello)
			policies.AllowUnauthenticated("/z")
			b.server.Handle(id, http.MethodGet, "/.keys", hello)
			b.instance.set(id, service.StateRunning)
		})
		wait.Go(func() {
			res, err := b.client.Do(b.request(http.MethodGet, "/api/todo/", nil))
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		})
	}
	wait.Wait()
}

// TestPathParams has paths that are encoded in other than the usual way.
func TestPathParams(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, _ := b.plugin("todo")
	group.GET("/items/:kind/:name", func(c echo.Context) error { return c.String(http.StatusOK, c.Param("kind")+"|"+c.Param("name")) })
	group.GET("/files/*", func(c echo.Context) error { return c.String(http.StatusOK, c.Param("*")) })
	b.start()
	for path, want := range map[string]string{
		"/items/a/b":          "a|b",
		"/items/a/jane%2Edoe": "a|jane.doe",
		"/items/a%2Fb/c%20d":  "a/b|c d",
		"/items/a%40b/100%25": "a@b|100%",
		"/items/%C3%A6/%2561": "æ|%61",
		"/files/a%2Fb/c%2Ed":  "a%2Fb/c%2Ed",
	} {
		if got := b.get("/api/todo" + path); got.body != want {
			t.Errorf("%s: %d %q, want %q", path, got.StatusCode, got.body, want)
		}
	}
	for _, path := range []string{"/items/a/%ff", "/items/a/%FF", "/files/%c3%28", "/items/a%00"} {
		if got := b.get("/api/todo" + path); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, "InputError") {
			t.Errorf("%s: %d %q", path, got.StatusCode, got.body)
		}
	}
}

// TestHead has routes for GET, which serve HEAD too.
func TestHead(t *testing.T) {
	t.Parallel()
	b := newBackend(t, nil)
	group, policies := b.plugin("todo")
	group.GET("/item", func(c echo.Context) error {
		c.Response().Header().Set("X-Item", "1")
		return c.String(http.StatusAccepted, "text")
	})
	group.POST("/post", hello)
	policies.AllowUnauthenticated("/item")
	b.server.Handle("todo", http.MethodGet, "/keys", func(c echo.Context) error {
		c.Response().Header().Set("X-Item", "1")
		return c.String(http.StatusAccepted, "text")
	})
	rest, _ := b.plugin("rest")
	rest.GET("/item", func(c echo.Context) error {
		c.Response().Header().Set("X-Item", "1")
		return c.String(http.StatusAccepted, "text")
	})
	rest.Any("/*", func(echo.Context) error {
		return &service.Error{Name: service.NotFoundError, Message: "nothing here", Cause: echo.ErrNotFound}
	})
	b.start()
	for _, path := range []string{"/api/todo/item", "/api/todo/item/", "/api/todo/keys", "/api/rest/item"} {
		if got := b.do(b.request(http.MethodHead, path, nil)); got.StatusCode != http.StatusAccepted || got.body != "" || got.Header.Get("X-Item") != "1" {
			t.Errorf("%s: %d %q %v", path, got.StatusCode, got.body, got.Header)
		}
	}
	for _, path := range []string{"/api/todo/post", "/api/todo/other"} {
		if got := b.do(b.request(http.MethodHead, path, nil)); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}
