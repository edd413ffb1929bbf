package catalogmodel

import (
	"bufio"
	"compress/gzip"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// TestPlanAgrees checks on the vectors of the differential test that plans prove exactly what the schema library accepts.
func TestPlanAgrees(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/differential/entities.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<20)
	registry := Default()
	for lines.Scan() {
		row, err := ParseValue(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		e, err := EntityOf(row.Get("entity"))
		if err != nil {
			t.Fatal(err)
		}
		schema := registry.any
		if kind := registry.lookup(e); kind != nil {
			schema = kind.schema
		}
		accepted := schema.schema.Validate(schemaValue(e.root)) == nil
		if proved := schema.plan.proves(e.root); proved != accepted {
			t.Errorf("%s: proved %t, accepted %t", e, proved, accepted)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// FuzzPlan checks that a plan never proves what the schema library refuses, whatever the schema.
func FuzzPlan(f *testing.F) {
	for _, kind := range builtinKinds() {
		f.Add(kind.Definition().Schema, `{"spec":{"type":"x","owner":"y"}}`)
	}
	for _, seed := range [][2]string{
		{`{"allOf":[{"$ref":"#"}]}`, `1`},
		{`{"anyOf":[{"$ref":"#/definitions/a"}],"definitions":{"a":{"oneOf":[{"$ref":"#/definitions/b"}]},"b":{"allOf":[{"$ref":"#"}]}}}`, `1`},
		{`{"properties":{"a":{"$ref":"#"}}}`, `{"a":{"a":1}}`},
		{`{"type":["integer","null"],"minimum":3}`, `2.0`},
		{`{"enum":["a",1,null]}`, `"a"`},
		{`{"const":"a","enum":["b"]}`, `"a"`},
		{`{"oneOf":[{"type":"string"},{"minLength":2}]}`, `"abc"`},
		{`{"anyOf":[{"required":["a"]},{"not":{}}]}`, `{"a":1}`},
		{`{"patternProperties":{"^.+$":{"type":"string"},"b$":false},"additionalProperties":{"type":"null"}}`, `{"b":"x","":null}`},
		{`{"items":[{"type":"string"}],"additionalItems":false}`, `["a"]`},
		{`{"if":{"type":"string"},"then":{"maxLength":1},"else":false}`, `"ab"`},
		{`{"minLength":2,"maxLength":2,"pattern":"^é"}`, `"éé"`},
		{`{"uniqueItems":true,"minItems":1,"maxItems":2}`, `[1,1]`},
		{`{"format":"date","propertyNames":{"maxLength":1},"minProperties":1}`, `{"ab":1}`},
		{`true`, `1`}, {`false`, `1`},
		{`{"$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{"type":"string"}],"items":{"type":"null"}}`, `["a",null]`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, schemaText, valueText string) {
		v, err := ParseValue([]byte(valueText))
		if err != nil {
			return
		}
		c, err := newSchemaCompiler(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.compiler.AddResource(schemaBase+"fuzz", strings.NewReader(schemaText)); err != nil {
			return
		}
		schema, err := c.compile("fuzz")
		if err != nil {
			return
		}
		if err := schema.schema.Validate(schemaValue(v)); err != nil && schema.plan.proves(v) {
			t.Fatalf("%s: %s: %v", schemaText, valueText, err)
		} else if invalid := new(jsonschema.ValidationError); err != nil && errors.As(err, &invalid) && len(schema.check(v)) == 0 {
			t.Fatalf("%s: %s: no report on %#v", schemaText, valueText, invalid)
		}
	})
}
