package service

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Permission is something that may be allowed to some and not to others: "catalog.entity.read". In JSON it is as in
// @backstage/plugin-permission-common.
type Permission struct {
	// Name identifies the permission; it begins with the id of the plugin that declares it.
	Name string
	// Action is what it is for: create, read, update, delete, or empty for anything else. Policies may go by it instead of by names.
	Action string
	// ResourceType is the type of the things that the permission is about, each of which may be decided differently ("catalog-entity").
	// It is empty for a basic permission, which is about no particular thing.
	ResourceType string
}

// The actions that a permission can be for.
const (
	ActionCreate = "create"
	ActionRead   = "read"
	ActionUpdate = "update"
	ActionDelete = "delete"
)

const (
	basicPermission    = "basic"
	resourcePermission = "resource"
)

type permissionJSON struct {
	Type         string                `json:"type"`
	Name         *string               `json:"name"`
	Attributes   *permissionAttributes `json:"attributes"`
	ResourceType *string               `json:"resourceType,omitempty"`
}

type permissionAttributes struct {
	Action string `json:"action,omitempty"`
}

// MarshalJSON encodes the permission in the form of Backstage.
func (p Permission) MarshalJSON() ([]byte, error) {
	encoded := permissionJSON{Type: basicPermission, Name: &p.Name, Attributes: &permissionAttributes{p.Action}}
	if p.ResourceType != "" {
		encoded.Type, encoded.ResourceType = resourcePermission, &p.ResourceType
	}
	return json.Marshal(encoded)
}

// UnmarshalJSON decodes the form of Backstage. Attributes that aren't known are left out.
func (p *Permission) UnmarshalJSON(data []byte) error {
	var decoded permissionJSON
	if err := json.Unmarshal(data, &decoded); err != nil {
		return err
	}
	switch {
	case decoded.Type != basicPermission && decoded.Type != resourcePermission:
		return fmt.Errorf("the type of a permission is %s or %s, not %q", basicPermission, resourcePermission, decoded.Type)
	case decoded.Name == nil:
		return fmt.Errorf("a permission needs a name")
	case decoded.Attributes == nil:
		return fmt.Errorf("permission %s needs attributes", *decoded.Name)
	case !isAction(decoded.Attributes.Action):
		return fmt.Errorf("permission %s has the action %q; there are create, read, update and delete", *decoded.Name, decoded.Attributes.Action)
	}
	*p = Permission{Name: *decoded.Name, Action: decoded.Attributes.Action}
	if decoded.Type == resourcePermission {
		if decoded.ResourceType == nil || *decoded.ResourceType == "" {
			return fmt.Errorf("permission %s is of type %s and needs a resourceType", p.Name, resourcePermission)
		}
		p.ResourceType = *decoded.ResourceType
	}
	return nil
}

func isAction(s string) bool {
	return s == "" || slices.Contains([]string{ActionCreate, ActionRead, ActionUpdate, ActionDelete}, s)
}

// Permissions decides what callers may do: Backstage's core.permissions. Users are decided about by the policy of the permission plugin.
// Services may do everything, unless their access is restricted. Safe for concurrent use.
type Permissions interface {
	// Authorize tells for each request, in their order, whether it is allowed. All are decided in one call of the permission plugin.
	Authorize(ctx context.Context, who Credentials, requests ...PermissionRequest) (allowed []bool, err error)
	// AuthorizeConditional decides about permissions for all resources at once, in the order of the permissions. A decision may depend on
	// the resource: a [ResourceType] turns it into a check, or into a query for those that are allowed.
	AuthorizeConditional(ctx context.Context, who Credentials, permissions ...Permission) ([]Decision, error)
}

// PermissionRequest asks for a permission.
type PermissionRequest struct {
	Permission Permission
	// ResourceRef names the resource, for a permission that has a resource type.
	ResourceRef string
}

// RequirePermission returns nil if the caller has the permission, and otherwise a NotAllowedError (403). A resource permission needs the
// ref of the resource.
func RequirePermission(ctx context.Context, permissions Permissions, who Credentials, p Permission, resourceRef ...string) error {
	requests := []PermissionRequest{{Permission: p}}
	if len(resourceRef) > 0 {
		requests = make([]PermissionRequest, len(resourceRef))
		for i, ref := range resourceRef {
			requests[i] = PermissionRequest{Permission: p, ResourceRef: ref}
		}
	}
	allowed, err := permissions.Authorize(ctx, who, requests...)
	if err != nil {
		return err
	}
	for i, ok := range allowed {
		switch {
		case ok:
		case requests[i].ResourceRef != "":
			return NotAllowedError.Errorf("Permission %s is denied for %s", p.Name, requests[i].ResourceRef)
		default:
			return NotAllowedError.Errorf("Permission %s is denied", p.Name)
		}
	}
	return nil
}

// AuthorizeResult is what was decided.
type AuthorizeResult string

// The results of decisions.
const (
	// ResultAllow allows.
	ResultAllow AuthorizeResult = "ALLOW"
	// ResultDeny denies.
	ResultDeny AuthorizeResult = "DENY"
	// ResultConditional allows it for resources that meet the conditions.
	ResultConditional AuthorizeResult = "CONDITIONAL"
)

// Decision is the decision about a permission. In JSON it is a PolicyDecision of @backstage/plugin-permission-common.
type Decision struct {
	Result AuthorizeResult `json:"result"`
	// PluginID is the plugin that has the resources of a conditional decision; it is empty for others.
	PluginID string `json:"pluginId,omitempty"`
	// ResourceType is the type of the resources of a conditional decision; it is empty for others.
	ResourceType string `json:"resourceType,omitempty"`
	// Conditions are those of a conditional decision; nil for others.
	Conditions *Criteria `json:"conditions,omitempty"`
}

// PermissionsRegistry is where a plugin tells its permissions, and what they can depend on: Backstage's core.permissionsRegistry. A plugin
// that asks for it serves the routes /.well-known/backstage/permissions/metadata, by which policies learn of them, and
// /.well-known/backstage/permissions/apply-conditions, by which the permission plugin has conditions checked. Both methods are for the init of
// the plugin: they return an error once it has started, and for what has been added before with another meaning.
type PermissionsRegistry interface {
	// AddPermissions adds permissions that are about no resource type of this plugin.
	AddPermissions(permissions ...Permission) error
	// AddResourceType adds a [ResourceType] with its permissions and rules.
	AddResourceType(resource PermissionResource) error
}

// PermissionResource is a [ResourceType], whatever the Go types of its resources and queries are.
type PermissionResource interface {
	// Describe tells what the resource type is made of.
	Describe() PermissionResourceInfo
	// Decide tells for each check, and each ref of it in order, whether the resource meets the conditions. One that doesn't exist never
	// does. Each resource is loaded once.
	Decide(ctx context.Context, checks []ConditionCheck) ([][]bool, error)
}

// PermissionResourceInfo is what a resource type is made of.
type PermissionResourceInfo struct {
	Name        string
	Permissions []Permission
	Rules       []PermissionRuleInfo
}

// PermissionRuleInfo tells policies of a rule. In JSON it is as in the metadata of Backstage's plugins.
type PermissionRuleInfo struct {
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	ResourceType string          `json:"resourceType"`
	ParamsSchema json.RawMessage `json:"paramsSchema"` // JSON Schema, draft 7
}

// ConditionCheck asks which resources meet conditions.
type ConditionCheck struct {
	Refs       []string
	Conditions Criteria
}
