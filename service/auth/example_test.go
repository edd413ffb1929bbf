package auth_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// A program with a static token of the configuration calls a route; without the token, the route is closed.
func Example() {
	who := plugin.New("who", plugin.Init(func(router *echo.Group, auth service.HTTPAuth) {
		router.GET("", func(c echo.Context) error {
			caller, err := auth.Credentials(c.Request(), service.AllowService)
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, caller.Subject)
		})
	}))
	const token = "a-token-of-the-build-server"
	b := backend.New(backend.Options{Config: config.Options{Overrides: map[string]any{"backend": map[string]any{
		"listen": "127.0.0.1:0",
		"auth": map[string]any{"externalAccess": []any{
			map[string]any{"type": "static", "options": map[string]any{"token": token, "subject": "build-server"}},
		}},
	}}}})
	b.Add(who, service.Root[service.RootLogger](func() service.RootLogger {
		return service.RootLogger{Logger: slog.New(slog.DiscardHandler)}
	}))
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, header := range []string{"Bearer " + token, ""} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL()+"/api/who", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header.Set("Authorization", header)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			body = nil
		}
		fmt.Println(res.StatusCode, string(body))
	}
	http.DefaultClient.CloseIdleConnections()
	if err := b.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 200 build-server
	// 401
}
