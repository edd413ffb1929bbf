package actions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// Routes, relative to those of the plugin.
const (
	routesV1   = "/.backstage/actions/v1/actions"
	routesV2   = "/.backstage/actions/v2/actions"
	invokePath = "/:id/invoke"
)

// Services declares the service.ActionsRegistry and the service.Actions of each plugin.
func Services() []service.Service {
	return []service.Service{
		service.PerPlugin[service.ActionsRegistry](newRegistry, service.ConfigSchema(config.SchemaOf[settings](configKey))),
		service.PerPlugin[service.Actions](newClient, service.ConfigSchema(config.SchemaOf[settings](configKey))),
	}
}

type registryDeps struct {
	fx.In

	Metadata            plugin.Metadata
	Config              service.Config
	Routes              *echo.Group
	HTTPAuth            service.HTTPAuth
	Permissions         service.Permissions
	PermissionsRegistry service.PermissionsRegistry
	Auditor             service.Auditor
}

// registry implements service.ActionsRegistry for one plugin.
type registry struct {
	registryDeps

	mu      sync.RWMutex
	actions []service.Action // in the order in which they were registered
}

func newRegistry(d registryDeps) (service.ActionsRegistry, error) {
	if _, err := read(d.Config); err != nil {
		return nil, err
	}
	r := &registry{registryDeps: d}
	d.Routes.GET(routesV1, r.list)
	d.Routes.POST(routesV1+invokePath, r.invokeV1)
	d.Routes.POST(routesV2+invokePath, r.invokeV2)
	return r, nil
}

// Register implements service.ActionsRegistry.
func (r *registry) Register(actions ...service.Action) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.actions)
	var permissions []service.Permission
	for _, a := range actions {
		if err := a.Validate(); err != nil {
			return fmt.Errorf("actions: %w", err)
		}
		if slices.ContainsFunc(all, func(other service.Action) bool { return other.Name == a.Name }) {
			return fmt.Errorf("actions: there is an action %q already", a.Name)
		}
		all = append(all, a)
		if a.VisibilityPermission.Name != "" && !slices.Contains(permissions, a.VisibilityPermission) {
			permissions = append(permissions, a.VisibilityPermission)
		}
	}
	if err := r.PermissionsRegistry.AddPermissions(permissions...); len(permissions) > 0 && err != nil {
		return fmt.Errorf("actions: %w", err)
	}
	r.actions = all
	return nil
}

func (r *registry) id(a service.Action) string { return r.Metadata.ID + ":" + a.Name }

// there are the actions that the configuration leaves there.
func (r *registry) there() ([]service.Action, error) {
	s, err := read(r.Config)
	if err != nil {
		return nil, err
	}
	if s.PluginSources != nil && !slices.Contains(s.PluginSources, r.Metadata.ID) {
		return nil, nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(r.actions), func(a service.Action) bool { return !s.Filter.allows(r.id(a), a.Attributes) }), nil
}

// visible leaves those of the actions that the caller may see.
func (r *registry) visible(c echo.Context, who service.Credentials, actions []service.Action) ([]service.Action, error) {
	var requests []service.PermissionRequest
	for _, a := range actions {
		if a.VisibilityPermission.Name != "" {
			requests = append(requests, service.PermissionRequest{Permission: a.VisibilityPermission})
		}
	}
	if len(requests) == 0 {
		return actions, nil
	}
	allowed, err := r.Permissions.Authorize(c.Request().Context(), who, requests...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(actions, func(a service.Action) bool {
		if a.VisibilityPermission.Name == "" {
			return false
		}
		ok := allowed[0]
		allowed = allowed[1:]
		return !ok
	}), nil
}

func (r *registry) list(c echo.Context) error {
	who, err := r.HTTPAuth.Credentials(c.Request())
	if err != nil {
		return err
	}
	actions, err := r.there()
	if err == nil {
		actions, err = r.visible(c, who, actions)
	}
	if err != nil {
		return err
	}
	descriptions := make([]service.ActionDescription, len(actions))
	for i, a := range actions {
		descriptions[i] = service.ActionDescription{
			ID: r.id(a), Name: a.Name, Title: a.Title, Description: a.Description, PluginID: r.Metadata.ID,
			Attributes: a.Attributes, Examples: a.Examples, Schema: a.Schemas,
		}
	}
	return c.JSON(http.StatusOK, map[string]any{"actions": descriptions})
}

func (r *registry) invokeV1(c echo.Context) error {
	input, err := body(c)
	if err != nil {
		return err
	}
	return r.invoke(c, input, nil)
}

func (r *registry) invokeV2(c echo.Context) error {
	raw, err := body(c)
	if err != nil {
		return err
	}
	var wrapped struct{ Input, Secrets json.RawMessage }
	if err := json.Unmarshal(raw, &wrapped); err != nil {
		return service.InputError.Errorf("The request body is not an object with input and secrets")
	}
	if wrapped.Input == nil {
		wrapped.Input = json.RawMessage("{}")
	}
	return r.invoke(c, wrapped.Input, wrapped.Secrets)
}

// body is the JSON of a request, an empty object where there is none.
func body(c echo.Context) (json.RawMessage, error) {
	raw, err := io.ReadAll(c.Request().Body)
	switch {
	case err != nil:
		return nil, err
	case len(raw) == 0:
		return json.RawMessage("{}"), nil
	case !json.Valid(raw):
		return nil, service.InputError.Errorf("The request body is not JSON")
	}
	return raw, nil
}

// find finds the action of a request, if the caller may see it.
func (r *registry) find(c echo.Context, who service.Credentials) (service.Action, error) {
	id := c.Param("id")
	actions, err := r.there()
	if err != nil {
		return service.Action{}, err
	}
	i := slices.IndexFunc(actions, func(a service.Action) bool { return r.id(a) == id })
	if i >= 0 {
		visible, err := r.visible(c, who, actions[i:i+1:i+1])
		if err != nil {
			return service.Action{}, err
		}
		if len(visible) == 1 {
			return visible[0], nil
		}
	}
	return service.Action{}, service.NotFoundError.Errorf("Action %q not found", id)
}

func (r *registry) invoke(c echo.Context, input, secrets json.RawMessage) error {
	who, err := r.HTTPAuth.Credentials(c.Request())
	if err != nil {
		return err
	}
	if who.Kind == service.AllowNone {
		return service.NotAllowedError.Errorf("Actions must be invoked by an authenticated principal, not an anonymous request")
	}
	action, err := r.find(c, who)
	if err != nil {
		return err
	}
	severity := service.SeverityMedium
	if action.Attributes.ReadOnly {
		severity = service.SeverityLow
	}
	ctx := service.OnBehalfOf(c.Request().Context(), who)
	event, err := r.Auditor.Event(ctx, service.AuditEvent{ID: "action-invoke", Severity: severity, Request: c.Request(),
		Meta: []slog.Attr{slog.String("actionId", r.id(action))}})
	if err != nil {
		return err
	}
	defer event.Fail(ctx, errors.New("the action has panicked")) // has no effect after one of the others
	output, err := action.Run(ctx, input, secrets)
	if err != nil {
		event.Fail(ctx, err)
		return err
	}
	event.Succeed(ctx)
	return c.JSON(http.StatusOK, map[string]any{"output": output})
}
