package catalogmodel

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Config says what a [Registry] knows beyond what every registry does. The zero Config adds nothing.
type Config struct {
	// Kinds are kinds of one's own, such as those made by [NewKind]. A definition for a kind, version and spec.type that is
	// built in takes its place.
	Kinds []KindDefinition

	// Formats replaces rules for the fields that all entities have.
	Formats Formats

	// RootFields are fields that an entity may have at its root beside apiVersion, kind, metadata and spec. Of these,
	// "relations" and "status" have formats of their own, which the catalog gives them; others may be anything.
	RootFields []string
}

// Registry knows kinds of entities: what is valid, and how entities relate. It never changes, and is safe for concurrent use.
type Registry struct {
	kinds      map[kindKey]*compiledKind
	names      map[string][]string // the versions of each kind
	any        *compiledSchema     // what holds for entities of unknown kinds
	envelope   *compiledSchema     // what it takes to have a ref
	formats    Formats
	rootFields []string
}

type kindKey struct{ kind, apiVersion, specType string }

type compiledKind struct {
	definition Definition
	schema     *compiledSchema
	relations  []compiledRelation
}

// compiledRelation is a RelationField with its path split and its inverse filled in.
type compiledRelation struct {
	RelationField
	path []string
}

// Default returns the registry of the built-in kinds.
var Default = sync.OnceValue(func() *Registry {
	r, err := NewRegistry(Config{})
	if err != nil {
		panic(err) // a schema in this package is broken
	}
	return r
})

// NewRegistry compiles the built-in kinds and those of config. The error names each definition that is incomplete, declared
// twice, or has a schema that is not a JSON Schema. Compiling takes some milliseconds: make one registry, and keep it.
func NewRegistry(config Config) (*Registry, error) {
	r := &Registry{
		kinds:      map[kindKey]*compiledKind{},
		names:      map[string][]string{},
		formats:    config.Formats.or(DefaultFormats()),
		rootFields: append([]string{"apiVersion", "kind", "metadata", "spec"}, config.RootFields...),
	}
	c, err := newSchemaCompiler(config.RootFields)
	if err != nil {
		return nil, err
	}
	if r.any, err = c.compile("Entity"); err != nil {
		return nil, err
	}
	if r.envelope, err = c.compile("EntityEnvelope"); err != nil {
		return nil, err
	}
	var failures []error
	own := map[kindKey]bool{}
	for i, kind := range slices.Concat(builtinKinds(), config.Kinds) {
		d := kind.Definition()
		compiled, err := c.compileKind(d, i)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		for _, version := range d.APIVersions {
			key := kindKey{d.Kind, version, d.SpecType}
			if own[key] {
				failures = append(failures, fmt.Errorf("catalogmodel: %s is declared twice", describe(d)))
				continue
			}
			own[key] = i >= len(builtinKinds())
			r.kinds[key] = compiled
			if !slices.Contains(r.names[d.Kind], version) {
				r.names[d.Kind] = append(r.names[d.Kind], version)
			}
		}
	}
	if len(failures) > 0 {
		return nil, errors.Join(failures...)
	}
	return r, nil
}

func describe(d Definition) string {
	s := fmt.Sprintf("kind %q (%s)", d.Kind, strings.Join(d.APIVersions, ", "))
	if d.SpecType != "" {
		s += fmt.Sprintf(" with spec.type %q", d.SpecType)
	}
	return s
}

// Lookup returns the definition that e follows, if its kind is known in its version.
func (r *Registry) Lookup(e Entity) (Definition, bool) {
	k := r.lookup(e)
	if k == nil {
		return Definition{}, false
	}
	return k.definition, true
}

func (r *Registry) lookup(e Entity) *compiledKind {
	key := kindKey{e.Kind(), e.APIVersion(), e.Type()}
	if k := r.kinds[key]; k != nil {
		return k
	}
	key.specType = ""
	return r.kinds[key]
}

// Kinds returns the definitions in the order of kind and spec.type, with the inverses of all relations that have one.
func (r *Registry) Kinds() []Definition {
	seen := map[*compiledKind]bool{}
	var out []Definition
	for _, k := range r.kinds {
		if !seen[k] {
			seen[k] = true
			out = append(out, k.definition)
		}
	}
	slices.SortFunc(out, func(a, b Definition) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.SpecType, b.SpecType), slices.Compare(a.APIVersions, b.APIVersions))
	})
	return out
}

// schemaCompiler compiles schemas that may refer to each other by the names that Backstage gives them.
type schemaCompiler struct {
	compiler *jsonschema.Compiler
	planner  planner
}

// schemaBase is where the schemas lie for references between them. Nothing is ever read from there.
const schemaBase = "https://backstage.io/schemas/"

func newSchemaCompiler(rootFields []string) (*schemaCompiler, error) {
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	c.LoadURL = func(url string) (io.ReadCloser, error) {
		return nil, fmt.Errorf("there is no schema %q to refer to", strings.TrimPrefix(url, schemaBase))
	}
	s := &schemaCompiler{compiler: c, planner: planner{
		plans: map[*jsonschema.Schema]*plan{}, locations: map[string]*jsonschema.Schema{},
	}}
	entity, err := ParseValue([]byte(schemaFile("entity")))
	if err != nil {
		return nil, err
	}
	for _, field := range rootFields {
		if !entity.Get("properties", field).Exists() {
			entity = entity.With(Value{emptyObject}, "properties", field)
		}
	}
	for name, text := range map[string]string{
		"Entity": entity.String(), "EntityEnvelope": schemaFile("envelope"), "EntityMeta": schemaFile("entity-meta"), "common": schemaFile("common"),
	} {
		if err := c.AddResource(schemaBase+name, strings.NewReader(text)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (c *schemaCompiler) compileKind(d Definition, number int) (*compiledKind, error) {
	if d.Kind == "" || len(d.APIVersions) == 0 {
		return nil, fmt.Errorf("catalogmodel: %s: a definition needs a Kind and at least one of APIVersions", describe(d))
	}
	d.Relations = slices.Clone(d.Relations)
	k := &compiledKind{}
	for i, field := range d.Relations {
		if field.Path == "" || field.Type == "" {
			return nil, fmt.Errorf("catalogmodel: %s: a relation field needs a Path and a Type, but is %+v", describe(d), field)
		}
		field.Inverse = cmp.Or(field.Inverse, inverse(field.Type))
		d.Relations[i] = field
		k.relations = append(k.relations, compiledRelation{field, strings.Split(field.Path, ".")})
	}
	k.definition = d
	name := fmt.Sprintf("kind-%d", number)
	schema := cmp.Or(d.Schema, "true")
	if err := c.compiler.AddResource(schemaBase+name, strings.NewReader(schema)); err != nil {
		return nil, fmt.Errorf("catalogmodel: %s: the schema is not JSON: %w", describe(d), err)
	}
	both := fmt.Sprintf(`{"allOf":[{"$ref":"Entity"},{"$ref":%q}]}`, name)
	if err := c.compiler.AddResource(schemaBase+"entity-of-"+name, strings.NewReader(both)); err != nil {
		return nil, err
	}
	var err error
	if k.schema, err = c.compile("entity-of-" + name); err != nil {
		return nil, fmt.Errorf("catalogmodel: %s: the schema is not valid: %w", describe(d), err)
	}
	return k, nil
}

func (c *schemaCompiler) compile(name string) (*compiledSchema, error) {
	schema, err := c.compiler.Compile(schemaBase + name)
	if err != nil {
		return nil, err
	}
	return &compiledSchema{schema: schema, plan: c.planner.plan(schema), locations: c.planner.locations}, nil
}
