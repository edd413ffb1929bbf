package rbac

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// policy decides by roles. It doesn't change.
type policy struct {
	declared *declared
	roles    []namedRole
	byMember map[string][]int // the roles of users and groups, as places in roles
	grants   map[string][]grant
}

type namedRole struct {
	name string
	role
}

// grant is what one rule says about one permission.
type grant struct {
	role   int
	deny   bool
	origin config.Origin
	// conditions have placeholders if personal is set. They are nil if there are none. Equal ones about a permission have one id.
	conditions   *service.Criteria
	conditionsID int
	personal     bool
}

// rank orders grants so that as few as possible have to be looked at: what denies comes before what allows, and what is about all resources
// before what has conditions.
func (g grant) rank() int {
	rank := 0
	if !g.deny {
		rank += 2
	}
	if g.conditions != nil {
		rank++
	}
	return rank
}

// compile turns settings that have no problems into a policy.
func compile(s settings, d *declared) (*policy, error) {
	p := &policy{declared: d, byMember: map[string][]int{}, grants: map[string][]grant{}}
	for _, name := range slices.Sorted(maps.Keys(s.Roles)) {
		place := len(p.roles)
		r := namedRole{name, s.Roles[name]}
		p.roles = append(p.roles, r)
		for _, text := range r.Members {
			member, err := parseMember(text)
			if err != nil {
				return nil, err
			}
			p.byMember[member] = append(p.byMember[member], place)
		}
	}
	for name, declared := range d.permissions {
		var err error
		if p.grants[name], err = p.grantsFor(declared); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// grantsFor are those of all roles about a permission.
func (p *policy) grantsFor(about service.Permission) ([]grant, error) {
	var grants []grant
	ids := map[string]int{}
	for place, role := range p.roles {
		for _, r := range role.Permissions {
			if !r.covers(about) {
				continue
			}
			c, err := r.criteria(about.ResourceType)
			if err != nil {
				return nil, err
			}
			if c != nil && !isAbout(*c, about.ResourceType) {
				continue
			}
			g := grant{role: place, deny: len(r.Deny) > 0, origin: r.Origin, conditions: c}
			if c != nil {
				encoded, err := json.Marshal(c)
				if err != nil {
					return nil, err
				}
				if _, known := ids[string(encoded)]; !known {
					ids[string(encoded)] = len(ids)
				}
				g.conditionsID, g.personal = ids[string(encoded)], isPersonal(*c)
			}
			grants = append(grants, g)
		}
	}
	slices.SortStableFunc(grants, func(a, b grant) int { return a.rank() - b.rank() })
	return grants, nil
}

// roleSet is a set of roles, as places.
type roleSet []uint64

func (s roleSet) add(places []int) {
	for _, i := range places {
		s[i/64] |= 1 << (i % 64)
	}
}

func (s roleSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// rolesOf are the roles of a user; nobody has none.
func (p *policy) rolesOf(user *permission.User, space []uint64) roleSet {
	size := len(p.roles)/64 + 1
	set := roleSet(space)
	if size > len(space) {
		set = make(roleSet, size)
	}
	if user != nil {
		set.add(p.byMember[everyone])
		set.add(p.byMember[user.EntityRef])
		for _, ref := range user.OwnershipEntityRefs {
			set.add(p.byMember[ref])
		}
	}
	return set
}

// Decide implements permission.Policy.
func (p *policy) Decide(_ context.Context, about service.Permission, user *permission.User) (service.Decision, error) {
	about, grants, err := p.about(about)
	if err != nil {
		return service.Decision{}, err
	}
	var space [16]uint64
	roles := p.rolesOf(user, space[:])
	var allowed, denied conditionList
	always := false
	for _, g := range grants {
		if !roles.has(g.role) {
			continue
		}
		switch {
		case g.deny && g.conditions == nil:
			return service.Decision{Result: service.ResultDeny}, nil
		case g.deny:
			denied.add(g, user)
		case g.conditions == nil:
			always = true
		default:
			allowed.add(g, user)
		}
		if always {
			break // conditions of others don't matter any more
		}
	}
	return p.decision(about, always, allowed.criteria, denied.criteria), nil
}

// conditionList are the conditions of grants.
type conditionList struct {
	criteria []service.Criteria
	ids      []int
	who      person
}

// add adds the conditions of a grant, unless they have been added for another role.
func (l *conditionList) add(g grant, user *permission.User) {
	switch {
	case slices.Contains(l.ids, g.conditionsID):
		return
	case l.criteria == nil:
		l.criteria, l.ids, l.who = make([]service.Criteria, 0, 8), make([]int, 0, 8), newPerson(user)
	}
	l.criteria = append(l.criteria, g.criteria(l.who))
	l.ids = append(l.ids, g.conditionsID)
}

// about are the permission as it is declared, and the grants about it.
func (p *policy) about(asked service.Permission) (service.Permission, []grant, error) {
	if known, ok := p.declared.permissions[asked.Name]; ok {
		if known.ResourceType != asked.ResourceType {
			return known, nil, service.InputError.Errorf("Permission %s is about resources of type %q, not %q", asked.Name, known.ResourceType,
				asked.ResourceType)
		}
		return known, p.grants[asked.Name], nil
	}
	grants, err := p.grantsFor(asked)
	return asked, grants, err
}

// decision joins what rules say: always, or on one of the conditions, and on none of those that deny.
func (p *policy) decision(about service.Permission, always bool, allowed, denied []service.Criteria) service.Decision {
	switch {
	case !always && allowed == nil:
		return service.Decision{Result: service.ResultDeny}
	case always && denied == nil:
		return service.Decision{Result: service.ResultAllow}
	}
	var parts []service.Criteria
	if !always {
		parts = append(parts, anyOf(allowed))
	}
	if denied != nil {
		unwanted := anyOf(denied)
		parts = append(parts, service.Criteria{Not: &unwanted})
	}
	conditions := parts[0]
	if len(parts) > 1 {
		conditions = service.Criteria{AllOf: parts}
	}
	return service.Decision{
		Result: service.ResultConditional, PluginID: p.declared.owners[about.ResourceType], ResourceType: about.ResourceType, Conditions: &conditions,
	}
}

func anyOf(list []service.Criteria) service.Criteria {
	if len(list) == 1 {
		return list[0]
	}
	return service.Criteria{AnyOf: list}
}

// Explain implements permission.Explainer.
func (p *policy) Explain(name string, user *permission.User) (permission.Explanation, error) {
	about, known := p.declared.permissions[name]
	if !known {
		err := service.NotFoundError.Errorf("There is no permission %s", name)
		if near := config.Nearest(name, p.declared.names()); near != "" {
			err.Message += fmt.Sprintf("; did you mean %s?", near)
		}
		return permission.Explanation{}, err
	}
	e := permission.Explanation{Permission: about, PluginID: p.declared.owners[about.ResourceType]}
	roles := p.rolesOf(user, nil)
	for _, g := range p.grants[name] {
		if user != nil && !roles.has(g.role) {
			continue
		}
		role := p.roles[g.role]
		reason := permission.Reason{Effect: service.ResultAllow, Role: role.name, Key: g.origin.Key, Source: g.origin.String(), Conditions: g.conditions}
		if g.deny {
			reason.Effect = service.ResultDeny
		}
		for _, text := range role.Members {
			member, err := parseMember(text)
			if err != nil {
				return e, err
			}
			if user == nil || member == everyone || member == user.EntityRef || slices.Contains(user.OwnershipEntityRefs, member) {
				reason.Members = append(reason.Members, member)
			}
		}
		reason.Personal = g.personal && user == nil
		if user != nil && g.conditions != nil {
			c := g.criteria(newPerson(user))
			reason.Conditions = &c
		}
		e.Reasons = append(e.Reasons, reason)
	}
	return e, nil
}
