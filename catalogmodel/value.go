package catalogmodel

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
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
// A Value is small, is passed by value, and is safe for concurrent use. What is taken out of it, be it a Value or a string, shares its
// memory: clone a string that is to outlive a large value.
type Value struct {
	text string // see encoding.go
}

// Type returns the type of v.
func (v Value) Type() Type {
	if v.text == "" {
		return Absent
	}
	return Type(v.text[0] & typeMask)
}

// Exists reports whether v is a JSON value, null included.
func (v Value) Exists() bool { return v.Type() != Absent }

// Position returns where v began in the YAML it was read from, or the zero Position.
func (v Value) Position() Position {
	if v.text == "" || v.text[0]&placedFlag == 0 {
		return Position{}
	}
	p, _ := positionAt(v.text, 1)
	return p
}

// String returns the contents of a string, "" for an absent value, and the JSON text of any other.
func (v Value) String() string {
	switch v.Type() {
	case Absent:
		return ""
	case String, Number:
		return v.content()
	}
	return string(v.AppendJSON(nil))
}

// Text returns the contents of a string, and "" for a value of any other type.
func (v Value) Text() string {
	if v.Type() != String {
		return ""
	}
	return v.content()
}

// Bool reports whether v is true.
func (v Value) Bool() bool { return v.Type() == Boolean && v.text[0]&trueFlag != 0 }

// Number returns the literal of a number as it was written, and "" for a value of any other type.
func (v Value) Number() json.Number {
	if v.Type() != Number {
		return ""
	}
	return json.Number(v.content())
}

// Len returns the number of fields of an object or elements of an array, and 0 for a value of any other type. It counts them.
func (v Value) Len() int {
	n := 0
	for m := v.members(); m.next(); n++ {
	}
	return n
}

// Get returns the value that path leads to: keys of objects and, for arrays, decimal indices.
// What is not there is answered by an absent value.
func (v Value) Get(path ...string) Value {
	for _, step := range path {
		v = v.child(step)
	}
	return v
}

func (v Value) child(step string) Value {
	m := v.members()
	if m.seek(step) {
		return m.value
	}
	return Value{}
}

func (v Value) has(step string) bool {
	m := v.members()
	return m.seek(step)
}

// isEmpty reports whether v is a scalar that JavaScript takes for no value, a zero aside.
func (v Value) isEmpty() bool {
	switch v.Type() {
	case Absent, Null:
		return true
	case Boolean:
		return !v.Bool()
	case String:
		return v.content() == ""
	}
	return false
}

// Fields yields the fields of an object in their order, and nothing for a value of any other type.
func (v Value) Fields() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for m := v.members(); m.keyed && m.next(); {
			if !yield(m.key, m.value) {
				return
			}
		}
	}
}

// Elements yields the elements of an array with their indices, and nothing for a value of any other type.
func (v Value) Elements() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		i := 0
		for m := v.members(); !m.keyed && m.next(); i++ {
			if !yield(i, m.value) {
				return
			}
		}
	}
}

// Strings returns the strings among the elements of an array; a string by itself counts as an array of one.
func (v Value) Strings() []string {
	if v.Type() == String {
		return []string{v.content()}
	}
	var out []string
	for _, e := range v.Elements() {
		if e.Type() == String {
			out = append(out, e.content())
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
		return v.Number()
	case String:
		return v.content()
	case Array:
		out := []any{}
		for m := v.members(); m.next(); {
			out = append(out, m.value.Any())
		}
		return out
	case Object:
		out := map[string]any{}
		for m := v.members(); m.next(); {
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
func StringValue(s string) Value { return Value{string(appendStringValue(nil, s))} }

func appendStringValue(dst []byte, s string) []byte {
	return appendText(append(dst, byte(String)), strings.ToValidUTF8(s, "\uFFFD"))
}

// ValueOf returns x as a JSON value. A Value or an [Entity] is taken as it is, maps get their keys in sorted order, and what is
// not one of the types that encoding/json decodes into goes through [json.Marshal], whose errors it returns.
func ValueOf(x any) (Value, error) {
	switch x := x.(type) {
	case Value:
		return x, nil
	case Entity:
		return x.root, nil
	}
	text, err := appendAny(nil, x)
	if err != nil {
		return Value{}, err
	}
	return Value{string(text)}, nil
}

// appendAny appends the value that ValueOf returns.
func appendAny(dst []byte, x any) ([]byte, error) {
	switch x := x.(type) {
	case nil:
		return append(dst, byte(Null)), nil
	case Value:
		return appendValue(dst, x), nil
	case Entity:
		return appendValue(dst, x.root), nil
	case string:
		return appendStringValue(dst, x), nil
	case bool:
		return append(dst, boolTag(x)), nil
	case []string:
		dst, begin := beginMembers(dst, Array, Position{})
		for _, s := range x {
			dst = appendStringValue(dst, s)
		}
		return endMembers(dst, begin), nil
	case []any:
		dst, begin := beginMembers(dst, Array, Position{})
		for _, e := range x {
			var err error
			if dst, err = appendAny(dst, e); err != nil {
				return nil, err
			}
		}
		return endMembers(dst, begin), nil
	case map[string]string:
		return appendMap(dst, x, func(dst []byte, s string) ([]byte, error) { return appendStringValue(dst, s), nil })
	case map[string]any:
		return appendMap(dst, x, appendAny)
	}
	data, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("catalogmodel: cannot represent %T as JSON: %w", x, err)
	}
	return appendParsed(dst, data)
}

// appendMap appends an object, each of its values by what appendElement appends.
func appendMap[T any](dst []byte, x map[string]T, appendElement func([]byte, T) ([]byte, error)) ([]byte, error) {
	dst, begin := beginMembers(dst, Object, Position{})
	for _, k := range slices.Sorted(maps.Keys(x)) {
		var err error
		dst = appendText(dst, strings.ToValidUTF8(k, "\uFFFD"))
		if dst, err = appendElement(dst, x[k]); err != nil {
			return nil, err
		}
	}
	return endMembers(dst, begin), nil
}

func boolTag(b bool) byte {
	if b {
		return byte(Boolean) | trueFlag
	}
	return byte(Boolean)
}

// With returns v, an object or absent, with x at path, as [Entity.With] does.
func (v Value) With(x Value, path ...string) Value {
	if len(path) == 0 {
		return x
	}
	text, ok := appendWith(make([]byte, 0, len(v.text)+len(x.text)+64), v, x, path)
	if !ok {
		return v
	}
	return Value{string(text)}
}

// Without returns v without the field at path.
func (v Value) Without(path ...string) Value {
	return Value{string(appendWithout(make([]byte, 0, len(v.text)), v, path))}
}

// withFirst returns v, an object, with a field added in front.
func (v Value) withFirst(key string, x Value) Value {
	return Value{string(appendMembers(nil, v, append([]member{{key: key, value: x}}, v.list()...)))}
}
