// Package usersettings is the user settings plugin: it keeps what the frontend remembers of a user, such as starred entities and pinned themes, so
// that it is the same in every browser. It answers to what Backstage's plugin-user-settings-backend 0.4 answers to, and goes on with its table.
//
//	GET    /api/user-settings/buckets/:bucket/keys/<key>   {bucket, key, value}, or 404
//	PUT    /api/user-settings/buckets/:bucket/keys/<key>   {value}: any JSON, null too
//	DELETE /api/user-settings/buckets/:bucket/keys/<key>
//	POST   /api/user-settings/multiget                     {items: [{bucket, key}]}: {items: [{value} or null]}, in the same order
//
// Keys may contain slashes. Only users have settings, and each only their own. A change is told to the user's other browsers by the signals
// plugin, through an event of the topic "signals".
//
// # Differences from Backstage
//
// A user has at most 1,000 settings of up to 1 MiB each: a new one beyond is refused with status 400. Names have at most 255 characters.
package usersettings

import (
	"embed"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Plugin is the user settings plugin.
func Plugin() plugin.Plugin {
	return plugin.New("user-settings", plugin.Migrations(migrations), plugin.Init(start))
}

type deps struct {
	fx.In

	Router *echo.Group
	Auth   service.HTTPAuth
	DB     *bun.DB
	Events service.Events
}

func start(d deps) {
	r := routes{auth: d.Auth, settings: settings{d.DB}, events: d.Events}
	limit := httprouter.BodyLimit(maxValue)
	d.Router.POST("/multiget", r.multiget, limit)
	d.Router.GET("/buckets/:bucket/keys/*", r.get)
	d.Router.PUT("/buckets/:bucket/keys/*", r.put, limit)
	d.Router.DELETE("/buckets/:bucket/keys/*", r.delete)
}
