package catalogmodel

import (
	"errors"
	"fmt"
)

// Entity is one entry of the catalog, of any kind: a JSON object with apiVersion, kind, metadata and, mostly, spec.
//
// It is immutable and lossless: fields keep their order, unknown ones are kept, numbers stay as written. Methods that
// change an entity return the changed one, for which they copy the original. An Entity takes about as much memory as its JSON, is passed
// by value and is safe for concurrent use.
//
// Nothing about an Entity is certain until a [Registry] has validated it; the accessors answer "" for what is missing or has
// another type. The zero Entity is empty, and null in JSON.
type Entity struct {
	root Value
	file string
}

// DefaultNamespace is the namespace of an entity or reference that names none.
const DefaultNamespace = "default"

var errNoObject = errors.New("catalogmodel: an entity must be a JSON object")

// ParseJSON reads an entity from one JSON text, by the rules of [ParseValue]. A malformed text is answered by a [*SyntaxError].
func ParseJSON(data []byte) (Entity, error) {
	v, err := ParseValue(data)
	if err != nil {
		return Entity{}, err
	}
	return EntityOf(v)
}

// EntityOf makes an entity of x, which must be or become a JSON object as [ValueOf] describes.
func EntityOf(x any) (Entity, error) {
	v, err := ValueOf(x)
	if err != nil {
		return Entity{}, err
	}
	if v.Type() != Object {
		return Entity{}, fmt.Errorf("%w, not %s", errNoObject, v.Type())
	}
	return Entity{root: v}, nil
}

// Value returns the whole entity as a value.
func (e Entity) Value() Value { return e.root }

// IsZero reports whether e is the zero Entity.
func (e Entity) IsZero() bool { return !e.root.Exists() }

// Get returns the value that path leads to, such as e.Get("spec", "owner"), or an absent value.
func (e Entity) Get(path ...string) Value { return e.root.Get(path...) }

// APIVersion returns the version of the format that the entity is written in, such as "backstage.io/v1alpha1".
func (e Entity) APIVersion() string { return e.root.child("apiVersion").Text() }

// Kind returns the kind, such as "Component".
func (e Entity) Kind() string { return e.root.child("kind").Text() }

// Metadata returns the metadata object.
func (e Entity) Metadata() Value { return e.root.child("metadata") }

// Spec returns the spec object.
func (e Entity) Spec() Value { return e.root.child("spec") }

// Name returns metadata.name.
func (e Entity) Name() string { return e.Metadata().child("name").Text() }

// Namespace returns metadata.namespace, or [DefaultNamespace].
func (e Entity) Namespace() string {
	if ns := e.Metadata().child("namespace").Text(); ns != "" {
		return ns
	}
	return DefaultNamespace
}

// Title returns metadata.title.
func (e Entity) Title() string { return e.Metadata().child("title").Text() }

// Description returns metadata.description.
func (e Entity) Description() string { return e.Metadata().child("description").Text() }

// UID returns metadata.uid, which the catalog gives an entity it stores.
func (e Entity) UID() string { return e.Metadata().child("uid").Text() }

// ETag returns metadata.etag, which changes whenever the stored entity does.
func (e Entity) ETag() string { return e.Metadata().child("etag").Text() }

// Annotation returns the annotation called name, or "".
func (e Entity) Annotation(name string) string {
	return e.Metadata().child("annotations").child(name).Text()
}

// Annotations returns a copy of the annotations.
func (e Entity) Annotations() map[string]string { return stringMap(e.Metadata().child("annotations")) }

// Label returns the label called name, or "".
func (e Entity) Label(name string) string { return e.Metadata().child("labels").child(name).Text() }

// Labels returns a copy of the labels.
func (e Entity) Labels() map[string]string { return stringMap(e.Metadata().child("labels")) }

// Tags returns a copy of the tags.
func (e Entity) Tags() []string { return e.Metadata().child("tags").Strings() }

// Type returns spec.type, which many kinds have.
func (e Entity) Type() string { return e.Spec().child("type").Text() }

func stringMap(v Value) map[string]string {
	out := map[string]string{}
	for k, x := range v.Fields() {
		if x.Type() == String {
			out[k] = x.content()
		}
	}
	return out
}

// Ref returns the reference to the entity, in its own spelling.
func (e Entity) Ref() Ref {
	return Ref{Kind: e.Kind(), Namespace: e.Namespace(), Name: e.Name()}
}

// File returns the name of the file that the entity was read from, as given to [ReadYAML], or "".
func (e Entity) File() string { return e.file }

// With returns e with v at path, replacing what is there or adding it at the end, together with objects on the way that are
// missing. Where something on the way is there but is no object, e is returned unchanged, for validation to report.
func (e Entity) With(v Value, path ...string) Entity {
	e.root = e.root.With(v, path...)
	return e
}

// Without returns e without the field at path.
func (e Entity) Without(path ...string) Entity {
	e.root = e.root.Without(path...)
	return e
}

// WithAnnotation returns e with an annotation set; see [Entity.With]. Annotations that are null, as they are in YAML where none is left, are none.
func (e Entity) WithAnnotation(name, value string) Entity {
	if e.Metadata().child("annotations").Type() == Null {
		e = e.Without("metadata", "annotations")
	}
	return e.With(StringValue(value), "metadata", "annotations", name)
}

// WithDefaultNamespace returns e with metadata.namespace set to namespace if it has none. As in Backstage, metadata then comes
// first in the entity and namespace first in metadata.
func (e Entity) WithDefaultNamespace(namespace string) Entity {
	metadata := e.Metadata()
	if metadata.Type() != Object || metadata.child("namespace").Exists() {
		return e
	}
	metadata = metadata.withFirst("namespace", StringValue(namespace))
	e.root = e.root.Without("metadata").withFirst("metadata", metadata)
	return e
}

// MarshalJSON implements [json.Marshaler]. It is [Value.AppendJSON] without its buffer.
func (e Entity) MarshalJSON() ([]byte, error) {
	return e.root.AppendJSON(make([]byte, 0, 1024)), nil
}

// AppendJSON appends the entity's JSON to dst; see [Value.AppendJSON].
func (e Entity) AppendJSON(dst []byte) []byte { return e.root.AppendJSON(dst) }

// UnmarshalJSON implements [json.Unmarshaler]; null leaves e as it is. [ParseJSON] does the same faster.
func (e *Entity) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	parsed, err := ParseJSON(data)
	if err != nil {
		return err
	}
	*e = parsed
	return nil
}

// String returns the entity's JSON.
func (e Entity) String() string { return string(e.root.AppendJSON(nil)) }
