// Command minimal is the whole backend of a portal with one plugin of its own: GET /api/hello answers a greeting that the configuration
// can change.
package main

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

func main() {
	backend.Main(hello())
}

// settings is the section `hello` of app-config.yaml.
type settings struct {
	Greeting string `config:"greeting" doc:"What the plugin says. Default: Hello."`
}

// hello is a plugin. Its configuration is checked against the struct that it is read into.
func hello() plugin.Plugin {
	return plugin.New("hello",
		plugin.ConfigSchema(config.SchemaOf[settings]("hello")),
		plugin.Init(start),
	)
}

// start runs once. What it needs are its parameters.
func start(router *echo.Group, cfg service.Config, policies service.AuthPolicies, log *slog.Logger) error {
	s := settings{Greeting: "Hello"}
	if err := cfg.Decode("hello", &s); err != nil {
		return err
	}
	policies.AllowUnauthenticated("/") // without this, every route of the plugin needs credentials
	router.GET("", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"message": s.Greeting})
	})
	log.Info("ready to greet", "greeting", s.Greeting)
	return nil
}
