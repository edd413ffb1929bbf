package config

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/service"
)

// Schema is one JSON Schema (draft 7) for all that the features declare, for editors and for documentation. Unlike [Store.Validate],
// it also finds the mistakes in parts of the schemas that nothing in the configuration needs.
func Schema(schemas service.ConfigSchemas) ([]byte, error) {
	documents, err := parse(schemas)
	if err != nil {
		return nil, err
	}
	all := map[string]any{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
	definitions := map[string]any{}
	var failures []error
	for i, source := range schemas {
		if _, err := compile(source.Schema); err != nil {
			failures = append(failures, documents[i].invalid(err))
			continue
		}
		document, ok := documents[i].raw.(map[string]any)
		if !ok {
			continue
		}
		if strings.Contains(string(source.Schema), `"$ref"`) {
			// What it refers to is put below a name of its own.
			name := "feature" + strconv.Itoa(i)
			definitions[name] = relocate(clone(document), "#/definitions/"+name)
			document = definitions[name].(map[string]any)
		}
		document = maps.Clone(document)
		delete(document, "definitions")
		delete(document, "$schema")
		delete(document, "$id")
		combine(all, document)
	}
	if len(definitions) > 0 {
		all["definitions"] = definitions
	}
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return json.MarshalIndent(all, "", "  ")
}

// relocate changes the references of a schema that is moved to base.
func relocate(value any, base string) any {
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			if ref, ok := v.(string); ok && k == "$ref" && strings.HasPrefix(ref, "#") {
				value[k] = base + ref[1:]
				continue
			}
			relocate(v, base)
		}
	case []any:
		for _, v := range value {
			relocate(v, base)
		}
	}
	return value
}

// combine makes a schema one for which other must hold too.
func combine(schema, other map[string]any) {
	for keyword, v := range other {
		was, both := schema[keyword]
		if _, isObject := v.(map[string]any); !both || reflect.DeepEqual(was, v) || keyword == "properties" && isObject {
			continue
		}
		switch keyword {
		case "required", "description", "title", "additionalProperties":
			continue
		}
		// The two can't be told as one.
		all, _ := schema["allOf"].([]any)
		schema["allOf"] = append(slices.Clone(all), other)
		return
	}
	for keyword, v := range other {
		was, both := schema[keyword]
		switch {
		case !both:
			schema[keyword] = clone(v)
		case keyword == "properties":
			combineProperties(was.(map[string]any), v.(map[string]any))
		case keyword == "required":
			names, _ := was.([]any)
			for _, name := range v.([]any) {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
			schema[keyword] = names
		case keyword == "additionalProperties" && was == false:
			schema[keyword] = clone(v)
		}
	}
}

func combineProperties(into, from map[string]any) {
	for name, v := range from {
		was, isObject := into[name].(map[string]any)
		other, too := v.(map[string]any)
		switch {
		case !has(into, name):
			into[name] = clone(v)
		case isObject && too:
			combine(was, other)
		case !reflect.DeepEqual(into[name], v):
			into[name] = map[string]any{"allOf": []any{into[name], clone(v)}}
		}
	}
}
