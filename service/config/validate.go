package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// validate has the library check the values by what is left of a schema after the plain parts.
func (c *checker) validate(d *document, values any) error {
	schema, needed := d.rest(d.raw, values, false, 0)
	if !needed {
		return nil
	}
	compiled, schema, err := d.compile(schema)
	if err != nil {
		return err
	}
	var invalid *jsonschema.ValidationError
	if err = compiled.Validate(values); errors.As(err, &invalid) {
		(&translator{checker: c, document: schema, values: values}).translate(invalid)
		return nil
	}
	return err
}

// compile compiles a part of the schema together with what it refers to, and returns both as one.
func (d *document) compile(part any) (*jsonschema.Schema, any, error) {
	raw, err := json.Marshal(part)
	if err == nil && bytes.Contains(raw, []byte(`"$ref"`)) {
		definitions := at(d.raw, "/definitions")
		if object, ok := part.(map[string]any); ok && definitions != nil && !elsewhere.Match(raw) {
			object = maps.Clone(object)
			object["definitions"] = definitions
			part = object
		} else {
			part = d.raw
		}
		raw, err = json.Marshal(part)
	}
	if err != nil {
		return nil, nil, err
	}
	compiled, err := compile(raw)
	return compiled, part, err
}

// elsewhere finds references to other parts of a schema than its definitions.
var elsewhere = regexp.MustCompile(`"\$ref":"([^#]|#"|#/[^d])`)

func compile(raw []byte) (*jsonschema.Schema, error) {
	const url = "schema:///document"
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	c.LoadURL = func(url string) (io.ReadCloser, error) {
		return nil, fmt.Errorf("it refers to %s, but schemas can't refer to others", url)
	}
	if err := c.AddResource(url, bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	return c.Compile(url)
}

// rest is what of a schema doesn't plainly hold for a value; if nothing is needed, the value is valid. Types that are right, keys that
// aren't there and the like need no library, which takes much longer to compile a schema than to check a value by it: so what
// a portal declares but doesn't configure costs nothing. Of one of several forms, alternative is set: there, the prohibition of other
// keys tells the forms from each other; elsewhere the check of unknown keys enforces it, since it knows all schemas.
func (d *document) rest(schema, value any, alternative bool, depth int) (rest any, needed bool) {
	s, ok := schema.(map[string]any)
	if !ok || depth > maxDepth {
		return schema, schema != true
	}
	if referred := d.referred(s); referred != nil {
		return d.rest(referred, value, alternative, depth+1)
	}
	object, isObject := value.(map[string]any)
	array, isArray := value.([]any)
	properties, _ := s["properties"].(map[string]any)
	part := map[string]any{}
	for keyword, v := range s {
		switch keyword {
		case "$schema", "$id", "$comment", "title", "description", "default", "examples", "visibility", "deepVisibility", "deprecated",
			"definitions", "then", "else":
			continue
		case "type":
			if slices.ContainsFunc(strs(v), func(t string) bool { return isType(value, t) }) {
				continue
			}
		case "properties":
			if properties != nil { // see below
				continue
			}
		case "required":
			if names := strs(v); !isObject && names != nil || !slices.ContainsFunc(names, func(n string) bool { return !has(object, n) }) {
				continue
			}
		case "additionalProperties":
			if v == true || v == false && !alternative && properties != nil || !isObject {
				continue
			}
		case "items":
			if _, single := v.(map[string]any); single && (!isArray || !slices.ContainsFunc(array, func(element any) bool {
				_, needed := d.rest(v, element, alternative, depth+1)
				return needed
			})) {
				continue
			}
		case "anyOf":
			forms, _ := v.([]any)
			if slices.ContainsFunc(forms, func(form any) bool { _, needed := d.rest(form, value, true, depth+1); return !needed }) {
				continue
			}
		}
		part[keyword] = v
	}
	if _, conditional := s["if"]; conditional {
		for _, keyword := range []string{"then", "else"} {
			if v, there := s[keyword]; there {
				part[keyword] = v
			}
		}
	}
	if properties == nil {
		return part, len(part) > 0
	}
	others := slices.ContainsFunc(slices.Collect(maps.Keys(object)), func(name string) bool { return !has(properties, name) })
	if !others {
		delete(part, "additionalProperties")
	}
	_, others = part["additionalProperties"]
	kept := map[string]any{}
	for name, p := range properties {
		v, there := object[name]
		if !there {
			continue
		}
		if p, needed := d.rest(p, v, alternative, depth+1); needed {
			kept[name] = p
		} else if others {
			// It isn't another key.
			kept[name] = true
		}
	}
	if len(kept) > 0 {
		part["properties"] = kept
	}
	return part, len(part) > 0
}

func has(object map[string]any, name string) bool { _, ok := object[name]; return ok }
