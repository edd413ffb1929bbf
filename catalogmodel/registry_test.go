package catalogmodel_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
)

const validComponent = `{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"x"},"spec":{"type":"t","lifecycle":"l","owner":"o"}}`

func violations(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	invalid := new(catalogmodel.ValidationError)
	if !errors.As(err, &invalid) {
		t.Fatalf("%T: %v", err, err)
	}
	var out []string
	for _, v := range invalid.Violations {
		out = append(out, v.Rule+" "+v.String())
	}
	return out
}

func TestValidateSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		entity string
		want   []string
	}{
		"valid":                    {validComponent, nil},
		"empty":                    {`{}`, []string{"required apiVersion is required, and must be a string", "required kind is required, and must be a string", "required metadata is required"}},
		"kind in another spelling": {strings.Replace(validComponent, "Component", "component", 1), []string{`unknownKind kind must be spelt "Component", not "component"`}},
		"version":                  {strings.Replace(validComponent, "v1alpha1", "v2", 1), []string{`unknownKind apiVersion must be one of "backstage.io/v1alpha1", "backstage.io/v1beta1" for a Component, not "backstage.io/v2"`}},
		"several at once": {`{"apiVersion":"backstage.io/v1alpha1","kind":"Location","metadata":{"name":"x","labels":{"a b":"c d"}},"spec":{"targets":["a",""],"presence":"maybe"},"extra/x":1}`, []string{
			`unknownField ["extra/x"] is not allowed: the fields of an entity are apiVersion, kind, metadata, spec`,
			`keyFormat metadata.labels["a b"] is not a valid key: it must be a name (letters, digits, and - _ . between them, at most 63 characters), perhaps with a DNS name and a slash before it, as in example.com/name`,
			`format metadata.labels["a b"] must be empty, or letters, digits, and - _ . between them, at most 63 characters; it is "c d"`,
			`enum spec.presence must be one of "required", "optional", not "maybe"`,
			`minLength spec.targets[1] must not be empty`,
		}},
		"alternatives": {`{"apiVersion":"scaffolder.backstage.io/v1beta3","kind":"Template","metadata":{"name":"x"},"spec":{"type":"t","steps":[],"parameters":5}}`, []string{
			"oneOf spec.parameters must be an array, not a number, or must be an object, not a number",
		}},
		"the nearest alternative": {`{"apiVersion":"scaffolder.backstage.io/v1beta3","kind":"Template","metadata":{"name":"x"},"spec":{"type":"t","steps":[],"parameters":[1]}}`, []string{
			"type spec.parameters[0] must be an object, not a number",
		}},
		"bounds": {`{"apiVersion":"backstage.io/v1alpha1","kind":"API","metadata":{"name":"x"},"spec":{"type":"mcp-server","lifecycle":"l","owner":"o","remotes":[]}}`, []string{
			"minItems spec.remotes must have at least 1 elements, not 0",
		}},
		"closed objects": {`{"apiVersion":"backstage.io/v1alpha1","kind":"Location","metadata":{"name":"x"},"spec":{},"relations":[{"type":"a-b","targetRef":"x","to":1}]}`, []string{
			"unknownField relations is not allowed: the fields of an entity are apiVersion, kind, metadata, spec",
			"additionalProperties relations[0].to is not allowed here, where only these fields are: target, targetRef, type",
			`pattern relations[0].type must match ^\w+$, which "a-b" does not`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := violations(t, catalogmodel.Default().Validate(parse(t, c.entity)))
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestUnknownKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"apiVersion":"v1","kind":"Foreign","metadata":{"name":"x"}}`:   true,
		`{"apiVersion":"v1","kind":"Foreign","metadata":{"name":"x y"}}`: false,
		`{"apiVersion":"v1","kind":"Component","metadata":{"name":"x"}}`: true,
	} {
		invalid := new(catalogmodel.ValidationError)
		if err := catalogmodel.Default().Validate(parse(t, text)); !errors.As(err, &invalid) || invalid.UnknownKind() != want {
			t.Errorf("%s: %v, want %t", text, err, want)
		}
	}
}

func TestRegistryConfig(t *testing.T) {
	t.Parallel()
	// The full form in which Backstage's own schemas are written.
	full := catalogmodel.Definition{Kind: "Service", APIVersions: []string{"acme.example/v1", "acme.example/v2"}, Schema: `{
		"$schema": "http://json-schema.org/draft-07/schema", "$id": "ServiceV1",
		"allOf": [{"$ref": "Entity"}, {"type": "object", "required": ["spec"], "properties": {
			"kind": {"enum": ["Service"]}, "spec": {"type": "object", "required": ["port"], "properties": {
				"port": {"type": "integer", "minimum": 1, "maximum": 65535}, "relation": {"$ref": "common#relation"}}}}}]}`}
	special := full
	special.SpecType, special.Schema = "open", `{}`
	registry, err := catalogmodel.NewRegistry(catalogmodel.Config{
		Kinds: []catalogmodel.KindDefinition{full, special, catalogmodel.NewKind[any](catalogmodel.Definition{Kind: "Component", APIVersions: []string{"backstage.io/v1alpha1"}})},
		Formats: catalogmodel.Formats{
			Tag: catalogmodel.Format{Valid: func(s string) bool { return strings.HasPrefix(s, "t-") }, Allowed: "a text that begins with t-"},
		},
		RootFields: []string{"relations", "links"},
	})
	if err != nil {
		t.Fatal(err)
	}
	service := `{"apiVersion":"acme.example/v2","kind":"Service","metadata":{"name":"x"},"spec":`
	for text, want := range map[string][]string{
		service + `{"port":80}}`:                                         nil,
		service + `{"port":0.5}}`:                                        {"type spec.port must be an integer, not a number"},
		service + `{"port":1e999999999}}`:                                {"maximum spec.port is not valid: must be <= 65535 but found 8.98846567431158e+307"},
		service + `{"port":1,"relation":{}}}`:                            {"required spec.relation.targetRef is required, and must be a string", "required spec.relation.type is required, and must be a string"},
		service + `{"type":"open"}}`:                                     nil,
		strings.Replace(validComponent, `"spec"`, `"links":5,"spec"`, 1): nil,
		`{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"x","tags":["t-A","b"]}}`: {`format metadata.tags[1] must be a text that begins with t-; it is "b"`},
		`{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"x"},"relations":5}`:      {"type relations must be an array, not a number"},
	} {
		if got := violations(t, registry.Validate(parse(t, text))); !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", text, got, want)
		}
	}
	if d, ok := registry.Lookup(parse(t, service+`{"type":"open"}}`)); !ok || d.SpecType != "open" {
		t.Errorf("looked up %+v", d)
	}
	if kinds := catalogmodel.Default().Kinds(); len(kinds) != 15 {
		t.Errorf("%d kinds are built in", len(kinds))
	}
}

func TestNewRegistryReportsAllMistakes(t *testing.T) {
	t.Parallel()
	versions := []string{"v1"}
	_, err := catalogmodel.NewRegistry(catalogmodel.Config{Kinds: []catalogmodel.KindDefinition{
		catalogmodel.Definition{APIVersions: versions},
		catalogmodel.Definition{Kind: "A", APIVersions: versions, Schema: `{`},
		catalogmodel.Definition{Kind: "B", APIVersions: versions, Schema: `{"type":"thing"}`},
		catalogmodel.Definition{Kind: "C", APIVersions: versions, Schema: `{"$ref":"Nowhere"}`},
		catalogmodel.Definition{Kind: "D", APIVersions: versions, SpecType: "x"},
		catalogmodel.Definition{Kind: "D", APIVersions: versions, SpecType: "x"},
		catalogmodel.Definition{Kind: "E", APIVersions: versions, Relations: []catalogmodel.RelationField{{Path: "spec.x"}}},
	}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`kind "" (v1): a definition needs a Kind`, `kind "A" (v1): the schema is not JSON`, `kind "B" (v1): the schema is not valid`,
		`there is no schema "Nowhere" to refer to`, `kind "D" (v1) with spec.type "x" is declared twice`, `kind "E" (v1): a relation field needs a Path and a Type`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestRelationsReportsReferences(t *testing.T) {
	t.Parallel()
	relations, err := catalogmodel.Default().Relations(parse(t, strings.Replace(validComponent, `"owner":"o"`, `"owner":"o","dependsOn":["a","component:b","c:"]`, 1)))
	want := []string{
		`reference spec.dependsOn[0] must be a reference to an entity: Entity reference "a" had missing or empty kind (e.g. did not start with "component:" or similar)`,
		`reference spec.dependsOn[2] must be a reference to an entity: Entity reference "c:" was not on the form [<kind>:][<namespace>/]<name>`,
	}
	if got := violations(t, err); !slices.Equal(got, want) || len(relations) != 4 {
		t.Errorf("%v\n%q", relations, got)
	}
}

func TestWithSortedRelations(t *testing.T) {
	t.Parallel()
	e := parse(t, strings.Replace(validComponent, `"owner":"o"`, `"dependsOn":["b:x","a:x"],"other":["b","a"],"consumesApis":["b",1,"a"],"owner":"o"`, 1))
	want := strings.Replace(e.String(), `["b:x","a:x"]`, `["a:x","b:x"]`, 1)
	if got := catalogmodel.Default().WithSortedRelations(e).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	e, err := catalogmodel.MCPServer.New("x", catalogmodel.MCPServerSpec{Lifecycle: "l", Owner: "o", Remotes: []catalogmodel.MCPRemote{{Type: "sse", URL: "u"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := catalogmodel.Default().Validate(e); err != nil {
		t.Error(err)
	}
	if !catalogmodel.MCPServer.Is(e) || !catalogmodel.API.Is(e) || catalogmodel.Component.Is(e) || e.Type() != "mcp-server" {
		t.Errorf("%s is taken for another kind", e)
	}
	if _, err := catalogmodel.Component.Spec(e); err == nil || !strings.Contains(err.Error(), "is not a Component") {
		t.Error(err)
	}
	if _, err := catalogmodel.API.Spec(e.With(catalogmodel.Value{}, "spec", "owner").With(catalogmodel.StringValue("x"), "spec")); err == nil {
		t.Error("a spec that is a string was decoded")
	}
	for _, bad := range []func() (catalogmodel.Entity, error){
		func() (catalogmodel.Entity, error) {
			return catalogmodel.NewKind[func()](catalogmodel.Definition{}).New("x", nil)
		},
	} {
		if _, err := bad(); err == nil {
			t.Error("what has no JSON form became an entity")
		}
	}
}

// Hostile entities must not take memory or time out of proportion.
func TestViolationsAreBounded(t *testing.T) {
	t.Parallel()
	many := func(text string) string { return strings.TrimSuffix(strings.Repeat(text, 100_000), ",") }
	keys := new(strings.Builder)
	for i := range 100_000 {
		fmt.Fprintf(keys, `"~%d":1,`, i)
	}
	for name, c := range map[string]struct {
		text string
		more bool
	}{
		"tags":        {strings.Replace(validComponent, `"name"`, `"tags":[`+many("1,")+`],"name"`, 1), false},
		"tag formats": {strings.Replace(validComponent, `"name"`, `"tags":[`+many(`"A",`)+`],"name"`, 1), true},
		"links":       {strings.Replace(validComponent, `"name"`, `"links":[`+many(`{"url":"x"},`)+`],"name"`, 1), true},
		"labels":      {strings.Replace(validComponent, `"name"`, `"labels":{`+strings.TrimSuffix(keys.String(), ",")+`},"name"`, 1), true},
		"root fields": {strings.Replace(validComponent, `"kind"`, keys.String()+`"kind"`, 1), true},
		"few enough":  {strings.Replace(validComponent, `"name"`, `"tags":[`+many("1,")[:9999]+`],"name"`, 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			invalid := new(catalogmodel.ValidationError)
			if err := catalogmodel.Default().Validate(parse(t, c.text)); !errors.As(err, &invalid) {
				t.Fatal(err)
			}
			if n := len(invalid.Violations); n > 100 || invalid.More != c.more || invalid.More != strings.HasSuffix(invalid.Error(), "; and more") {
				t.Errorf("%d violations, more: %t", n, invalid.More)
			}
		})
	}
	_, err := catalogmodel.Default().Relations(parse(t, strings.Replace(validComponent, `"owner"`, `"dependsOn":[`+many(`"x",`)+`],"owner"`, 1)))
	invalid := new(catalogmodel.ValidationError)
	if !errors.As(err, &invalid) || len(invalid.Violations) != 100 || !invalid.More {
		t.Errorf("%.100v", err)
	}
}
