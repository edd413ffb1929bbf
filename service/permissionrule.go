package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// PermissionRule is what conditions on resources of a type are made of: "is owned by one of …". Make one with [NewPermissionRule].
type PermissionRule[R, Q any] struct {
	info PermissionRuleInfo
	bind func(params map[string]any) (boundRule[R, Q], error)
}

// boundRule is a rule with its parameters.
type boundRule[R, Q any] struct {
	apply func(R) bool
	query func() Q
}

// NewPermissionRule declares a rule: apply tells whether a resource meets it, query finds those that do. Query may be nil if the plugin has no
// use for [ResourceType.Query].
//
// P is a struct with the parameters of the rule. Its fields have JSON names; they are strings, booleans, numbers, or slices of those; a
// pointer to one, and one with omitempty or omitzero, is optional. The tag `doc:"…"` describes a field for the authors of policies. Another P is a panic.
//
//	var hasTag = service.NewPermissionRule("HAS_TAG", "Allow items with one of the tags",
//		func(i *Item, p tags) bool { return slices.Contains(p.Tags, i.Tag) },
//		func(p tags) filter { return tagIn(p.Tags) })
func NewPermissionRule[P, R, Q any](name, description string, apply func(R, P) bool, query func(P) Q) PermissionRule[R, Q] {
	params := ruleParams{name: name, fields: paramFields(name, reflect.TypeFor[P]())}
	return PermissionRule[R, Q]{
		info: PermissionRuleInfo{Name: name, Description: description, ParamsSchema: params.schema()},
		bind: func(given map[string]any) (bound boundRule[R, Q], err error) {
			var p P
			if err := params.decode(given, &p); err != nil {
				return bound, err
			}
			bound.apply = func(r R) bool { return apply(r, p) }
			if query != nil {
				bound.query = func() Q { return query(p) }
			}
			return bound, nil
		},
	}
}

// ruleParams are the parameters of a rule as a struct has them.
type ruleParams struct {
	name   string
	fields []paramField
}

type paramField struct {
	name, doc string
	optional  bool
	list      bool
	jsonType  string
}

// paramFields reads the fields of a struct.
func paramFields(rule string, t reflect.Type) []paramField {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("service: the parameters of permission rule %s are a struct, not a %s", rule, t))
	}
	var fields []paramField
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := paramField{name: name, doc: f.Tag.Get("doc"), optional: strings.Contains(options, "omit")}
		typ := f.Type
		if typ.Kind() == reflect.Pointer {
			p.optional, typ = true, typ.Elem()
		}
		if typ.Kind() == reflect.Slice {
			p.list, typ = true, typ.Elem()
		}
		p.jsonType = jsonType(typ.Kind())
		if !f.IsExported() || name == "" || p.jsonType == "" {
			panic(fmt.Sprintf("service: parameter %s of permission rule %s needs a JSON name, and a type that is a string, a boolean, a number "+
				"or a slice of one of these", f.Name, rule))
		}
		fields = append(fields, p)
	}
	return fields
}

func jsonType(k reflect.Kind) string {
	switch {
	case k == reflect.String:
		return "string"
	case k == reflect.Bool:
		return "boolean"
	case k >= reflect.Int && k <= reflect.Uint64:
		return "integer"
	case k == reflect.Float32 || k == reflect.Float64:
		return "number"
	}
	return ""
}

// schema is the JSON Schema of the parameters.
func (p ruleParams) schema() json.RawMessage {
	properties := map[string]any{}
	schema := map[string]any{
		"$schema":              "http://json-schema.org/draft-07/schema#",
		"type":                 "object",
		"properties":           properties,
		"additionalProperties": false,
	}
	var required []string
	for _, f := range p.fields {
		property := map[string]any{"type": f.jsonType}
		if f.list {
			property = map[string]any{"type": "array", "items": property}
		}
		if f.doc != "" {
			property["description"] = f.doc
		}
		properties[f.name] = property
		if !f.optional {
			required = append(required, f.name)
		}
	}
	if required != nil {
		schema["required"] = required
	}
	encoded, _ := json.Marshal(schema) // maps of strings can always be encoded
	return encoded
}

// decode reads parameters into the struct that dst points to.
func (p ruleParams) decode(given map[string]any, dst any) error {
	left := maps.Clone(given)
	for _, f := range p.fields {
		value, ok := left[f.name]
		switch {
		case !ok && !f.optional:
			return fmt.Errorf("%s is missing", f.name)
		case ok && value == nil:
			return fmt.Errorf("%s is null", f.name)
		}
		delete(left, f.name)
	}
	for _, unknown := range slices.Sorted(maps.Keys(left)) {
		return fmt.Errorf("%s is not a parameter of the rule", unknown)
	}
	if len(given) == 0 {
		return nil
	}
	for name, value := range given {
		// Decoding would take null for an empty value.
		if list, ok := value.([]any); ok && slices.Contains(list, nil) {
			return fmt.Errorf("%s has null in it", name)
		}
	}
	encoded, err := json.Marshal(given)
	if err != nil {
		return err
	}
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(encoded, dst); errors.As(err, &wrong) {
		return fmt.Errorf("%s is a %s, not a %s", wrong.Field, wrong.Value, wrong.Type)
	} else if err != nil {
		return err
	}
	return nil
}
