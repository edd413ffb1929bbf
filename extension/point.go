package extension

import "reflect"

// Point is an extension point whose users see a T, usually a small interface ("AddSource(Source)"). The zero value is not a
// valid point: make one with [NewPoint]. A Point is a description; each backend has a T of its own.
type Point[T any] struct {
	id string
}

// NewPoint declares an extension point. The id is unique in a backend and starts with the id of the plugin that owns the point
// ("catalog.entityProviders"); a wrong one is reported when the backend starts, with all other wiring mistakes.
func NewPoint[T any](id string) Point[T] {
	return Point[T]{id: id}
}

// ID is the id the point was declared with.
func (p Point[T]) ID() string { return p.id }

// Type is the type that modules ask for.
func (p Point[T]) Type() reflect.Type { return reflect.TypeFor[T]() }
