// Package processor is what a module implements to take part in the processing of entities, between the place where they were read and
// the catalog that serves them.
//
// Each entity goes through these phases, again and again:
//
//  1. Placeholders such as {$text: ./openapi.yaml} are replaced ([PlaceholderResolver]), annotations say where the entity was read, and
//     [PreProcessor]s complete it (before the catalog does, if their priority is lower than 20).
//  2. The envelope is validated, then the kind: by the catalog, or a [KindValidator].
//  3. If it is a Location, its targets are read: files and URLs by the catalog, other types by a [LocationReader].
//  4. [PostProcessor]s relate it to others.
//
// A processor implements the phases that it takes part in. It is called by many goroutines at once. Within a phase, processors are called
// in the order of their priorities (see [Prioritized]), and those of the same priority in the order in which they were added. The
// configuration can disable one, or give it another priority, below catalog.processorOptions.
package processor

import (
	"context"

	"github.com/portico-dev/portico/catalogmodel"
)

// Processor is what all processors have: implement one or more of the phases too.
type Processor interface {
	// Name tells the processor from others. Configuration names it.
	Name() string
}

// Prioritized is a processor that cares about when it is called within a phase.
type Prioritized interface {
	// Priority is 20 for processors that don't say; lower ones are called earlier.
	Priority() float64
}

// Source says where an entity was read.
type Source struct {
	// Location is where the entity was read.
	Location catalogmodel.LocationRef
	// Origin is the registered location that led there.
	Origin catalogmodel.LocationRef
}

// PreProcessor completes entities before they are validated.
type PreProcessor interface {
	Processor
	// PreProcess answers the entity as it shall be. Kind, namespace and name must stay. After an error, the catalog keeps serving the
	// entity as it was the last time without errors.
	PreProcess(ctx context.Context, e catalogmodel.Entity, from Source, out *Output) (catalogmodel.Entity, error)
}

// KindValidator knows kinds of entities that the catalog doesn't know.
type KindValidator interface {
	Processor
	// ValidateKind tells whether the entity is of a kind that it knows, and if so, by the error, whether it is valid.
	ValidateKind(ctx context.Context, e catalogmodel.Entity) (known bool, err error)
}

// LocationReader reads locations of types that the catalog can't read.
type LocationReader interface {
	Processor
	// ReadLocation tells whether it reads locations of this type. If so, it adds to out the entities that it found there, or the errors
	// for which there are fewer; nothing that is there if the location is optional is no error. An error that it returns is added.
	ReadLocation(ctx context.Context, location catalogmodel.LocationRef, optional bool, out *Output) (handled bool, err error)
}

// PostProcessor adds to entities that are valid, and to what they lead to.
type PostProcessor interface {
	Processor
	// PostProcess answers the entity as it shall be. See [PreProcessor.PreProcess] for what must stay, and for errors.
	PostProcess(ctx context.Context, e catalogmodel.Entity, from Source, out *Output) (catalogmodel.Entity, error)
}

// Output is what processors make beside the entity itself. It belongs to one call of a processor: it must not be used afterwards.
type Output struct {
	// Entities are entities that the processed one leads to. They live as long as it does and go on leading there.
	Entities []Emitted
	// Relations are relations of any entities. They live as long as the processed entity does and goes on saying so.
	Relations []catalogmodel.Relation
	// RefreshKeys name what the processed entity was made of. When a provider tells that something of that name has changed, the entity
	// is processed anew, see EntityProviderConnection.Refresh.
	RefreshKeys []string
	// Errors are what went wrong without being a reason to reject the entity. They are in its status.
	Errors []error
	// Cache is what the processor keeps of one time for the next. Each target of a Location has one of its own.
	Cache Cache
}

// Emitted is an entity that another one leads to.
type Emitted struct {
	// Entity is the entity. It must be allowed by catalog.rules.
	Entity catalogmodel.Entity
	// Location is where it was read.
	Location catalogmodel.LocationRef
	// LocationKey guards the entity: a provider or location that brings it with another key is refused. Empty: the location.
	LocationKey string
}

// Emit adds an entity that was read at a location.
func (o *Output) Emit(e catalogmodel.Entity, location catalogmodel.LocationRef) {
	o.Entities = append(o.Entities, Emitted{Entity: e, Location: location})
}

// PlaceholderResolver gives the value that takes the place of a placeholder: of an object with one key, which begins with a dollar sign.
type PlaceholderResolver func(ctx context.Context, p Placeholder) (catalogmodel.Value, error)

// Placeholder is a placeholder in an entity.
type Placeholder struct {
	// Key is the key without its dollar sign.
	Key string
	// Value is what stands there, mostly the path or the URL of a file.
	Value catalogmodel.Value
	// Base is the location of the entity, to which paths are relative.
	Base catalogmodel.LocationRef
	// Resolve makes a path or URL, relative to Base or another file, one that Read takes. What leads out of the repository or directory
	// of the entity is an error.
	Resolve func(target, base string) (string, error)
	// Read reads a file, and has the entity processed anew when a provider tells that the file has changed.
	Read func(ctx context.Context, target string) ([]byte, error)
}
