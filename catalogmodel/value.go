package catalogmodel

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Type is the JSON type of a [Value].
type Type uint8

// The types of a [Value]. Absent is the type of the zero Value: what a look-up of a field that is not there answers.
const (
	Absent Type = iota
	Null
	Boolean
	Number
	String
	Array
	Object
)

// String returns the name that JSON Schema gives the type, or "absent".
func (t Type) String() string {
	switch t {
	case Null:
		return "null"
	case Boolean:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case Array:
		return "array"
	case Object:
		return "object"
	}
	return "absent"
}

// Position is a place in a source file, both parts counting from 1. The zero Position means that it is not known.
type Position struct {
	Line, Column int
}

// Value is an immutable JSON value: objects keep the order of their fields, numbers are kept as written, and a value that
// was read from YAML knows where it stood. The zero Value is absent, which no JSON value is.
//
// A Value is small, is passed by value, shares its contents with its copies, and is safe for concurrent use.
type Value struct {
	head head
	text string // the contents of a string, the literal of a number, "true" or "" for a boolean
	kids *[]member
}

// head packs the type (8 bits), the column (24 bits) and the line (32 bits).
type head uint64

func newHead(t Type, p Position) head {
	return head(t) | head(min(p.Column, 1<<24-1))<<8 | head(uint32(p.Line))<<32
}

// member is a field of an object, or an element of an array (then without a key).
type member struct {
	key   string
	at    head // where the key stood; its type is unused
	value Value
}

// Type returns the type of v.
func (v Value) Type() Type { return Type(v.head & 0xff) }

// Exists reports whether v is a JSON value, null included.
func (v Value) Exists() bool { return v.Type() != Absent }

// Position returns where v began in the YAML it was read from, or the zero Position.
func (v Value) Position() Position { return v.head.position() }

func (h head) position() Position {
	return Position{Line: int(h >> 32), Column: int(h >> 8 & 0xffffff)}
}

// String returns the contents of a string, "" for an absent value, and the JSON text of any other.
func (v Value) String() string {
	switch v.Type() {
	case Absent:
		return ""
	case String, Number:
		return v.text
	}
	return string(v.AppendJSON(nil))
}

// Text returns the contents of a string, and "" for a value of any other type.
func (v Value) Text() string {
	if v.Type() != String {
		return ""
	}
	return v.text
}

// Bool reports whether v is true.
func (v Value) Bool() bool { return v.Type() == Boolean && v.text != "" }

// Number returns the literal of a number as it was written, and "" for a value of any other type.
func (v Value) Number() json.Number {
	if v.Type() != Number {
		return ""
	}
	return json.Number(v.text)
}

func (v Value) members() []member {
	if v.kids == nil {
		return nil
	}
	return *v.kids
}

// Len returns the number of fields of an object or elements of an array, and 0 for a value of any other type.
func (v Value) Len() int { return len(v.members()) }

// Get returns the value that path leads to: keys of objects and, for arrays, decimal indices.
// What is not there is answered by an absent value.
func (v Value) Get(path ...string) Value {
	for _, step := range path {
		v = v.child(step)
	}
	return v
}

func (v Value) child(step string) Value {
	m := v.member(step)
	if m == nil {
		return Value{}
	}
	return m.value
}

func (v Value) member(step string) *member {
	members := v.members()
	if v.Type() == Array {
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i >= len(members) {
			return nil
		}
		return &members[i]
	}
	for i := range members {
		if members[i].key == step {
			return &members[i]
		}
	}
	return nil
}

// Fields yields the fields of an object in their order, and nothing for a value of any other type.
func (v Value) Fields() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Type() != Object {
			return
		}
		for _, m := range v.members() {
			if !yield(m.key, m.value) {
				return
			}
		}
	}
}

// Elements yields the elements of an array with their indices, and nothing for a value of any other type.
func (v Value) Elements() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if v.Type() != Array {
			return
		}
		for i, m := range v.members() {
			if !yield(i, m.value) {
				return
			}
		}
	}
}

// Strings returns the strings among the elements of an array; a string by itself counts as an array of one.
func (v Value) Strings() []string {
	if v.Type() == String {
		return []string{v.text}
	}
	var out []string
	for _, e := range v.Elements() {
		if e.Type() == String {
			out = append(out, e.text)
		}
	}
	return out
}

// Any returns v as encoding/json would decode it into an any, with numbers as [json.Number]. Absent and null are nil.
func (v Value) Any() any {
	switch v.Type() {
	case Boolean:
		return v.Bool()
	case Number:
		return json.Number(v.text)
	case String:
		return v.text
	case Array:
		out := make([]any, v.Len())
		for i, m := range v.members() {
			out[i] = m.value.Any()
		}
		return out
	case Object:
		out := make(map[string]any, v.Len())
		for _, m := range v.members() {
			out[m.key] = m.value.Any()
		}
		return out
	}
	return nil
}

// Decode stores v in dst, a pointer, by the rules of [json.Unmarshal].
func (v Value) Decode(dst any) error {
	return json.Unmarshal(v.AppendJSON(nil), dst)
}

// StringValue returns s as a JSON string, with U+FFFD in place of bytes that are not UTF-8.
func StringValue(s string) Value { return stringValue(strings.ToValidUTF8(s, "\uFFFD")) }

// stringValue is [StringValue] for an s that is known to be UTF-8.
func stringValue(s string) Value { return Value{head: head(String), text: s} }

// ValueOf returns x as a JSON value. A Value or an [Entity] is taken as it is, maps get their keys in sorted order, and what is
// not one of the types that encoding/json decodes into goes through [json.Marshal], whose errors it returns.
func ValueOf(x any) (Value, error) {
	switch x := x.(type) {
	case nil:
		return Value{head: head(Null)}, nil
	case Value:
		return x, nil
	case Entity:
		return x.root, nil
	case string:
		return StringValue(x), nil
	case bool:
		return boolValue(x), nil
	case []string:
		members := make([]member, len(x))
		for i, s := range x {
			members[i].value = StringValue(s)
		}
		return container(Array, members), nil
	case []any:
		members := make([]member, len(x))
		for i, e := range x {
			v, err := ValueOf(e)
			if err != nil {
				return Value{}, err
			}
			members[i].value = v
		}
		return container(Array, members), nil
	case map[string]string:
		members := make([]member, 0, len(x))
		for _, k := range slices.Sorted(maps.Keys(x)) {
			members = append(members, member{key: strings.ToValidUTF8(k, "\uFFFD"), value: StringValue(x[k])})
		}
		return container(Object, members), nil
	case map[string]any:
		members := make([]member, 0, len(x))
		for _, k := range slices.Sorted(maps.Keys(x)) {
			v, err := ValueOf(x[k])
			if err != nil {
				return Value{}, err
			}
			members = append(members, member{key: strings.ToValidUTF8(k, "\uFFFD"), value: v})
		}
		return container(Object, members), nil
	}
	data, err := json.Marshal(x)
	if err != nil {
		return Value{}, fmt.Errorf("catalogmodel: cannot represent %T as JSON: %w", x, err)
	}
	return ParseValue(data)
}

func boolValue(b bool) Value {
	if b {
		return Value{head: head(Boolean), text: "true"}
	}
	return Value{head: head(Boolean)}
}

func container(t Type, members []member) Value {
	return Value{head: head(t), kids: &members}
}

// With returns v, an object or absent, with x at path, as [Entity.With] does.
func (v Value) With(x Value, path ...string) Value {
	v, _ = v.with(x, path)
	return v
}

// Without returns v without the field at path.
func (v Value) Without(path ...string) Value { return v.without(path) }

// with returns v with the value at path replaced or added, copying only what lies on the way. It reports false where
// something on the way exists but is not an object.
func (v Value) with(x Value, path []string) (Value, bool) {
	if len(path) == 0 {
		return x, true
	}
	if !v.Exists() {
		v.head = head(Object)
	}
	if v.Type() != Object {
		return v, false
	}
	old := v.members()
	i := slices.IndexFunc(old, func(m member) bool { return m.key == path[0] })
	var child Value
	if i >= 0 {
		child = old[i].value
	}
	child, ok := child.with(x, path[1:])
	if !ok {
		return v, false
	}
	members := make([]member, len(old), len(old)+1)
	copy(members, old)
	if i >= 0 {
		members[i].value = child
	} else {
		members = append(members, member{key: path[0], value: child})
	}
	v.kids = &members
	return v, true
}

// without returns v without the field at path.
func (v Value) without(path []string) Value {
	if len(path) == 0 || v.Type() != Object {
		return v
	}
	old := v.members()
	i := slices.IndexFunc(old, func(m member) bool { return m.key == path[0] })
	if i < 0 {
		return v
	}
	members := slices.Clone(old)
	if len(path) == 1 {
		members = slices.Delete(members, i, i+1)
	} else {
		members[i].value = old[i].value.without(path[1:])
	}
	v.kids = &members
	return v
}

// withFirst returns v, an object, with a field added in front.
func (v Value) withFirst(key string, x Value) Value {
	members := make([]member, 0, v.Len()+1)
	members = append(members, member{key: key, value: x})
	members = append(members, v.members()...)
	v.kids = &members
	return v
}
