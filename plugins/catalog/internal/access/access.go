// Package access tells what who makes a request may see and do in the catalog.
package access

import (
	"context"
	"errors"
	"net/http"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/service"
)

// Control asks for permissions. The nil Control allows everything. It is safe for concurrent use.
type Control struct {
	auth        service.HTTPAuth
	permissions service.Permissions
	entities    entityType
}

// New returns a Control that knows rules beside those of the catalog.
func New(auth service.HTTPAuth, permissions service.Permissions, rules []catalogpermission.Rule) *Control {
	return &Control{auth, permissions, newEntityType(rules)}
}

// Declare tells the registry what policies can decide about. Load answers the JSON of entities by their refs, nil where there is none.
func (c *Control) Declare(registry service.PermissionsRegistry, load func(refs []string) [][]byte) error {
	return errors.Join(
		registry.AddPermissions(catalogpermission.All()...),
		registry.AddResourceType(c.entities.LoadedBy(func(_ context.Context, refs []string) (map[string][]query.Term, error) {
			return termsOf(refs, load)
		})),
	)
}

// termsOf are the terms of the entities with the refs.
func termsOf(refs []string, load func(refs []string) [][]byte) (map[string][]query.Term, error) {
	normal := make([]string, len(refs))
	for i, text := range refs {
		if ref, err := catalogmodel.ParseRef(text, catalogmodel.RefDefaults{}); err == nil { // there is no entity with another ref
			normal[i] = ref.String()
		}
	}
	found := make(map[string][]query.Term, len(refs))
	for i, text := range load(normal) {
		if text == nil {
			continue
		}
		e, err := catalogmodel.ParseJSON(text)
		if err != nil {
			return nil, err
		}
		if found[refs[i]], err = query.Terms(e); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Visible answers the condition for the entities that may be seen, or nil if these are all.
func (c *Control) Visible(r *http.Request) (query.Predicate, error) {
	return c.Within(r, catalogpermission.EntityRead)
}

// Within answers the condition for the entities for which there is the permission, or nil if these are all.
func (c *Control) Within(r *http.Request, p service.Permission) (query.Predicate, error) {
	if c == nil {
		return nil, nil
	}
	who, err := c.auth.Credentials(r)
	if err != nil {
		return nil, err
	}
	decisions, err := c.permissions.AuthorizeConditional(r.Context(), who, p)
	if err != nil {
		return nil, err
	}
	if decisions[0].Result == service.ResultAllow {
		return nil, nil
	}
	return c.entities.Query(decisions[0])
}

// Require returns a NotAllowedError unless there is the permission, for the entity if it is about one.
func (c *Control) Require(r *http.Request, p service.Permission, entityRef ...string) error {
	if c == nil {
		return nil
	}
	who, err := c.auth.Credentials(r)
	if err != nil {
		return err
	}
	return service.RequirePermission(r.Context(), c.permissions, who, p, entityRef...)
}

// Allowed tells whether there is the permission.
func (c *Control) Allowed(r *http.Request, p service.Permission) (bool, error) {
	err := c.Require(r, p)
	if errors.Is(err, service.NotAllowedError) {
		return false, nil
	}
	return err == nil, err
}
