package rbac

import (
	"slices"

	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/service"
)

// Placeholders in parameters of rules.
const (
	currentUser = "$currentUser" // the user
	ownerRefs   = "$ownerRefs"   // everything by which the user owns things
)

// person is what placeholders stand for.
type person struct{ user, owners any }

func newPerson(u *permission.User) person { return person{u.EntityRef, u.OwnershipEntityRefs} }

// criteria are the conditions of the grant for a user.
func (g grant) criteria(who person) service.Criteria {
	if !g.personal {
		return *g.conditions
	}
	return personalize(*g.conditions, who)
}

// isPersonal tells whether there are placeholders in criteria.
func isPersonal(c service.Criteria) bool {
	for _, value := range c.Params {
		list, _ := value.([]any)
		for _, v := range append(slices.Clone(list), value) {
			if v, ok := v.(string); ok && (v == currentUser || v == ownerRefs) {
				return true
			}
		}
	}
	return c.Not != nil && isPersonal(*c.Not) || slices.ContainsFunc(c.AllOf, isPersonal) || slices.ContainsFunc(c.AnyOf, isPersonal)
}

// isAbout tells whether all rules of criteria are for resources of a type.
func isAbout(c service.Criteria, resourceType string) bool {
	other := func(c service.Criteria) bool { return !isAbout(c, resourceType) }
	return (c.Rule == "" || c.ResourceType == resourceType) && (c.Not == nil || isAbout(*c.Not, resourceType)) &&
		!slices.ContainsFunc(c.AllOf, other) && !slices.ContainsFunc(c.AnyOf, other)
}

// personalize returns the criteria with the placeholders replaced.
func personalize(c service.Criteria, who person) service.Criteria {
	c.AllOf, c.AnyOf = personalizeAll(c.AllOf, who), personalizeAll(c.AnyOf, who)
	if c.Not != nil {
		inner := personalize(*c.Not, who)
		c.Not = &inner
	}
	if c.Params != nil {
		params := make(map[string]any, len(c.Params))
		for name, value := range c.Params {
			params[name] = replace(value, who)
		}
		c.Params = params
	}
	return c
}

func personalizeAll(list []service.Criteria, who person) []service.Criteria {
	if list == nil {
		return nil
	}
	all := make([]service.Criteria, len(list))
	for i, one := range list {
		all[i] = personalize(one, who)
	}
	return all
}

func replace(value any, who person) any {
	switch v := value.(type) {
	case string:
		switch v {
		case currentUser:
			return who.user
		case ownerRefs:
			return who.owners
		}
	case []any:
		if len(v) == 1 && v[0] == ownerRefs {
			return who.owners
		}
		list := make([]any, 0, len(v))
		for _, one := range v {
			if one != ownerRefs {
				list = append(list, replace(one, who))
				continue
			}
			refs, _ := who.owners.([]string)
			for _, ref := range refs {
				list = append(list, ref)
			}
		}
		return list
	}
	return value
}
