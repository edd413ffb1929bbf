package service

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Criteria are conditions on a resource: a rule with parameters, or several of them joined. One of AllOf, AnyOf, Not and Rule is set. In
// JSON they are the PermissionCriteria of @backstage/plugin-permission-common.
//
//	service.Criteria{AnyOf: []service.Criteria{
//		{ResourceType: "catalog-entity", Rule: "IS_ENTITY_OWNER", Params: map[string]any{"claims": owners}},
//		{ResourceType: "catalog-entity", Rule: "IS_ENTITY_KIND", Params: map[string]any{"kinds": []string{"API"}}},
//	}}
type Criteria struct {
	// AllOf are criteria that must all be met; not empty.
	AllOf []Criteria
	// AnyOf are criteria of which one must be met; not empty.
	AnyOf []Criteria
	// Not is met by what doesn't meet the criteria in it.
	Not *Criteria

	// Rule is the name of a rule of the resource type.
	Rule string
	// ResourceType is the type of the resources that the rule is for.
	ResourceType string
	// Params are the parameters of the rule, nil if it has none. The values are of the types that they have in JSON, or slices of them.
	Params map[string]any
}

// Limits of criteria: nobody writes such, and evaluating them must not cost much.
const (
	maxCriteriaDepth = 32
	maxCriteriaNodes = 10_000
)

// MarshalJSON encodes the criteria in the form of Backstage.
func (c Criteria) MarshalJSON() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(c.plain())
}

// plain is the JSON value of valid criteria.
func (c Criteria) plain() map[string]any {
	list := func(criteria []Criteria) []any {
		all := make([]any, len(criteria))
		for i, one := range criteria {
			all[i] = one.plain()
		}
		return all
	}
	switch {
	case c.AllOf != nil:
		return map[string]any{"allOf": list(c.AllOf)}
	case c.AnyOf != nil:
		return map[string]any{"anyOf": list(c.AnyOf)}
	case c.Not != nil:
		return map[string]any{"not": c.Not.plain()}
	}
	rule := map[string]any{"rule": c.Rule, "resourceType": c.ResourceType}
	if c.Params != nil {
		rule["params"] = c.Params
	}
	return rule
}

// UnmarshalJSON decodes the form of Backstage. What is not exactly one of a rule, allOf, anyOf and not is an error, as are criteria that are
// nested more than 32 levels deep or have more than 10,000 parts.
func (c *Criteria) UnmarshalJSON(data []byte) error {
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		return err
	}
	read, err := criteriaOf(plain, 1, new(int))
	if err == nil {
		*c = read
	}
	return err
}

// criteriaOf reads a JSON value. count is the number of parts so far.
func criteriaOf(plain any, depth int, count *int) (c Criteria, err error) {
	if *count++; depth > maxCriteriaDepth || *count > maxCriteriaNodes {
		return c, fmt.Errorf("conditions are nested more than %d levels deep or have more than %d parts", maxCriteriaDepth, maxCriteriaNodes)
	}
	object, ok := plain.(map[string]any)
	if !ok {
		return c, errors.New("conditions are an object with a rule, allOf, anyOf or not")
	}
	read := func(v any) Criteria {
		one, e := criteriaOf(v, depth+1, count)
		if err == nil {
			err = e
		}
		return one
	}
	list := func(key string) []Criteria {
		values, ok := object[key].([]any)
		if !ok || len(values) == 0 {
			err = fmt.Errorf("%s is a list of at least one condition", key)
			return nil
		}
		all := make([]Criteria, len(values))
		for i := 0; i < len(values) && err == nil; i++ {
			all[i] = read(values[i])
		}
		return all
	}
	kinds := 0
	for _, key := range []string{"allOf", "anyOf", "not", "rule"} {
		value, set := object[key]
		if !set {
			continue
		}
		kinds++
		switch key {
		case "allOf":
			c.AllOf = list(key)
		case "anyOf":
			c.AnyOf = list(key)
		case "not":
			inner := read(value)
			c.Not = &inner
		case "rule":
			err = errors.Join(err, c.setRule(object))
		}
		if err != nil {
			return c, err
		}
	}
	if kinds != 1 {
		return c, errors.New("a condition has one of rule, allOf, anyOf and not")
	}
	return c, nil
}

func (c *Criteria) setRule(object map[string]any) error {
	var isRule, isType, isParams bool
	c.Rule, isRule = object["rule"].(string)
	c.ResourceType, isType = object["resourceType"].(string)
	if params, given := object["params"]; given {
		if c.Params, isParams = params.(map[string]any); !isParams {
			return fmt.Errorf("the params of rule %s are an object", c.Rule)
		}
	}
	if !isRule || !isType || c.Rule == "" || c.ResourceType == "" {
		return errors.New("a condition has the name of a rule and its resourceType")
	}
	return nil
}

// Validate tells what is wrong with the form of the criteria.
func (c Criteria) Validate() error { return c.validate(1, new(int)) }

func (c Criteria) validate(depth int, count *int) error {
	if *count++; depth > maxCriteriaDepth || *count > maxCriteriaNodes {
		return fmt.Errorf("conditions are nested more than %d levels deep or have more than %d parts", maxCriteriaDepth, maxCriteriaNodes)
	}
	kinds := 0
	for _, set := range []bool{c.AllOf != nil, c.AnyOf != nil, c.Not != nil, c.Rule != ""} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return errors.New("a condition has one of rule, allOf, anyOf and not")
	case c.Rule != "" && c.ResourceType == "":
		return fmt.Errorf("the condition with rule %s needs a resource type", c.Rule)
	case c.Rule == "" && c.Not == nil && len(c.AllOf)+len(c.AnyOf) == 0:
		return errors.New("allOf and anyOf are lists of at least one condition")
	}
	for _, list := range [][]Criteria{c.AllOf, c.AnyOf} {
		for _, one := range list {
			if err := one.validate(depth+1, count); err != nil {
				return err
			}
		}
	}
	if c.Not != nil {
		return c.Not.validate(depth+1, count)
	}
	return nil
}
