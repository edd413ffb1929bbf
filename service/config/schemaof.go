package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// SchemaOf is a JSON Schema of the configuration at key, derived from the struct that it is decoded into: names, types and constraints
// are those of [Store.Decode], descriptions those of tags like `doc:"The address of the forge."`. It panics if a tag is wrong, or a
// type can't be configured.
func SchemaOf[T any](key string) []byte {
	schema := schemaOf(reflect.TypeFor[T](), field{}, nil)
	if key != "" {
		names := strings.Split(key, ".")
		for i := len(names) - 1; i >= 0; i-- {
			outer := map[string]any{"type": "object", "properties": map[string]any{names[i]: schema}}
			if schema["required"] != nil {
				outer["required"] = []string{names[i]}
			}
			schema = outer
		}
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		panic(fmt.Sprintf("config: the schema of %s: %s", key, err))
	}
	return raw
}

func schemaOf(t reflect.Type, f field, within []reflect.Type) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for _, outer := range within {
		if outer == t {
			// A type that contains itself is described once.
			return map[string]any{}
		}
	}
	within = append(within[:len(within):len(within)], t)
	if t == durationType {
		return durationSchema(f)
	}
	schema := map[string]any{}
	if reflect.PointerTo(t).Implements(unmarshalerType) {
		return schema // what the type takes is for itself to say
	}
	asText := reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	switch t.Kind() {
	case reflect.Interface:
		return schema
	case reflect.Struct:
		fields := fieldsOf(t)
		if asText && len(fields) == 0 {
			return scalarSchema()
		}
		structSchema(schema, fields, within)
	case reflect.Map:
		schema["type"] = "object"
		schema["additionalProperties"] = schemaOf(t.Elem(), field{}, within)
		limits(schema, f, "minProperties", "maxProperties")
	case reflect.Slice:
		schema["type"] = "array"
		schema["items"] = schemaOf(t.Elem(), field{format: f.format, enum: f.enum, pattern: f.pattern}, within)
		limits(schema, f, "minItems", "maxItems")
	case reflect.String:
		if asText {
			return scalarSchema()
		}
		schema["type"] = "string"
		if f.format != "" {
			schema["format"] = f.format
		}
		if f.enum != nil {
			schema["enum"] = f.enum
		}
		if f.pattern != nil {
			schema["pattern"] = f.pattern.String()
		}
		limits(schema, f, "minLength", "maxLength")
	case reflect.Bool:
		schema["type"] = "boolean"
	default:
		switch {
		case asText:
			return scalarSchema()
		case isInteger(t.Kind()):
			schema["type"] = "integer"
		case isNumber(t.Kind()):
			schema["type"] = "number"
		default:
			panic(fmt.Sprintf("config: a %s can't be configured", t))
		}
		limits(schema, f, "minimum", "maximum")
	}
	if asText {
		return map[string]any{"anyOf": []any{scalarSchema(), schema}}
	}
	return schema
}

func structSchema(schema map[string]any, fields []field, within []reflect.Type) {
	schema["type"] = "object"
	properties := map[string]any{}
	var required []string
	for _, f := range fields {
		p := schemaOf(f.typ, f, within)
		if f.doc != "" {
			p["description"] = f.doc
		}
		if f.visibility != "" {
			p["visibility"] = f.visibility
		}
		if f.deep != "" {
			p["deepVisibility"] = f.deep
		}
		properties[f.name] = p
		if f.required || f.typ.Kind() == reflect.Struct && p["required"] != nil {
			required = append(required, f.name)
		}
	}
	schema["properties"] = properties
	if required != nil {
		schema["required"] = required
	}
}

func scalarSchema() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

func durationSchema(f field) map[string]any {
	properties := map[string]any{}
	for _, u := range units {
		properties[u.name] = map[string]any{"type": "number"}
	}
	text := map[string]any{"type": "string"}
	if f.milliseconds {
		text["type"] = []string{"string", "number"}
	}
	return map[string]any{"anyOf": []any{text,
		map[string]any{"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1}}}
}

func limits(schema map[string]any, f field, minimum, maximum string) {
	for keyword, text := range map[string]string{minimum: f.min, maximum: f.max} {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			schema[keyword] = n
		}
	}
}
