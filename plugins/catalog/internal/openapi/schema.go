package openapi

import (
	"encoding/json"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// schema is a compiled schema that takes good values quickly: of a list of 50 refs, jsonschema alone takes longer than their entities do.
// Its keywords that are met most often are checked here, without allocating anything, and the others, and what is told of bad values, are
// left to jsonschema.
type schema struct {
	whole *jsonschema.Schema
	quick *shape
}

// validate returns a *jsonschema.ValidationError if the value is not as it should be.
func (s *schema) validate(v any) error {
	if s.quick.fits(v) {
		return nil
	}
	return s.whole.Validate(v)
}

// shape is what a schema says with the keywords type, minimum, maximum, minLength, required, properties, additionalProperties: false, items and
// contains.
type shape struct {
	typeName   string
	minimum    *float64
	maximum    *float64
	minLength  int
	required   []string
	properties map[string]*shape
	closed     bool // there are no other properties
	items      *shape
	contains   *shape
	more       bool // it has other keywords
}

// newShape reads a schema.
func newShape(text json.RawMessage) *shape {
	var keywords map[string]json.RawMessage
	if json.Unmarshal(text, &keywords) != nil {
		return &shape{more: true} // true or false
	}
	s := &shape{}
	for name, value := range keywords {
		var err error
		switch name {
		case "description", "format", "default":
		case "type":
			err = json.Unmarshal(value, &s.typeName)
		case "minimum":
			err = json.Unmarshal(value, &s.minimum)
		case "maximum":
			err = json.Unmarshal(value, &s.maximum)
		case "minLength":
			err = json.Unmarshal(value, &s.minLength)
		case "required":
			err = json.Unmarshal(value, &s.required)
		case "properties":
			var properties map[string]json.RawMessage
			err = json.Unmarshal(value, &properties)
			s.properties = make(map[string]*shape, len(properties))
			for property, text := range properties {
				s.properties[property] = newShape(text)
			}
		case "additionalProperties":
			s.closed = string(value) == "false"
			s.more = s.more || !s.closed
		case "items":
			s.items = newShape(value)
		case "contains":
			s.contains = newShape(value)
		default:
			s.more = true
		}
		s.more = s.more || err != nil
	}
	return s
}

// fits tells that a value is good. If it answers false, the value may still be.
func (s *shape) fits(v any) bool {
	switch {
	case s == nil:
		return true
	case s.more:
		return false
	}
	switch v := v.(type) {
	case string:
		return s.is("string") && utf8.RuneCountInString(v) >= s.minLength
	case bool:
		return s.is("boolean")
	case float64:
		return (s.is("number") || s.is("integer") && v == math.Trunc(v)) && (s.minimum == nil || v >= *s.minimum) && (s.maximum == nil || v <= *s.maximum)
	case []any:
		for _, item := range v {
			if !s.items.fits(item) {
				return false
			}
		}
		return s.is("array") && (s.contains == nil || slices.ContainsFunc(v, s.contains.fits))
	case map[string]any:
		for _, name := range s.required {
			if _, there := v[name]; !there {
				return false
			}
		}
		for name, value := range v {
			property := s.properties[name]
			if property == nil && s.closed || !property.fits(value) {
				return false
			}
		}
		return s.is("object")
	}
	return false
}

func (s *shape) is(typeName string) bool { return s.typeName == typeName || s.typeName == "" }
