package catalogmodel

import (
	"slices"
	"strconv"
	"strings"
)

// Relation is a directed relation between two entities. Refs keep the spelling of the entities.
type Relation struct {
	Source Ref
	Type   string
	Target Ref
}

// Relations returns the relations that the fields of e generate, in the order of its kind's fields: for each reference one from e
// and, after it, its inverse. Entities of unknown kinds have none.
//
// References that are malformed, or leave out a kind that has no default, are answered by a [*ValidationError] with all of them,
// together with the relations of the others. Fields that are not strings or arrays of strings are for [Registry.Validate] to report.
func (r *Registry) Relations(e Entity) ([]Relation, error) {
	kind := r.lookup(e)
	if kind == nil {
		return nil, nil
	}
	self := e.Ref()
	var relations []Relation
	var violations []Violation
	for _, field := range kind.relations {
		value := e.root.Get(field.path...)
		defaults := RefDefaults{Kind: field.DefaultKind, Namespace: field.DefaultNamespace}
		if defaults.Namespace == "" {
			defaults.Namespace = self.Namespace
		}
		add := func(v Value, index ...string) {
			if v.Type() != String || v.text == "" && len(index) == 0 {
				return
			}
			target, err := ParseRef(v.text, defaults)
			if err != nil {
				violations = append(violations, Violation{Path: pointer(append(slices.Clone(field.path), index...)...),
					Rule: RuleBadReference, Message: "must be a reference to an entity: " + err.Error()})
				return
			}
			if len(field.TargetKinds) > 0 &&
				!slices.ContainsFunc(field.TargetKinds, func(k string) bool { return lower(k) == lower(target.Kind) }) {
				return
			}
			relations = append(relations, Relation{self, field.Type, target})
			if field.Inverse != "" {
				relations = append(relations, Relation{target, field.Inverse, self})
			}
		}
		add(value)
		for i, element := range value.Elements() {
			add(element, strconv.Itoa(i))
		}
	}
	if len(violations) > 0 {
		return relations, newValidationError(e, violations)
	}
	return relations, nil
}

// WithSortedRelations returns e with the references in each field that generates relations in order, as far as they are all
// strings. Their order means nothing, so this spares work where a source lists them in another order each time.
func (r *Registry) WithSortedRelations(e Entity) Entity {
	kind := r.lookup(e)
	if kind == nil {
		return e
	}
	for _, field := range kind.relations {
		value := e.root.Get(field.path...)
		members := value.members()
		if value.Type() != Array || slices.IsSortedFunc(members, byText) ||
			slices.ContainsFunc(members, func(m member) bool { return m.value.Type() != String }) {
			continue
		}
		members = slices.Clone(members)
		slices.SortStableFunc(members, byText)
		value.kids = &members
		e = e.With(value, field.path...)
	}
	return e
}

func byText(a, b member) int { return strings.Compare(a.value.text, b.value.text) }
