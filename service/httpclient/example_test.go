package httpclient_test

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

// Plugin shop calls plugin stock. The request carries a token of plugin shop and, as both run in one backend, uses no socket.
func Example() {
	stock := plugin.New("stock", plugin.Init(func(router *echo.Group, auth service.HTTPAuth) {
		router.GET("/pens", func(c echo.Context) error {
			caller, err := auth.Credentials(c.Request(), service.AllowService)
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, "12 pens for "+caller.Subject)
		})
	}))
	shop := plugin.New("shop", plugin.Init(func(life service.RootLifecycle, client *http.Client, discovery service.Discovery) {
		life.OnStarted(func(ctx context.Context) error {
			url, err := discovery.BaseURL(ctx, "stock")
			if err != nil {
				return err
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/pens", nil)
			if err != nil {
				return err
			}
			res, err := client.Do(r)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			fmt.Println(string(body))
			return err
		})
	}))
	b := backend.New(backend.Options{Config: config.Options{
		Overrides: map[string]any{"backend": map[string]any{"listen": "127.0.0.1:0"}},
	}})
	b.Add(stock, shop, service.Root[service.RootLogger](func() service.RootLogger {
		return service.RootLogger{Logger: slog.New(slog.DiscardHandler)}
	}))
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		fmt.Println(err)
	}
	if err := b.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: 12 pens for plugin:shop
}
