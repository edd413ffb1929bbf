// Package mine is a plugin that tells users what they own: GET /api/mine answers the entities. It asks plugin catalog on behalf of the user,
// wherever that runs.
package mine

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
)

// Plugin is the plugin mine.
func Plugin() plugin.Plugin { return plugin.New("mine", plugin.Init(start)) }

func start(router *echo.Group, auth service.HTTPAuth, catalog *catalogclient.Client) {
	router.GET("", func(c echo.Context) error {
		user, err := auth.Credentials(c.Request(), service.AllowUser)
		if err != nil {
			return err
		}
		entities, err := catalog.EntitiesOwnedBy(service.OnBehalfOf(c.Request().Context(), user), user)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, entities)
	})
}
