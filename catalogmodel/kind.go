package catalogmodel

import (
	"fmt"
	"slices"
)

// Definition declares a kind of entity, or one spec.type of a kind that has several formats. It is all there is to say about a
// kind: [NewKind] makes typed access of it and a [Registry] validation and relations.
type Definition struct {
	// Kind is the name of the kind as entities spell it, such as "Component".
	Kind string

	// APIVersions are the versions that share this format, such as "backstage.io/v1alpha1".
	APIVersions []string

	// SpecType restricts the definition to entities with this spec.type. Entities of a type without a definition of its own
	// follow the one without a SpecType.
	SpecType string

	// Schema is a JSON Schema (draft-07, as JSON) of the whole entity; usually it says what spec must be. It need not
	// repeat what holds for every entity, but may refer to it as {"$ref": "Entity"}. Empty: anything goes.
	Schema string

	// Relations are the fields that refer to other entities.
	Relations []RelationField
}

// RelationField is a field that holds a reference to another entity, or an array of them, and so makes relations.
type RelationField struct {
	// Path leads to the field, such as "spec.owner".
	Path string

	// Type is the type of the relation from this entity to the other one, such as [RelationOwnedBy].
	Type string

	// Inverse is the type of the relation back. Empty: the inverse of a well-known type, and none for others.
	Inverse string

	// DefaultKind is the kind of a reference that names none. Empty: each must name one.
	DefaultKind string

	// DefaultNamespace is the namespace of a reference that names none. Empty: that of the entity.
	DefaultNamespace string

	// TargetKinds are the kinds that may be referred to; references to others make no relation. Empty: any kind.
	TargetKinds []string
}

// Kind gives typed access to the entities of one [Definition], whose spec is decoded into an S.
type Kind[S any] struct {
	definition Definition
}

// KindDefinition is what a [Registry] takes: a [Kind], or a [Definition] for which nobody needs typed access.
type KindDefinition interface {
	// Definition is the definition of the kind.
	Definition() Definition
}

// Definition returns d: where nobody needs typed access, a definition by itself will do.
func (d Definition) Definition() Definition { return d }

// NewKind returns the kind that definition declares, with specs of type S, which encoding/json must be able to decode.
func NewKind[S any](definition Definition) Kind[S] {
	return Kind[S]{definition: definition}
}

// Definition returns what k was made from.
func (k Kind[S]) Definition() Definition { return k.definition }

// matches reports whether e is of the kind, version and type that d declares.
func (d Definition) matches(e Entity) bool {
	return e.Kind() == d.Kind && slices.Contains(d.APIVersions, e.APIVersion()) &&
		(d.SpecType == "" || d.SpecType == e.Type())
}

// Is reports whether e is of this kind, in one of its versions and, if the kind has one, of its spec.type.
func (k Kind[S]) Is(e Entity) bool { return k.definition.matches(e) }

// Spec decodes the spec of e, which must be of this kind.
func (k Kind[S]) Spec(e Entity) (S, error) {
	var spec S
	if !k.Is(e) {
		return spec, fmt.Errorf("catalogmodel: %s (%s) is not a %s of version %v", e.Ref(), e.APIVersion(), k, k.definition.APIVersions)
	}
	if err := e.Spec().Decode(&spec); err != nil {
		return spec, fmt.Errorf("catalogmodel: the spec of %s: %w", e.Ref(), err)
	}
	return spec, nil
}

// New returns an entity of this kind, in the first of its versions and without a namespace. It does not validate it.
// Errors are those of encoding spec as JSON.
func (k Kind[S]) New(name string, spec S) (Entity, error) {
	v, err := ValueOf(spec)
	if err != nil {
		return Entity{}, err
	}
	if k.definition.SpecType != "" {
		v = v.With(StringValue(k.definition.SpecType), "type")
	}
	e := Entity{root: Value{emptyObject}}
	if len(k.definition.APIVersions) > 0 {
		e = e.With(StringValue(k.definition.APIVersions[0]), "apiVersion")
	}
	return e.With(StringValue(k.definition.Kind), "kind").
		With(StringValue(name), "metadata", "name").
		With(v, "spec"), nil
}

// String returns the name of the kind, with its spec.type if it has one: "API", "API/mcp-server".
func (k Kind[S]) String() string {
	if t := k.definition.SpecType; t != "" {
		return k.definition.Kind + "/" + t
	}
	return k.definition.Kind
}
