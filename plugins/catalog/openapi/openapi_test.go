package openapi_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/openapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

const api = "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: { name: pets }\nspec: { type: openapi, lifecycle: production, owner: team, definition: { KEY: ./api/openapi.yaml } }\n"

// define has a catalog read an API whose definition is in files, and answers the definition, or the error.
func define(t *testing.T, key string, files map[string]string) (definition, failure string) {
	t.Helper()
	dir := t.TempDir()
	files["catalog-info.yaml"] = strings.ReplaceAll(api, "KEY", key)
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return read(t, object{"type": "file", "target": filepath.Join(dir, "catalog-info.yaml")})
}

// read waits for the API from a location, or for the error of it.
func read(t *testing.T, location object, features ...backend.Feature) (definition, failure string) {
	t.Helper()
	b := backendtest.Start(t, append(features, catalog.Plugin(), openapi.Module(),
		backendtest.Config(object{"catalog": object{"locations": []any{location}}}))...)
	c := b.As(t, "user:default/guest")
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(20 * time.Second); ; {
		if res := c.Get("/api/catalog/entities/by-name/api/default/pets"); res.StatusCode == http.StatusOK {
			return backendtest.JSON[struct{ Spec struct{ Definition string } }](t, res).Spec.Definition, ""
		}
		for _, entry := range b.Log.Entries() {
			if text, _ := json.Marshal(entry.Fields); strings.Contains(string(text), "Placeholder $") {
				return "", string(text)
			}
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("neither the API nor an error came")
		}
	}
}

// same compares YAML.
func same(t *testing.T, got, want string) {
	t.Helper()
	decode := func(text string) string {
		var x any
		if err := yaml.Unmarshal([]byte(text), &x); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		out, err := json.MarshalIndent(x, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if g, w := decode(got), decode(want); g != w {
		t.Errorf("the definition is\n%s\nwant\n%s", g, w)
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing to do": {map[string]string{"api/openapi.yaml": "openapi: 3.1.0\na: {$ref: '#/b'}\nb: 007\nc: yes\n"},
			"openapi: 3.1.0\na: {$ref: '#/b'}\nb: 007\nc: yes\n"},
		"once, nearest to the root": {map[string]string{
			"api/openapi.yaml":       "paths: {/pets: {$ref: paths/pets.yaml}}\ncomponents: {schemas: {Pet: {$ref: './schemas.yaml#/Pet'}}}\n",
			"api/paths/pets.yaml":    "get: {schema: {$ref: '../schemas.yaml#/Pet'}, name: {$ref: '../schemas.yaml#/Pet/properties/name'}}\n",
			"api/schemas.yaml":       "Pet: {properties: {name: {$ref: '#/Name'}, owner: {$ref: 'more/owner.json'}}}\nName: {type: string}\n",
			"api/more/owner.json":    `{"type": "object", "home": {"$ref": "../openapi.yaml#/components"}}`,
			"api/more/elsewhere.txt": "not read",
		}, `
paths: {/pets: {get: {schema: {$ref: '#/components/schemas/Pet'}, name: {type: string}}}}
components: {schemas: {Pet: {properties: {name: {$ref: '#/paths/~1pets/get/name'}, owner: {type: object, home: {$ref: '#/components'}}}}}}`},
		"circles": {map[string]string{
			"api/openapi.yaml": "a: {$ref: node.yaml}\n",
			"api/node.yaml":    "next: {$ref: ./node.yaml}\nother: {$ref: other.yaml}\n",
			"api/other.yaml":   "back: {$ref: 'node.yaml#/other'}\nroot: {$ref: openapi.yaml}\n",
		}, "a: {next: {$ref: '#/a'}, other: {back: {$ref: '#/a/other'}, root: {$ref: '#'}}}"},
		"a part before the whole": {map[string]string{
			"api/openapi.yaml": "a: {$ref: 'x.yaml#/p/q'}\nb: {c: {$ref: x.yaml}}\n",
			"api/x.yaml":       "p: {q: {type: string}, r: 1}\n",
		}, "a: {type: string}\nb: {c: {p: {q: {$ref: '#/a'}, r: 1}}}"},
		"references to references": {map[string]string{
			"api/openapi.yaml": "a: {$ref: 'x.yaml#/one'}\nb: {$ref: 'x.yaml#/one/z'}\nc: {$ref: 'x.yaml#/two'}\n",
			"api/x.yaml":       "one: {$ref: '#/two'}\ntwo: {$ref: 'y.yaml#/three'}\n",
			"api/y.yaml":       "three: {z: 1}\n",
		}, "a: {z: 1}\nb: {$ref: '#/a/z'}\nc: {$ref: '#/a'}"},
		"fields beside": {map[string]string{
			"api/openapi.yaml": "a: {$ref: 'x.yaml#/one', description: mine}\nb: {$ref: 'x.yaml#/two', description: mine}\nc: {d: {$ref: 'x.yaml#/two'}}\n",
			"api/x.yaml":       "one: {description: theirs, type: {$ref: '#/two'}}\ntwo: {z: 1}\n",
		}, "a: {description: mine, type: {$ref: '#/c/d'}}\nb: {$ref: '#/c/d', description: mine}\nc: {d: {z: 1}}"},
		"fields beside, at the end of a reference": {map[string]string{
			"api/openapi.yaml": "a: {$ref: 'm/x.yaml#/one'}\nb: {$ref: 'm/x.yaml#/one'}\n",
			"api/m/x.yaml":     "one: {$ref: 'y.yaml', title: mine}\n",
			"api/m/y.yaml":     "z: {$ref: '#/w'}\nw: 1\n",
		}, "a: {title: mine, z: {$ref: '#/a/w'}, w: 1}\nb: {$ref: '#/a'}"},
		"strange names": {map[string]string{
			"api/openapi.yaml": "paths: {'/a/{id}': {$ref: 'x%20y.yaml#/paths/~1a~1%7Bid%7D'}, '/b': {$ref: 'x%20y.yaml#/paths/~1a~1%7Bid%7D'}}\n",
			"api/x y.yaml":     "paths: {'/a/{id}': {get: 1}}\n",
		}, "paths: {'/a/{id}': {get: 1}, '/b': {$ref: '#/paths/~1a~1%7Bid%7D'}}"},
		"properties of that name, lists, aliases and scalars": {map[string]string{
			"api/openapi.yaml": "properties: {$ref: {type: string}}\nall: [{$ref: 'x.yaml#/list/1'}, {$ref: 'x.yaml#/list'}]\nuse: {$ref: 'x.yaml#/used'}\n",
			"api/x.yaml":       "list: [1, &two {two: 2}]\nused: *two\n",
		}, "properties: {$ref: {type: string}}\nall: [{two: 2}, [1, {$ref: '#/all/0'}]]\nuse: {two: 2}"},
		"AsyncAPI 3": {map[string]string{
			"api/openapi.yaml": "asyncapi: 3.0.0\nchannels: {c: {$ref: c.yaml}}\noperations: {o: {channel: {$ref: c.yaml}, messages: [{$ref: 'm.yaml'}]}}\n",
			"api/c.yaml":       "address: x\n",
			"api/m.yaml":       "name: m\n",
		}, "asyncapi: 3.0.0\nchannels: {c: {address: x}}\noperations: {o: {channel: {$ref: '#/channels/c'}, messages: [{$ref: 'm.yaml'}]}}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, failure := define(t, "$openapi", test.files)
			if failure != "" {
				t.Fatal(failure)
			}
			same(t, got, test.want)
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	got, _ := define(t, "$asyncapi", map[string]string{
		"api/openapi.yaml": "# A comment\nasyncapi: '2.0.0'\nversion: 1.10\ndescription: |\n  Two\n  lines\nlist: [1, {a: {}}]\nx: {\"$ref\": \"x.json\"}\n",
		"api/x.json":       `{"b": 1, "c": [], "d": "e"}`,
	})
	want := "asyncapi: '2.0.0'\nversion: 1.10\ndescription: |\n  Two\n  lines\nlist:\n  - 1\n  - a: {}\nx:\n  \"b\": 1\n  \"c\": []\n  \"d\": \"e\"\n"
	if got != want {
		t.Errorf("the definition is\n%s\nwant\n%s", got, want)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no such file":    {map[string]string{"api/openapi.yaml": "a: {$ref: missing.yaml}"}, "missing.yaml"},
		"no such value":   {map[string]string{"api/openapi.yaml": "a: {$ref: 'x.yaml#/b/c'}", "api/x.yaml": "b: 1"}, `leads nowhere: `},
		"a circle":        {map[string]string{"api/openapi.yaml": "a: {$ref: 'x.yaml#/b'}", "api/x.yaml": "b: {$ref: '#/c'}\nc: {$ref: '#/b'}"}, "leads to itself"},
		"no pointer":      {map[string]string{"api/openapi.yaml": "a: {$ref: 'x.yaml#b'}", "api/x.yaml": "b: 1"}, "is not a JSON pointer"},
		"outside":         {map[string]string{"api/openapi.yaml": "a: {$ref: '../../../../../../../../../../etc/hostname'}"}, "outside of"},
		"absolute":        {map[string]string{"api/openapi.yaml": "a: {$ref: /etc/hostname}"}, "outside of"},
		"malformed":       {map[string]string{"api/openapi.yaml": "a: {$ref: x.yaml}", "api/x.yaml": "a: ["}, "malformed YAML"},
		"no object":       {map[string]string{"api/openapi.yaml": "[1]"}, "is not an object"},
		"empty":           {map[string]string{"api/openapi.yaml": ""}, "is empty"},
		"beside a number": {map[string]string{"api/openapi.yaml": "a: {$ref: x.yaml, b: 1}", "api/x.yaml": "1"}, "is not an object"},
		"a bomb": {map[string]string{"api/openapi.yaml": "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n" +
			"c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\n" +
			"f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: [*f, *f, *f]\n"}, "more than 1000000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, failure := define(t, "$openapi", test.files); !strings.Contains(failure, test.want) || !strings.Contains(failure, "$openapi") {
				t.Errorf("the error is %s, want one about %s; the definition is\n%s", failure, test.want, got)
			}
		})
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	const repo = "https://github.com/acme/pets/tree/main/"
	files := map[string]string{
		repo + "catalog-info.yaml": strings.ReplaceAll(api, "KEY", "$openapi"),
		repo + "api/openapi.yaml":  "a: {$ref: ../common/x.yaml}\nb: {$ref: '" + repo + "common/x.yaml'}\n",
		repo + "common/x.yaml":     "c: 1\n",
	}
	location := object{"type": "url", "target": repo + "catalog-info.yaml"}
	got, failure := read(t, location, backendtest.URLReader(files))
	if failure != "" {
		t.Fatal(failure)
	}
	same(t, got, "a: {c: 1}\nb: {$ref: '#/a'}")

	const other = "https://github.com/acme/secrets/tree/main/x.yaml"
	files[repo+"api/openapi.yaml"], files[other] = "a: {$ref: '"+other+"'}\n", "password: x\n"
	if got, failure := read(t, location, backendtest.URLReader(files)); !strings.Contains(failure, "same repository") {
		t.Errorf("the error is %s; the definition is\n%s", failure, got)
	}
}
