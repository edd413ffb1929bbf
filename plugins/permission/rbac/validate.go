package rbac

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// somebody is the user with whom conditions are tried.
var somebody = person{user: "user:default/somebody", owners: []string{"user:default/somebody"}}

// problems are what doesn't fit to what plugins declare: unknown names, which may be those of plugins that could not be asked, and mistakes.
func (d *declared) problems(s settings) (unknown, mistakes []config.Problem) {
	for _, name := range slices.Sorted(maps.Keys(s.Roles)) {
		for _, r := range s.Roles[name].Permissions {
			for _, pattern := range r.patterns() {
				if !d.has(r, pattern) {
					near := config.Nearest(pattern, d.names())
					unknown = append(unknown, r.Origin.Problem(near, "no plugin has a permission %q%s", pattern, withAction(r)))
				}
			}
			if r.Conditions != nil {
				u, m := d.conditionProblems(r)
				unknown, mistakes = append(unknown, u...), append(mistakes, m...)
			}
		}
	}
	return unknown, mistakes
}

func (d *declared) has(r rule, pattern string) bool {
	for _, p := range d.permissions {
		if r.matches(pattern, p) {
			return true
		}
	}
	return false
}

func withAction(r rule) string {
	if r.Action == "" {
		return ""
	}
	return " with the action " + r.Action
}

// conditionProblems are those of the conditions of a rule.
func (d *declared) conditionProblems(r rule) (unknown, mistakes []config.Problem) {
	mistake := func(format string, args ...any) (unknown, mistakes []config.Problem) {
		return nil, []config.Problem{r.Origin.Problem("", format, args...)}
	}
	types := map[string]bool{}
	for _, p := range d.permissions {
		if !r.covers(p) {
			continue
		}
		if p.ResourceType == "" {
			return mistake("has conditions, but permission %s is about no resource that could meet them", p.Name)
		}
		types[p.ResourceType] = true
	}
	switch len(types) {
	case 0:
		return nil, nil // nothing is known about the permissions; that has been told
	case 1:
	default:
		return mistake("has conditions, but is about resources of several types: %s", strings.Join(slices.Sorted(maps.Keys(types)), ", "))
	}
	var resourceType string
	for resourceType = range types {
		break
	}
	criteria, err := r.criteria(resourceType)
	if err != nil {
		return mistake("conditions: %v", err)
	}
	check := &conditionCheck{declared: d, rule: r, resourceType: resourceType}
	check.criteria(personalize(*criteria, somebody))
	return check.unknown, check.mistakes
}

// conditionCheck looks at conditions on resources of a type.
type conditionCheck struct {
	*declared
	rule              rule
	resourceType      string
	unknown, mistakes []config.Problem
}

func (k *conditionCheck) criteria(c service.Criteria) {
	for _, one := range slices.Concat(c.AllOf, c.AnyOf) {
		k.criteria(one)
	}
	if c.Not != nil {
		k.criteria(*c.Not)
	}
	if c.Rule == "" {
		return
	}
	at := k.rule.Origin
	if c.ResourceType != k.resourceType {
		k.mistakes = append(k.mistakes, at.Problem("", "rule %s is for resources of type %s, and the permissions are about type %s", c.Rule,
			c.ResourceType, k.resourceType))
		return
	}
	rules := k.rules[k.resourceType]
	schema, known := rules[c.Rule]
	if !known {
		near := config.Nearest(c.Rule, slices.Sorted(maps.Keys(rules)))
		k.unknown = append(k.unknown, at.Problem(near, "resources of type %s have no rule %q", k.resourceType, c.Rule))
		return
	}
	if c.Params == nil {
		c.Params = map[string]any{}
	}
	// The schema knows JSON values only.
	var params any
	encoded, err := json.Marshal(c.Params)
	if err == nil {
		err = json.Unmarshal(encoded, &params)
	}
	if err == nil {
		err = schema.Validate(params)
	}
	if err != nil {
		k.mistakes = append(k.mistakes, at.Problem("", "the params of rule %s don't fit: %s", c.Rule, reason(err)))
	}
}
