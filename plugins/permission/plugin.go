package permission

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/plugins/permission/internal/conditions"
	"github.com/portico-dev/portico/service"
)

// Plugin is the permission plugin.
func Plugin() plugin.Plugin {
	return plugin.New("permission",
		plugin.Provide(PolicyPoint, newPolicies),
		plugin.Init(start),
		plugin.Commands[commands]("Look into permissions."),
	)
}

type dependencies struct {
	fx.In

	Router    *echo.Group
	Policies  *policies
	Config    service.Config
	Discovery service.Discovery
	HTTP      *http.Client
	HTTPAuth  service.HTTPAuth
	Open      service.AuthPolicies
	UserInfo  service.UserInfo
	Auditor   service.Auditor
	Log       *slog.Logger

	// What explaining needs.
	Auth        service.Auth
	Permissions service.Permissions
	Registry    service.PermissionsRegistry
	Catalog     *catalogclient.Client
}

func start(d dependencies) error {
	if d.Policies.policy == nil {
		return errors.New("permission: there is no policy: add a module that has one, such as rbac.Module() for roles in the configuration " +
			"or allowall.Module() to let every user do everything")
	}
	var enabled, anyone bool
	if err := errors.Join(
		d.Config.Decode("permission.enabled", &enabled),
		d.Config.Decode("backend.auth.dangerouslyDisableDefaultAuthPolicy", &anyone),
	); err != nil {
		return err
	}
	if !enabled {
		d.Log.Warn("Permissions are not enabled: plugins let every user do everything. Set permission.enabled to true to have them ask the policy")
	}
	a := &authorizer{
		policy: d.Policies.policy, conditions: conditions.NewClient(d.Discovery, d.HTTP), auth: d.HTTPAuth, users: d.UserInfo,
		auditor: d.Auditor, anyone: anyone,
	}
	e := &explainer{
		policy: a.policy, conditions: a.conditions, auth: d.HTTPAuth, own: d.Auth.OwnCredentials(), permissions: d.Permissions, catalog: d.Catalog,
	}
	if err := d.Registry.AddPermissions(Permissions()...); err != nil {
		return err
	}
	d.Open.AllowUnauthenticated("/health")
	d.Router.GET("/health", func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]string{"status": "ok"}) })
	d.Router.POST("/authorize", a.authorize)
	d.Router.GET("/explain", e.explain)
	return nil
}
