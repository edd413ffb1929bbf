package permissions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
)

// Routes, relative to those of the plugin.
const (
	metadataPath        = "/.well-known/backstage/permissions/metadata"
	applyConditionsPath = "/.well-known/backstage/permissions/apply-conditions"
)

// Registry implements service.PermissionsRegistry for one plugin. It is safe for concurrent use.
type Registry struct {
	auth service.HTTPAuth

	mu          sync.Mutex // guards what follows
	started     bool
	permissions []service.Permission
	rules       []service.PermissionRuleInfo
	resources   map[string]service.PermissionResource
}

// newRegistry makes the registry of a plugin, and adds its routes.
func newRegistry(routes *echo.Group, auth service.HTTPAuth, lifecycle fx.Lifecycle) *Registry {
	r := &Registry{auth: auth, resources: map[string]service.PermissionResource{}}
	routes.GET(metadataPath, r.serveMetadata)
	routes.POST(applyConditionsPath, r.applyConditions)
	lifecycle.Append(fx.Hook{OnStart: func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.started = true
		return nil
	}})
	return r
}

var errStarted = errors.New("permissions: permissions and resource types can't be added after the plugin has started")

// AddPermissions implements service.PermissionsRegistry.
func (r *Registry) AddPermissions(permissions ...service.Permission) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return errStarted
	}
	return r.addPermissions(permissions)
}

func (r *Registry) addPermissions(permissions []service.Permission) error {
	for _, p := range permissions {
		if p.Name == "" {
			return errors.New("permissions: a permission needs a name")
		}
		same := func(other service.Permission) bool { return other.Name == p.Name }
		switch i := slices.IndexFunc(r.permissions, same); {
		case i < 0:
			r.permissions = append(r.permissions, p)
		case r.permissions[i] != p:
			return fmt.Errorf("permissions: permission %s is added twice, as %+v and as %+v", p.Name, r.permissions[i], p)
		}
	}
	return nil
}

// AddResourceType implements service.PermissionsRegistry.
func (r *Registry) AddResourceType(resource service.PermissionResource) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return errStarted
	}
	info := resource.Describe()
	if info.Name == "" {
		return errors.New("permissions: a resource type needs a name")
	}
	if r.resources[info.Name] != nil {
		return fmt.Errorf("permissions: resource type %s is added twice", info.Name)
	}
	names := map[string]bool{}
	for _, rule := range info.Rules {
		if names[rule.Name] {
			return fmt.Errorf("permissions: resource type %s has two rules with the name %s", info.Name, rule.Name)
		}
		names[rule.Name] = true
	}
	for _, p := range info.Permissions {
		if p.ResourceType != info.Name {
			return fmt.Errorf("permissions: permission %s of resource type %s is about resources of type %q", p.Name, info.Name, p.ResourceType)
		}
	}
	if err := r.addPermissions(info.Permissions); err != nil {
		return err
	}
	r.rules = append(r.rules, info.Rules...)
	r.resources[info.Name] = resource
	return nil
}

// serveMetadata tells the permissions and rules of the plugin.
func (r *Registry) serveMetadata(c echo.Context) error {
	r.mu.Lock()
	metadata := struct {
		Permissions []service.Permission         `json:"permissions"`
		Rules       []service.PermissionRuleInfo `json:"rules"`
	}{append([]service.Permission{}, r.permissions...), append([]service.PermissionRuleInfo{}, r.rules...)} // lists, also if there is nothing
	r.mu.Unlock()
	return c.JSON(http.StatusOK, metadata)
}

// refs are a ref, or a list of at least one.
type refs struct {
	list   []string
	single bool
}

// UnmarshalJSON decodes both forms.
func (r *refs) UnmarshalJSON(data []byte) error {
	var one *string
	if json.Unmarshal(data, &one) == nil && one != nil {
		*r = refs{[]string{*one}, true}
		return nil
	}
	var several []*string
	if err := json.Unmarshal(data, &several); err != nil || len(several) == 0 || slices.Contains(several, nil) {
		return errors.New("resourceRef is a string, or a list of at least one")
	}
	for _, ref := range several {
		r.list = append(r.list, *ref)
	}
	return nil
}

type applyItem struct {
	ID           *string           `json:"id"`
	ResourceRef  refs              `json:"resourceRef"`
	ResourceType *string           `json:"resourceType"`
	Conditions   *service.Criteria `json:"conditions"`
}

func (i applyItem) complete() bool {
	return i.ID != nil && i.ResourceRef.list != nil && i.ResourceType != nil && i.Conditions != nil
}

// applyConditions tells which resources meet conditions.
func (r *Registry) applyConditions(c echo.Context) error {
	who, err := r.auth.Credentials(c.Request(), service.AllowUser, service.AllowService)
	if err != nil {
		return err
	}
	if who.Kind == service.AllowUser && who.Actor == "" {
		return service.NotAllowedError.Errorf("")
	}
	var request struct {
		Items *[]applyItem `json:"items"`
	}
	body, err := io.ReadAll(c.Request().Body)
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil {
		return malformed(err)
	}
	if request.Items == nil {
		return malformed(errors.New("items is missing"))
	}
	for i, one := range *request.Items {
		if !one.complete() {
			return malformed(fmt.Errorf("item %d needs id, resourceRef, resourceType and conditions", i))
		}
	}
	answer, err := r.decide(c.Request().Context(), *request.Items)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"items": answer})
}

// malformed is the error of a body that isn't understood. One that is too large keeps the error that says so.
func malformed(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return service.InputError.Errorf("Malformed request: %v", err)
}

type applied struct {
	ID     string `json:"id"`
	Result any    `json:"result"` // a result, or one for each ref
}

// decide has the resource types decide about items.
func (r *Registry) decide(ctx context.Context, items []applyItem) ([]applied, error) {
	r.mu.Lock()
	resources := maps.Clone(r.resources)
	r.mu.Unlock()
	var unexpected []string
	checks, places := map[string][]service.ConditionCheck{}, make([]int, len(items))
	for i, one := range items {
		if resources[*one.ResourceType] == nil {
			unexpected = append(unexpected, *one.ResourceType)
		}
		places[i] = len(checks[*one.ResourceType])
		checks[*one.ResourceType] = append(checks[*one.ResourceType], service.ConditionCheck{Refs: one.ResourceRef.list, Conditions: *one.Conditions})
	}
	if len(unexpected) > 0 {
		return nil, service.InputError.Errorf("Unexpected resource types: %s.", strings.Join(unexpected, ", "))
	}
	decided := map[string][][]bool{}
	for name, list := range checks {
		var err error
		if decided[name], err = resources[name].Decide(ctx, list); err != nil {
			return nil, err
		}
	}
	answer := make([]applied, len(items))
	for i, one := range items {
		answer[i].ID = *one.ID
		each := make([]service.AuthorizeResult, len(one.ResourceRef.list))
		for j, met := range decided[*one.ResourceType][places[i]] {
			if each[j] = service.ResultDeny; met {
				each[j] = service.ResultAllow
			}
		}
		if answer[i].Result = each; one.ResourceRef.single {
			answer[i].Result = each[0]
		}
	}
	return answer, nil
}

// Meets tells whether a resource of the plugin meets the conditions of a decision. One that doesn't exist never does.
func (r *Registry) Meets(ctx context.Context, ref string, d service.Decision) (bool, error) {
	if d.Conditions == nil {
		return false, errors.New("permissions: a conditional decision has no conditions")
	}
	single := refs{list: []string{ref}, single: true}
	decided, err := r.decide(ctx, []applyItem{{ID: &ref, ResourceRef: single, ResourceType: &d.ResourceType, Conditions: d.Conditions}})
	return err == nil && decided[0].Result == service.ResultAllow, err
}
