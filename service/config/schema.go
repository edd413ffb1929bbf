package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/service"
)

// visibilities are who may see a value, from Backstage.
var visibilities = []string{"frontend", "backend", "secret"}

// Validate checks the configuration against JSON Schemas, which also hold for all later reloads. Strings are taken for numbers and
// booleans, and numbers for strings, where the schemas want that, since references give strings. The error is an [*Error] with
// everything that is wrong.
//
// Schemas of several features complement each other: what one declares below an object is known to all. A key that no schema declares
// is an error where a schema forbids other keys (additionalProperties: false) and none allows them, or if it looks like a misspelling of
// a declared key that isn't there. Otherwise it is a warning, since configuration files are shared with other programs; and not even
// that at the top level, in the section app, which is the frontend's, and where no schema declares any keys.
func (s *Store) Validate(schemas service.ConfigSchemas) error {
	documents, err := parse(schemas)
	if err != nil {
		return err
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next := *s.current.Load()
	if next.checked, err = check(documents, &next); err != nil {
		return err
	}
	s.schemas = documents
	s.current.Store(&next)
	return nil
}

// document is the schema of a feature.
type document struct {
	feature string
	raw     any
}

func (d document) invalid(err error) error {
	return fmt.Errorf("the configuration schema of %s is not valid: %w", d.feature, err)
}

func parse(schemas service.ConfigSchemas) ([]document, error) {
	var documents []document
	var failures []error
	for _, source := range schemas {
		d := document{feature: source.Feature}
		if err := json.Unmarshal(source.Schema, &d.raw); err != nil {
			failures = append(failures, d.invalid(err))
		}
		documents = append(documents, d)
	}
	return documents, errors.Join(failures...)
}

// part is a schema within a document.
type part struct {
	document *document
	schema   map[string]any
	// alternative is set for one of several forms, of which a value may have another.
	alternative bool
}

// then is a part further down, if there is a schema.
func (p part) then(schema any) []part {
	if m, ok := schema.(map[string]any); ok {
		return []part{{document: p.document, schema: m, alternative: p.alternative}}
	}
	return nil
}

// referred is what a $ref stands for, or nil.
func (d *document) referred(schema map[string]any) any {
	ref, _ := schema["$ref"].(string)
	if pointer, ok := strings.CutPrefix(ref, "#"); ok {
		return at(d.raw, location(pointer))
	}
	return nil
}

// checked is what schemas say about a configuration.
type checked struct {
	warnings []Problem
	// secret are the scalars that are secret, visible the values that are for the frontend, by pointer.
	secret, visible map[string]bool
	secrets         []string
}

type checker struct {
	*snapshot
	*checked
	patterns map[string]*regexp.Regexp
	problems []Problem
	// failures are mistakes of the schemas.
	failures []error
}

// check applies the schemas to a configuration.
func check(documents []document, snap *snapshot) (*checked, error) {
	c := &checker{checked: &checked{secret: map[string]bool{}, visible: map[string]bool{}}, patterns: map[string]*regexp.Regexp{}}
	view := *snap
	view.checked = c.checked
	c.snapshot = &view
	var roots []part
	for i := range documents {
		roots = append(roots, part{document: &documents[i]}.then(documents[i].raw)...)
	}
	values := c.walk(snap.values, "", roots, "")
	slices.Sort(c.secrets)
	c.secrets = slices.Compact(c.secrets)
	for i := range documents {
		if err := c.validate(&documents[i], values); err != nil {
			c.failures = append(c.failures, documents[i].invalid(err))
		}
	}
	if err := errors.Join(c.failures...); err != nil {
		return nil, err
	}
	if err := joined(c.problems); err != nil {
		return nil, err
	}
	return c.checked, nil
}

// walk looks at what the schemas say about value besides constraints. It returns the value in the types that they want.
func (c *checker) walk(value any, pointer string, schemas []part, inherited string) any {
	if len(schemas) == 0 && inherited == "" {
		return value
	}
	schemas = applicable(schemas)
	own, deep := inherited, inherited
	for _, p := range schemas {
		if text, ok := p.schema["deprecated"].(string); ok {
			c.checked.warnings = append(c.checked.warnings, c.where(pointer).problem(pointer, "is deprecated: %s", text))
		}
		ownHere, deepHere := c.visibility(p, "visibility"), c.visibility(p, "deepVisibility")
		own = stronger(own, stronger(ownHere, deepHere))
		deep = stronger(deep, deepHere)
	}
	if own == "frontend" {
		c.visible[pointer] = true
	}
	switch value := value.(type) {
	case map[string]any:
		c.unknown(value, pointer, schemas)
		object := make(map[string]any, len(value))
		for name, v := range value {
			object[name] = c.walk(v, child(pointer, name), c.properties(schemas, name), deep)
		}
		return object
	case []any:
		array := make([]any, len(value))
		for i, v := range value {
			// Elements that are no objects are as visible as their array.
			visibility := own
			switch v.(type) {
			case map[string]any, []any:
				visibility = deep
			}
			array[i] = c.walk(v, item(pointer, i), items(schemas, i), visibility)
		}
		return array
	}
	value = c.coerce(value, pointer, schemas)
	if own == "secret" {
		c.secret[pointer] = true
		if text, ok := value.(string); ok && text != "" {
			c.secrets = append(c.secrets, text)
		}
	}
	return value
}

func (c *checker) visibility(p part, keyword string) string {
	value, there := p.schema[keyword]
	if !there {
		return ""
	}
	text, _ := value.(string)
	if !slices.Contains(visibilities, text) {
		c.failures = append(c.failures, p.document.invalid(fmt.Errorf("%s must be one of %s, not %v", keyword,
			strings.Join(visibilities, ", "), value)))
	}
	return text
}

// stronger is the visibility of what has two: a secret stays one.
func stronger(a, b string) string {
	for _, v := range []string{"secret", "frontend"} {
		if a == v || b == v {
			return v
		}
	}
	return ""
}

// applicable are the schemas that may hold for a value because those given do.
func applicable(schemas []part) []part {
	all := make([]part, 0, len(schemas))
	var add func(p part)
	add = func(p part) {
		if len(all) > maxDepth { // A schema that refers to itself in a circle; the library will tell.
			return
		}
		all = append(all, p)
		for _, next := range p.then(p.document.referred(p.schema)) {
			add(next)
		}
		for _, keyword := range []string{"allOf", "anyOf", "oneOf", "then", "else"} {
			v, there := p.schema[keyword]
			if !there {
				continue
			}
			inner, isList := v.([]any)
			if !isList {
				inner = []any{v}
			}
			for _, schema := range inner {
				for _, next := range p.then(schema) {
					next.alternative = p.alternative || keyword != "allOf"
					add(next)
				}
			}
		}
	}
	for _, p := range schemas {
		add(p)
	}
	return all
}

// properties are the schemas of the value of a key.
func (c *checker) properties(schemas []part, name string) []part {
	var found []part
	for _, p := range schemas {
		known := false
		properties, _ := p.schema["properties"].(map[string]any)
		if schema, ok := properties[name]; ok {
			known = true
			found = append(found, p.then(schema)...)
		}
		patterns, _ := p.schema["patternProperties"].(map[string]any)
		for pattern, schema := range patterns {
			if c.matches(pattern, name) {
				known = true
				found = append(found, p.then(schema)...)
			}
		}
		if !known {
			found = append(found, p.then(p.schema["additionalProperties"])...)
		}
	}
	return found
}

func (c *checker) matches(pattern, name string) bool {
	compiled, ok := c.patterns[pattern]
	if !ok {
		// A wrong pattern is told by the library.
		compiled, _ = regexp.Compile(pattern)
		c.patterns[pattern] = compiled
	}
	return compiled != nil && compiled.MatchString(name)
}

// items are the schemas of an element of an array.
func items(schemas []part, i int) []part {
	var found []part
	for _, p := range schemas {
		switch of := p.schema["items"].(type) {
		case map[string]any:
			found = append(found, p.then(of)...)
		case []any:
			if i < len(of) {
				found = append(found, p.then(of[i])...)
			} else {
				found = append(found, p.then(p.schema["additionalItems"])...)
			}
		}
	}
	return found
}

// coerce is the value in a type that the schemas want, if it can be one.
func (c *checker) coerce(value any, pointer string, schemas []part) any {
	var wanted []string
	for _, p := range schemas {
		wanted = append(wanted, strs(p.schema["type"])...)
	}
	if len(wanted) == 0 || slices.ContainsFunc(wanted, func(t string) bool { return isType(value, t) }) {
		return value
	}
	switch value := value.(type) {
	case string:
		if slices.Contains(wanted, "number") || slices.Contains(wanted, "integer") {
			if i, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
				return i
			}
			if n, ok := number(value); ok {
				return n
			}
		}
		if b, ok := boolean(value); ok && slices.Contains(wanted, "boolean") {
			return b
		}
	case int64, float64:
		if b, ok := boolean(value); ok && slices.Contains(wanted, "boolean") {
			return b
		}
		if slices.Contains(wanted, "string") {
			return c.written(value, pointer)
		}
	}
	return value
}

// isType tells whether a value has a type of JSON Schema.
func isType(value any, t string) bool {
	switch value := value.(type) {
	case nil:
		return t == "null"
	case bool:
		return t == "boolean"
	case int64:
		return t == "integer" || t == "number"
	case float64:
		return t == "number" || t == "integer" && value == float64(int64(value))
	case string:
		return t == "string"
	case []any:
		return t == "array"
	case map[string]any:
		return t == "object"
	}
	return false
}

// unknown looks for keys that no schema declares.
func (c *checker) unknown(object map[string]any, pointer string, schemas []part) {
	known := map[string]bool{}
	var patterns []string
	open, closed := false, false
	for _, p := range schemas {
		properties, _ := p.schema["properties"].(map[string]any)
		for name := range properties {
			known[name] = true
		}
		more, _ := p.schema["patternProperties"].(map[string]any)
		patterns = slices.AppendSeq(patterns, maps.Keys(more))
		switch others := p.schema["additionalProperties"].(type) {
		case bool:
			open = open || others
			closed = closed || !others && !p.alternative
		case map[string]any:
			open = true
		}
	}
	if len(known) == 0 || open {
		return
	}
	var free []string
	for name := range known {
		if object[name] == nil {
			free = append(free, name)
		}
	}
	for name := range object {
		if known[name] || slices.ContainsFunc(patterns, func(p string) bool { return c.matches(p, name) }) {
			continue
		}
		at := child(pointer, name)
		p := c.where(at).problem(at, "is not a known key")
		if p.Suggestion = Nearest(name, free); p.Suggestion != "" || closed {
			c.problems = append(c.problems, p)
		} else if pointer != "" && segments(pointer)[0] != "app" {
			c.checked.warnings = append(c.checked.warnings, p)
		}
	}
}

// Secrets are the texts that schemas declare as secret, for keeping them out of logs. There are none before Validate.
func (s *Store) Secrets() []string {
	if c := s.current.Load().checked; c != nil {
		return slices.Clone(c.secrets)
	}
	return nil
}
