package service

import (
	"context"
	"errors"
	"fmt"
)

// ResourceType declares a type of things that a plugin has and that permissions are about: how permissions can depend on them, in memory
// and in queries. R is a thing ("*Item"), Q is what the plugin's own storage is asked ("filter").
//
//	var items = service.ResourceType[*Item, filter]{
//		Name:        "todo-item",
//		Permissions: []service.Permission{readItem, deleteItem},
//		Rules:       []service.PermissionRule[*Item, filter]{isOwner, hasTag},
//		AllOf:       allOf, AnyOf: anyOf, Not: not,
//	}
//
// A handler that has a thing uses [ResourceType.Check], one that searches for things [ResourceType.Query]; both take the decision of
// [Permissions.AuthorizeConditional]. The plugin adds the type to its [PermissionsRegistry] with [ResourceType.LoadedBy], so that others
// can ask about things by their refs.
type ResourceType[R, Q any] struct {
	// Name identifies the type: "catalog-entity".
	Name string
	// Permissions are those that are about things of this type.
	Permissions []Permission
	// Rules are what conditions can be made of. Their names are unique within the type.
	Rules []PermissionRule[R, Q]

	// AllOf, AnyOf and Not join queries. AllOf of no queries is the query for everything, AnyOf of none the one for nothing. They are
	// needed for Query only.
	AllOf, AnyOf func([]Q) Q
	Not          func(Q) Q
}

// Check turns a decision into a function that tells whether it allows a thing. The function is safe for concurrent use if the rules are.
// Conditions with parameters that don't fit are an InputError.
func (t ResourceType[R, Q]) Check(d Decision) (func(R) bool, error) {
	switch d.Result {
	case ResultAllow:
		return func(R) bool { return true }, nil
	case ResultDeny:
		return func(R) bool { return false }, nil
	}
	if err := t.valid(d); err != nil {
		return nil, err
	}
	return t.check(*d.Conditions)
}

// Query turns a decision into the query for the things that it allows. Conditions with parameters that don't fit are an InputError.
func (t ResourceType[R, Q]) Query(d Decision) (q Q, err error) {
	switch d.Result {
	case ResultAllow:
		return t.AllOf(nil), nil
	case ResultDeny:
		return t.AnyOf(nil), nil
	}
	if err := t.valid(d); err != nil {
		return q, err
	}
	return t.query(*d.Conditions)
}

// valid refuses decisions that are not about this type.
func (t ResourceType[R, Q]) valid(d Decision) error {
	switch {
	case d.Result != ResultConditional:
		return fmt.Errorf("a decision has the unknown result %q", d.Result)
	case d.Conditions == nil:
		return errors.New("a conditional decision has no conditions")
	case d.ResourceType != t.Name:
		return fmt.Errorf("a decision about resources of type %s is used for type %s", d.ResourceType, t.Name)
	}
	return d.Conditions.Validate()
}

// check turns valid criteria into a function.
func (t ResourceType[R, Q]) check(c Criteria) (func(R) bool, error) {
	switch {
	case c.Rule != "":
		bound, err := t.bind(c)
		return bound.apply, err
	case c.Not != nil:
		inner, err := t.check(*c.Not)
		return func(r R) bool { return !inner(r) }, err
	}
	checks := make([]func(R) bool, 0, len(c.AllOf)+len(c.AnyOf))
	for _, list := range [][]Criteria{c.AllOf, c.AnyOf} {
		for _, one := range list {
			inner, err := t.check(one)
			if err != nil {
				return nil, err
			}
			checks = append(checks, inner)
		}
	}
	// All must be met, or any: in other words, none may be the other way round.
	met := c.AnyOf != nil
	return func(r R) bool {
		for _, inner := range checks {
			if inner(r) == met {
				return met
			}
		}
		return !met
	}, nil
}

// query turns valid criteria into a query.
func (t ResourceType[R, Q]) query(c Criteria) (q Q, err error) {
	switch {
	case c.Rule != "":
		bound, err := t.bind(c)
		if err != nil {
			return q, err
		}
		if bound.query == nil {
			return q, fmt.Errorf("permission rule %s can't be turned into a query", c.Rule)
		}
		return bound.query(), nil
	case c.Not != nil:
		inner, err := t.query(*c.Not)
		if err != nil {
			return q, err
		}
		return t.Not(inner), nil
	}
	join, list := t.AllOf, c.AllOf
	if c.AnyOf != nil {
		join, list = t.AnyOf, c.AnyOf
	}
	parts := make([]Q, len(list))
	for i, one := range list {
		if parts[i], err = t.query(one); err != nil {
			return q, err
		}
	}
	return join(parts), nil
}

// bind finds the rule of a condition and gives it its parameters.
func (t ResourceType[R, Q]) bind(c Criteria) (b boundRule[R, Q], err error) {
	if c.ResourceType != t.Name {
		return b, fmt.Errorf("permission rule %s is for resources of type %s, and used for type %s", c.Rule, c.ResourceType, t.Name)
	}
	for _, r := range t.Rules {
		if r.info.Name != c.Rule {
			continue
		}
		if b, err = r.bind(c.Params); err != nil {
			return b, InputError.Errorf("Parameters to rule %s are invalid: %w", c.Rule, err)
		}
		return b, nil
	}
	return b, fmt.Errorf("permission rule '%s' does not exist for resource type '%s'", c.Rule, t.Name)
}

// LoadedBy is the resource type for a [PermissionsRegistry]. The function loads the resources with the given refs, which are all different;
// those that don't exist are not in its result. It may be nil: then the plugin doesn't answer about resources by their refs.
func (t ResourceType[R, Q]) LoadedBy(load func(ctx context.Context, refs []string) (map[string]R, error)) PermissionResource {
	return loadedResource[R, Q]{t, load}
}

type loadedResource[R, Q any] struct {
	ResourceType[R, Q]
	load func(ctx context.Context, refs []string) (map[string]R, error)
}

// Describe implements PermissionResource.
func (l loadedResource[R, Q]) Describe() PermissionResourceInfo {
	info := PermissionResourceInfo{Name: l.Name, Permissions: l.Permissions}
	for _, r := range l.Rules {
		described := r.info
		described.ResourceType = l.Name
		info.Rules = append(info.Rules, described)
	}
	return info
}

// Decide implements PermissionResource.
func (l loadedResource[R, Q]) Decide(ctx context.Context, checks []ConditionCheck) ([][]bool, error) {
	if l.load == nil {
		return nil, NotImplementedError.Errorf(
			"This plugin does not expose any permission rule or can't evaluate the conditions request for %s", l.Name)
	}
	var refs []string
	known := map[string]bool{}
	compiled := make([]func(R) bool, len(checks))
	for i, c := range checks {
		var err error
		if compiled[i], err = l.Check(Decision{Result: ResultConditional, ResourceType: l.Name, Conditions: &c.Conditions}); err != nil {
			return nil, err
		}
		for _, ref := range c.Refs {
			if !known[ref] {
				known[ref] = true
				refs = append(refs, ref)
			}
		}
	}
	if len(refs) == 0 {
		return make([][]bool, len(checks)), nil
	}
	resources, err := l.load(ctx, refs)
	if err != nil {
		return nil, fmt.Errorf("loading resources of type %s: %w", l.Name, err)
	}
	decided := make([][]bool, len(checks))
	for i, c := range checks {
		decided[i] = make([]bool, len(c.Refs))
		for j, ref := range c.Refs {
			resource, exists := resources[ref]
			decided[i][j] = exists && compiled[i](resource)
		}
	}
	return decided, nil
}
