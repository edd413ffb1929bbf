package permission

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/plugins/permission/internal/conditions"
	"github.com/portico-dev/portico/service"
)

// readPolicy is the permission to ask why others may do what they may.
var readPolicy = service.Permission{Name: "permission.policy.read", Action: service.ActionRead}

// Permissions are those that the permission plugin itself has.
func Permissions() []service.Permission { return []service.Permission{readPolicy} }

// Explainer is implemented by policies that can tell why they decide as they do.
type Explainer interface {
	// Explain tells which rules of the policy are about the permission: those that count for the user, or all of them if user is nil. A
	// permission that isn't known is a NotFoundError.
	Explain(permission string, user *User) (Explanation, error)
}

// Explanation is why a policy decides about a permission as it does.
type Explanation struct {
	Permission service.Permission
	// PluginID is the plugin that has the resources that the permission is about; empty for a basic permission.
	PluginID string
	Reasons  []Reason
}

// Reason is one rule of a policy.
type Reason struct {
	// Effect is ResultAllow or ResultDeny.
	Effect service.AuthorizeResult `json:"effect"`
	// Role is the role that has the rule.
	Role string `json:"role"`
	// Members are who has the role: of a user, only the entity refs by which the user has it.
	Members []string `json:"members"`
	// Key and Source are where in the configuration the rule is.
	Key    string `json:"key"`
	Source string `json:"source"`
	// Conditions are those on which the rule is about a resource; nil if it is about all.
	Conditions *service.Criteria `json:"conditions,omitempty"`
	// Personal tells that the conditions depend on who the user is, and no user has been given.
	Personal bool `json:"-"`
	// Met tells whether the resource meets the conditions; nil if that was not asked, or can't be told.
	Met *bool `json:"met,omitempty"`
}

// explained is the answer.
type explained struct {
	Permission  service.Permission `json:"permission"`
	ResourceRef string             `json:"resourceRef,omitempty"`
	User        *explainedUser     `json:"user,omitempty"`
	Result      string             `json:"result,omitempty"` // of a user
	Reasons     []Reason           `json:"reasons"`
}

type explainedUser struct {
	EntityRef           string   `json:"userEntityRef"`
	OwnershipEntityRefs []string `json:"ownershipEntityRefs"`
}

// explainer tells who may do what, and why.
type explainer struct {
	policy      Policy
	conditions  *conditions.Client
	auth        service.HTTPAuth
	own         service.Credentials
	permissions service.Permissions
	catalog     *catalogclient.Client
}

// explain serves GET /explain?permission=…&user=…&resourceRef=…
func (e *explainer) explain(c echo.Context) error {
	ctx := c.Request().Context()
	who, err := e.auth.Credentials(c.Request(), service.AllowUser, service.AllowService)
	if err != nil {
		return err
	}
	if err := service.RequirePermission(ctx, e.permissions, who, readPolicy); err != nil {
		return err
	}
	asked, ref := c.QueryParam("permission"), c.QueryParam("resourceRef")
	if asked == "" {
		return service.InputError.Errorf("The query parameter permission is missing: the name of a permission, such as catalog.entity.read")
	}
	policy, ok := e.policy.(Explainer)
	if !ok {
		return service.NotImplementedError.Errorf("The policy of this portal can't tell why it decides as it does")
	}
	var user *User
	if text := c.QueryParam("user"); text != "" {
		if user, err = e.user(ctx, text); err != nil {
			return err
		}
	}
	answer, err := e.answer(ctx, policy, asked, ref, user)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

func (e *explainer) answer(ctx context.Context, policy Explainer, asked, ref string, user *User) (*explained, error) {
	why, err := policy.Explain(asked, user)
	if err != nil {
		return nil, err
	}
	if ref != "" && why.Permission.ResourceType == "" {
		return nil, service.InputError.Errorf("Permission %s is a basic one, and about no resource", asked)
	}
	answer := &explained{Permission: why.Permission, ResourceRef: ref, Reasons: append([]Reason{}, why.Reasons...)}
	if ref != "" {
		if err := e.apply(ctx, why, ref, answer.Reasons); err != nil {
			return nil, err
		}
	}
	if user == nil {
		return answer, nil
	}
	answer.User = &explainedUser{user.EntityRef, user.OwnershipEntityRefs}
	d, err := e.policy.Decide(ctx, why.Permission, user)
	if err != nil {
		return nil, err
	}
	if d.Result == service.ResultConditional && ref != "" {
		check := conditions.Check{ResourceType: d.ResourceType, Conditions: d.Conditions, Refs: []string{ref}}
		met, err := e.conditions.Apply(ctx, d.PluginID, e.own, []conditions.Check{check})
		if err != nil {
			return nil, err
		}
		if d.Result = service.ResultDeny; met[0][0] {
			d.Result = service.ResultAllow
		}
	}
	answer.Result = string(d.Result)
	return answer, nil
}

// apply finds out which of the reasons are about a resource.
func (e *explainer) apply(ctx context.Context, why Explanation, ref string, reasons []Reason) error {
	var checks []conditions.Check
	var places []int
	for i, r := range reasons {
		if r.Conditions != nil && !r.Personal {
			checks = append(checks, conditions.Check{ResourceType: why.Permission.ResourceType, Conditions: r.Conditions, Refs: []string{ref}})
			places = append(places, i)
		}
	}
	if checks == nil {
		return nil
	}
	met, err := e.conditions.Apply(ctx, why.PluginID, e.own, checks)
	if err != nil {
		return err
	}
	for i, place := range places {
		reasons[place].Met = &met[i][0]
	}
	return nil
}

// maxOwners is by how many entity refs a user may own things.
const maxOwners = 1000

// user finds out by which entity refs a user owns things: its own, and those of its groups and of the groups around them. That is what sign-in
// does, unless the adopter has changed it.
func (e *explainer) user(ctx context.Context, text string) (*User, error) {
	ref, err := catalogmodel.ParseRef(text, catalogmodel.RefDefaults{Kind: "user", Namespace: catalogmodel.DefaultNamespace})
	if err != nil {
		return nil, service.InputError.Errorf("The query parameter user is not an entity ref: %v", err)
	}
	u := &User{User: service.User{EntityRef: ref.String(), OwnershipEntityRefs: []string{ref.String()}}}
	ctx = service.OnBehalfOf(ctx, e.own)
	known := map[string]bool{ref.String(): true}
	for i := 0; i < len(u.OwnershipEntityRefs); i++ {
		ref, err := catalogmodel.ParseRef(u.OwnershipEntityRefs[i], catalogmodel.RefDefaults{})
		if err != nil {
			return nil, err
		}
		entity, err := e.catalog.EntityByRef(ctx, ref)
		if errors.Is(err, service.NotFoundError) {
			continue // whoever isn't in the catalog may still sign in
		}
		if err != nil {
			return nil, err
		}
		for _, relation := range entity.Get("relations").Elements() {
			switch relation.Get("type").Text() {
			case catalogmodel.RelationMemberOf, catalogmodel.RelationChildOf:
				group := strings.ToLower(relation.Get("targetRef").Text())
				if !known[group] && len(u.OwnershipEntityRefs) < maxOwners {
					known[group] = true
					u.OwnershipEntityRefs = append(u.OwnershipEntityRefs, group)
				}
			}
		}
	}
	return u, nil
}
