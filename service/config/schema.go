package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v5"

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
// that at the top level, and where no schema declares any keys.
func (s *Store) Validate(schemas service.ConfigSchemas) error {
	compiled, err := compile(schemas)
	if err != nil {
		return err
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next := *s.current.Load()
	if next.checked, err = compiled.check(&next); err != nil {
		return err
	}
	s.schemas = compiled
	s.current.Store(&next)
	return nil
}

// schemaSet are compiled schemas.
type schemaSet struct {
	documents []document
	// closed are the schemas that forbid other keys. The check of unknown keys does that, since it knows all schemas.
	closed map[*jsonschema.Schema]bool
}

type document struct {
	feature string
	raw     any
	schema  *jsonschema.Schema
}

func compile(schemas service.ConfigSchemas) (*schemaSet, error) {
	set := &schemaSet{closed: map[*jsonschema.Schema]bool{}}
	var failures []error
	for _, source := range schemas {
		d, err := compileOne(source)
		if err != nil {
			failures = append(failures, fmt.Errorf("the configuration schema of %s is not valid: %w", source.Feature, err))
			continue
		}
		set.open(d.schema)
		set.documents = append(set.documents, d)
	}
	return set, errors.Join(failures...)
}

func compileOne(source service.ConfigSchemaSource) (document, error) {
	d := document{feature: source.Feature}
	if err := json.Unmarshal(source.Schema, &d.raw); err != nil {
		return d, err
	}
	const url = "schema:///document"
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	c.LoadURL = func(url string) (io.ReadCloser, error) {
		return nil, fmt.Errorf("a schema can't refer to others, as this one does to %s", url)
	}
	c.RegisterExtension(extension, nil, annotationCompiler{})
	err := c.AddResource(url, bytes.NewReader(source.Schema))
	if err == nil {
		d.schema, err = c.Compile(url)
	}
	return d, err
}

// open moves the prohibition of other keys from the schemas of objects that other features may complement to the set.
func (set *schemaSet) open(s *jsonschema.Schema) {
	if s.AdditionalProperties == false && len(s.Properties) > 0 {
		s.AdditionalProperties = nil
		set.closed[s] = true
	}
	for _, p := range s.Properties {
		set.open(p)
	}
	for _, p := range s.PatternProperties {
		set.open(p)
	}
	for _, inner := range s.AllOf {
		set.open(inner)
	}
	for _, inner := range []any{s.AdditionalProperties, s.Items} {
		if inner, ok := inner.(*jsonschema.Schema); ok {
			set.open(inner)
		}
	}
}

// extension are the keywords of Backstage that say something about a value without constraining it.
const extension = "backstage"

type annotation struct{ visibility, deepVisibility, deprecated string }

func (annotation) Validate(jsonschema.ValidationContext, any) error { return nil }

type annotationCompiler struct{}

func (annotationCompiler) Compile(_ jsonschema.CompilerContext, m map[string]any) (jsonschema.ExtSchema, error) {
	var a annotation
	for keyword, to := range map[string]*string{"visibility": &a.visibility, "deepVisibility": &a.deepVisibility} {
		value, there := m[keyword]
		if !there {
			continue
		}
		if *to, _ = value.(string); !slices.Contains(visibilities, *to) {
			return nil, fmt.Errorf("%s must be frontend, backend or secret", keyword)
		}
	}
	a.deprecated, _ = m["deprecated"].(string)
	if a == (annotation{}) {
		return nil, nil
	}
	return a, nil
}

// checked is what schemas say about a configuration.
type checked struct {
	warnings []Problem
	// secret are the scalars that are secret, visible those that are for the frontend, by pointer.
	secret, visible map[string]bool
	secrets         []string
}

type checker struct {
	*snapshot
	*schemaSet
	*checked
	problems []Problem
}

func (set *schemaSet) check(snap *snapshot) (*checked, error) {
	c := &checker{schemaSet: set, checked: &checked{secret: map[string]bool{}, visible: map[string]bool{}}}
	view := *snap
	view.checked = c.checked
	c.snapshot = &view
	roots := make([]*jsonschema.Schema, len(set.documents))
	for i, d := range set.documents {
		roots[i] = d.schema
	}
	values := c.walk(snap.values, "", roots, "")
	slices.Sort(c.secrets)
	c.secrets = slices.Compact(c.secrets)
	for _, d := range set.documents {
		var invalid *jsonschema.ValidationError
		if err := d.schema.Validate(values); errors.As(err, &invalid) {
			(&translator{checker: c, document: d, values: values}).translate(invalid)
		} else if err != nil {
			return nil, fmt.Errorf("the configuration schema of %s: %w", d.feature, err)
		}
	}
	if err := joined(c.problems); err != nil {
		return nil, err
	}
	return c.checked, nil
}

// walk looks at what the schemas say about value besides constraints. It returns the value in the types that they want.
func (c *checker) walk(value any, pointer string, schemas []*jsonschema.Schema, inherited string) any {
	if len(schemas) == 0 && inherited == "" {
		return value
	}
	schemas = applicable(schemas)
	own, deep := inherited, inherited
	for _, s := range schemas {
		a, _ := s.Extensions[extension].(annotation)
		if a.deprecated != "" {
			c.checked.warnings = append(c.checked.warnings, c.where(pointer).problem(pointer, "is deprecated: %s", a.deprecated))
		}
		own = stronger(own, stronger(a.visibility, a.deepVisibility))
		deep = stronger(deep, a.deepVisibility)
	}
	switch value := value.(type) {
	case map[string]any:
		c.unknown(value, pointer, schemas)
		object := make(map[string]any, len(value))
		for name, v := range value {
			object[name] = c.walk(v, child(pointer, name), properties(schemas, name), deep)
		}
		return object
	case []any:
		array := make([]any, len(value))
		for i, v := range value {
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
	switch own {
	case "secret":
		c.secret[pointer] = true
		if text, ok := value.(string); ok && text != "" {
			c.secrets = append(c.secrets, text)
		}
	case "frontend":
		c.visible[pointer] = true
	}
	return value
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
func applicable(schemas []*jsonschema.Schema) []*jsonschema.Schema {
	all := make([]*jsonschema.Schema, 0, len(schemas))
	var add func(s *jsonschema.Schema)
	add = func(s *jsonschema.Schema) {
		if s == nil || slices.Contains(all, s) {
			return
		}
		all = append(all, s)
		add(s.Ref)
		add(s.Then)
		add(s.Else)
		for _, group := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf} {
			for _, inner := range group {
				add(inner)
			}
		}
	}
	for _, s := range schemas {
		add(s)
	}
	return all
}

// properties are the schemas of the value of a key.
func properties(schemas []*jsonschema.Schema, name string) []*jsonschema.Schema {
	var found []*jsonschema.Schema
	for _, s := range schemas {
		known := false
		if p := s.Properties[name]; p != nil {
			found, known = append(found, p), true
		}
		for pattern, p := range s.PatternProperties {
			if pattern.MatchString(name) {
				found, known = append(found, p), true
			}
		}
		if p, ok := s.AdditionalProperties.(*jsonschema.Schema); ok && !known {
			found = append(found, p)
		}
	}
	return found
}

// items are the schemas of an element of an array.
func items(schemas []*jsonschema.Schema, i int) []*jsonschema.Schema {
	var found []*jsonschema.Schema
	for _, s := range schemas {
		switch of := s.Items.(type) {
		case *jsonschema.Schema:
			found = append(found, of)
		case []*jsonschema.Schema:
			if i < len(of) {
				found = append(found, of[i])
			} else if rest, ok := s.AdditionalItems.(*jsonschema.Schema); ok {
				found = append(found, rest)
			}
		}
	}
	return found
}

// coerce is the value in a type that the schemas want, if it can be one.
func (c *checker) coerce(value any, pointer string, schemas []*jsonschema.Schema) any {
	var wanted []string
	for _, s := range schemas {
		wanted = append(wanted, s.Types...)
	}
	if len(wanted) == 0 || slices.Contains(wanted, typeOf(value)) {
		return value
	}
	switch value := value.(type) {
	case string:
		if slices.Contains(wanted, "number") || slices.Contains(wanted, "integer") {
			if i, err := strconv.ParseInt(value, 10, 64); err == nil {
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
		if slices.Contains(wanted, "number") {
			return value
		}
		if b, ok := boolean(value); ok && slices.Contains(wanted, "boolean") {
			return b
		}
		if slices.Contains(wanted, "string") {
			return c.written(value, pointer)
		}
	}
	return value
}

// typeOf is the type of a value in JSON Schema.
func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case int64:
		return "integer"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// unknown looks for keys that no schema declares.
func (c *checker) unknown(object map[string]any, pointer string, schemas []*jsonschema.Schema) {
	known := map[string]bool{}
	var patterns []*regexp.Regexp
	open, closed := false, false
	for _, s := range schemas {
		for name := range s.Properties {
			known[name] = true
		}
		for pattern := range s.PatternProperties {
			patterns = append(patterns, pattern)
		}
		switch others := s.AdditionalProperties.(type) {
		case bool:
			open = open || others
		case *jsonschema.Schema:
			open = true
		}
		closed = closed || c.closed[s]
	}
	if len(known) == 0 || open {
		return
	}
	var missing []string
	for name := range known {
		if object[name] == nil {
			missing = append(missing, name)
		}
	}
	for name := range object {
		if known[name] || slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) }) {
			continue
		}
		at := child(pointer, name)
		p := c.where(at).problem(at, "is not a known key")
		if p.Suggestion = nearest(name, missing); p.Suggestion != "" || closed {
			c.problems = append(c.problems, p)
		} else if pointer != "" {
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
