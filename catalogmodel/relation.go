package catalogmodel

import (
	"cmp"
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
// together with the relations of the others.
func (r *Registry) Relations(e Entity) ([]Relation, error) {
	kind := r.lookup(e)
	if kind == nil {
		return nil, nil
	}
	b := relationBuilder{self: e.Ref(), relations: make([]Relation, 0, 16)}
	for i := range kind.relations {
		b.addField(&kind.relations[i], e)
	}
	if len(b.violations) > 0 {
		return b.relations, newValidationError(e, b.violations)
	}
	return b.relations, nil
}

// relationBuilder collects the relations of one entity.
type relationBuilder struct {
	self       Ref
	relations  []Relation
	violations []Violation
}

func (b *relationBuilder) addField(field *compiledRelation, e Entity) {
	value := e.root.Get(field.path...)
	if value.Type() != Array {
		if !isFalsy(value) {
			b.add(field, value)
		}
		return
	}
	for i, element := range value.Elements() {
		if len(b.violations) > maxViolations {
			return
		}
		b.add(field, element, strconv.Itoa(i))
	}
}

// add adds the relation that v, the value of field or its element at index, refers to.
func (b *relationBuilder) add(field *compiledRelation, v Value, index ...string) {
	reason := ""
	var target Ref
	if v.Type() != String {
		reason = "it is " + article(v.Type().String())
	} else {
		var err error
		target, err = ParseRef(v.content(), RefDefaults{
			Kind:      field.DefaultKind,
			Namespace: cmp.Or(field.DefaultNamespace, b.self.Namespace),
		})
		if err != nil {
			reason = err.Error()
		}
	}
	if reason != "" {
		path := slices.Concat(field.path, index)
		b.violations = append(b.violations, Violation{Path: pointer(path...), Rule: RuleBadReference,
			Message: "must be a reference to an entity: " + reason})
		return
	}
	isTarget := func(kind string) bool { return lower(kind) == lower(target.Kind) }
	if len(field.TargetKinds) > 0 && !slices.ContainsFunc(field.TargetKinds, isTarget) {
		return
	}
	b.relations = append(b.relations, Relation{b.self, field.Type, target})
	if field.Inverse != "" {
		b.relations = append(b.relations, Relation{target, field.Inverse, b.self})
	}
}

// isFalsy reports whether v is what JavaScript takes for no value.
func isFalsy(v Value) bool {
	if v.Type() == Number {
		f, err := v.Number().Float64()
		return err == nil && f == 0
	}
	return v.isEmpty()
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
		if value.Type() != Array || !isUnordered(value) {
			continue
		}
		members := value.list()
		slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.value.content(), b.value.content()) })
		e = e.With(Value{string(appendMembers(nil, value, members))}, field.path...)
	}
	return e
}

// isUnordered reports whether the elements of v are all strings, but not in order.
func isUnordered(v Value) bool {
	last, unordered := "", false
	for _, e := range v.Elements() {
		if e.Type() != String {
			return false
		}
		unordered = unordered || e.content() < last
		last = e.content()
	}
	return unordered
}
