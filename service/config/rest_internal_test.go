package config

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// FuzzRest checks that what is left out of a schema for a value makes no difference to whether the value is valid.
func FuzzRest(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}`, `{"a": 1}`},
		{`{"properties": {"a": {"type": ["integer", "null"]}, "b": false}}`, `{"a": 1.0, "c": null}`},
		{`{"properties": {"a": true}, "additionalProperties": {"type": "number"}}`, `{"a": "x", "b": "y"}`},
		{`{"properties": {"a": true}, "additionalProperties": false}`, `{"a": "x", "b": "y"}`},
		{`{"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": false, "properties": {}}`, `{"xy": 1}`},
		{`{"anyOf": [{"type": "string"}, {"properties": {"a": {"const": 1}}}], "items": {"type": "array"}}`, `{"a": 2}`},
		{`{"definitions": {"d": {"items": {"$ref": "#/definitions/d"}, "type": "array"}}, "$ref": "#/definitions/d"}`, `[[[]], {}]`},
		{`{"items": [{"type": "string"}], "additionalItems": false}`, `["a", 1]`},
		{`{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"maxProperties": 0}}`, `{"a": 1}`},
		{`{"if": {"type": "string"}, "properties": {"a": {"minLength": 1}}, "required": ["a"]}`, `{"a": ""}`},
		{`{"properties": {"a": {"oneOf": [{"type": "string"}, {"minLength": 2}]}}}`, `{"a": "abc"}`},
		{`{"not": {"type": "object"}, "allOf": [{"properties": {"a": {"enum": [1, "x"]}}}]}`, `{"a": "y"}`},
		{`{"propertyNames": {"maxLength": 1}, "dependencies": {"a": ["b"], "c": {"required": ["d"]}}}`, `{"a": 1, "bb": 2}`},
		{`{"const": null}`, `null`},
		{`true`, `1`},
		{`false`, `1`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, schema, text string) {
		d := document{feature: "fuzz"}
		var value any
		if json.Unmarshal([]byte(schema), &d.raw) != nil || json.Unmarshal([]byte(text), &value) != nil {
			return
		}
		whole, err := compile([]byte(schema))
		if err != nil {
			return
		}
		err = whole.Validate(value)
		var loop jsonschema.InfiniteLoopError
		if errors.As(err, &loop) {
			return
		}
		want := err == nil
		left, needed := d.rest(d.raw, value, true, 0)
		got := true
		if needed {
			compiled, _, err := d.compile(left)
			if err != nil {
				t.Fatalf("%s for %s leaves %v, which is not valid: %v", schema, text, left, err)
			}
			got = compiled.Validate(value) == nil
		}
		if got != want {
			t.Errorf("%s for %s leaves %v (%t), by which it is valid: %t, but it should be: %t", schema, text, left, needed, got, want)
		}
	})
}
