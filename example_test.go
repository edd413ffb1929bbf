package portico_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/logger"
)

// hello is a plugin with one route that needs no credentials.
func hello() plugin.Plugin {
	return plugin.New("hello", plugin.Init(func(router *echo.Group, policies service.AuthPolicies) {
		policies.AllowUnauthenticated("/")
		router.GET("", func(c echo.Context) error { return c.String(http.StatusOK, "Hello from Portico") })
	}))
}

// The main function of a portal is one line, backend.Main(hello()). This is what it does, for programs that want to be in charge.
func Example() {
	ctx := context.Background()
	b := backend.New(backend.Options{Config: config.Options{
		Overrides: map[string]any{"backend": map[string]any{"listen": "127.0.0.1:0"}},
	}})
	b.Add(hello(), service.Root[service.RootLogger](quietLogger))
	if err := b.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	res, err := http.Get(b.URL() + "/api/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	fmt.Println(string(body))
	if err := b.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: Hello from Portico
}

// quietLogger replaces the logger of the backend: this example has only one line of output.
func quietLogger(cfg service.Config) (service.RootLogger, error) {
	return logger.New(cfg, logger.Options{Writer: io.Discard})
}
