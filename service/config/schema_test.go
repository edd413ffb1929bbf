package config_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

const backendSchema = `{
	"$schema": "http://json-schema.org/draft-07/schema#",
	"type": "object",
	"required": ["backend"],
	"definitions": {"duration": {"anyOf": [
		{"type": "string"},
		{"type": "object", "properties": {"minutes": {"type": "number"}, "seconds": {"type": "number"}}, "additionalProperties": false}
	]}},
	"properties": {"backend": {
		"type": "object",
		"required": ["baseUrl"],
		"properties": {
			"baseUrl": {"type": "string", "minLength": 1, "visibility": "frontend"},
			"listen": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"host": {"type": "string"}, "port": {"type": ["string", "number"]}}}]},
			"wait": {"$ref": "#/definitions/duration"},
			"workers": {"type": "integer", "minimum": 1},
			"https": {"type": "boolean"},
			"level": {"type": "string", "enum": ["debug", "info", "warn", "error"]},
			"old": {"type": "string", "deprecated": "use new"},
			"cache": {"oneOf": [
				{"type": "object", "required": ["store"], "properties": {"store": {"const": "memory"}}},
				{"type": "object", "required": ["store", "connection"], "properties": {"store": {"const": "redis"},
					"connection": {"type": "string", "visibility": "secret"}, "pool": {"type": "object", "properties": {"size": {"type": "number"}}}}}
			]},
			"auth": {"type": "object", "properties": {"keys": {"type": "array", "items": {"type": "object", "required": ["secret"],
				"properties": {"secret": {"type": "string", "visibility": "secret"}}}}}},
			"database": {"type": "object", "properties": {
				"client": {"type": "string"},
				"connection": {"type": ["string", "object"], "visibility": "secret", "additionalProperties": true,
					"properties": {"host": {"type": "string"}, "password": {"type": "string", "visibility": "secret"}}},
				"plugin": {"type": "object", "additionalProperties": {"type": "object", "properties": {"client": {"type": "string"}}}}
			}},
			"strict": {"type": "object", "additionalProperties": false, "properties": {"one": {"type": "string"}}},
			"headers": {"type": "object", "deepVisibility": "secret", "additionalProperties": {"type": "string"}},
			"tokens": {"type": "array", "items": {"type": "string"}, "visibility": "secret", "maxItems": 2, "uniqueItems": true}
		}
	}}
}`

// others complements what backendSchema declares.
const otherSchema = `{"type": "object", "properties": {
	"app": {"type": "object", "properties": {"title": {"type": "string", "visibility": "frontend"}, "extra": {"type": "object", "deepVisibility": "frontend"}}},
	"backend": {"type": "object", "properties": {
		"strict": {"type": "object", "additionalProperties": false, "properties": {"two": {"type": "string"}}},
		"actions": {"type": "object", "required": ["sources"], "properties": {"sources": {"type": "array"}}}
	}}
}}`

func schemas() service.ConfigSchemas {
	return service.ConfigSchemas{{Feature: "service backend", Schema: []byte(backendSchema)}, {Feature: "plugin actions", Schema: []byte(otherSchema)}}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const base = "backend:\n  baseUrl: http://localhost\n"
	tests := map[string]struct {
		yaml     string
		env      []string
		want     []string
		warnings []string
		secrets  []string
	}{
		"a good one": {yaml: base + "  listen: {port: 7007}\n  wait: {minutes: 1}\n  cache: {store: redis, connection: 'redis://x'}\n  strict: {one: a, two: b}\n",
			secrets: []string{"redis://x"}},
		"other sections":  {yaml: base + "techdocs: {builder: local}\norganization: {name: x}\napp: {packages: all}\n"},
		"another section": {yaml: "backend: {baseUrl: x}\napps: {}\n", want: []string{`apps (app-config.yaml:2:1): is not a known key; did you mean "app"?`}},
		"nothing":         {yaml: "a: 1\n", want: []string{`backend (app-config.yaml): is required, but isn't there`}},
		"a reference to nothing": {yaml: "backend:\n  baseUrl: ${URL}\n",
			want: []string{`backend.baseUrl (app-config.yaml:2:12): is required, but the environment variable URL isn't set`}},
		"types": {yaml: "backend:\n  baseUrl: [1]\n  listen: [1]\n  workers: many\n  https: 3\n  wait: 3\n  database: x\n", want: []string{
			"backend.baseUrl (app-config.yaml:2:3): must be a string, is an array",
			"backend.listen (app-config.yaml:3:3): must be a string or an object, is an array",
			"backend.workers (app-config.yaml:4:12): must be a whole number, is a string",
			"backend.https (app-config.yaml:5:10): must be true or false, is a number",
			"backend.database (app-config.yaml:7:13): must be an object, is a string",
		}},
		"strings for numbers and booleans, numbers for strings": {yaml: base + "  workers: ${N}\n  https: ${YES}\n  level: info\n  database: {client: 5}\n", env: []string{"N=3", "YES=on"}},
		"a number that is too small":                            {yaml: base + "  workers: ${N}\n", env: []string{"N=0"}, want: []string{"backend.workers (app-config.yaml:3:12): must be at least 1; is 0"}},
		"an empty string":                                       {yaml: "backend: {baseUrl: ''}", want: []string{"backend.baseUrl (app-config.yaml:1:20): must not be empty"}},
		"a choice":                                              {yaml: base + "  level: inof\n", want: []string{`backend.level (app-config.yaml:3:10): must be one of debug, info, warn, error; is "inof"; did you mean "info"?`}},
		"one of several forms": {yaml: base + "  cache: {store: reddis, connection: s3cret}\n",
			want: []string{`backend.cache.store (app-config.yaml:3:18): must be one of memory, redis; is "reddis"; did you mean "redis"?`}},
		"a form with a mistake": {yaml: base + "  cache: {store: redis, pool: {size: big}, connection: [1]}\n", want: []string{
			"backend.cache.pool.size (app-config.yaml:3:38): must be a number, is a string",
			"backend.cache.connection (app-config.yaml:3:44): must be a string, is an array"}},
		"a form that lacks something": {yaml: base + "  cache: {store: redis}\n", want: []string{"backend.cache.connection (app-config.yaml:3:3): is required, but isn't there"}},
		"no form at all":              {yaml: base + "  cache: [1]\n", want: []string{"backend.cache (app-config.yaml:3:3): must be an object, is an array"}},
		"elements": {yaml: base + "  auth:\n    keys:\n      - secret: s3cret\n      - secrt: other\n", want: []string{
			"backend.auth.keys[1].secret (app-config.yaml:6:9): is required, but isn't there",
			`backend.auth.keys[1].secrt (app-config.yaml:6:16): is not a known key; did you mean "secret"?`}},
		"misspelt keys": {yaml: base + "  lissen: {prot: 1}\n  Https: true\n  listen: {Port: 1}\n", want: []string{
			// Since there is backend.listen, backend.lissen may be something else.
			`backend.Https (app-config.yaml:4:10): is not a known key; did you mean "https"?`,
			`backend.listen.Port (app-config.yaml:5:18): is not a known key; did you mean "port"?`}},
		"keys that nobody knows": {yaml: base + "  reading: {allow: []}\n  database: {connection: {pasword: x, ssl: true}, plugin: {catalogue: {client: pg, clinet: x}}}\n", warnings: []string{
			"backend.reading (app-config.yaml:3:3): is not a known key",
			"backend.database.plugin.catalogue.clinet (app-config.yaml:4:92): is not a known key"}},
		"keys that are forbidden": {yaml: base + "  strict: {one: a, two: b, seven: c}\n", want: []string{"backend.strict.seven (app-config.yaml:3:35): is not a known key"}},
		"keys that a form forbids": {yaml: base + "  wait: {minutes: 1, hours: 2}\n",
			want: []string{"backend.wait.hours (app-config.yaml:3:29): is not a known key"}},
		"deprecated keys": {yaml: base + "  old: x\n", warnings: []string{"backend.old (app-config.yaml:3:8): is deprecated: use new"}},
		"arrays": {yaml: base + "  tokens: [aa, aa, bb]\n", want: []string{
			"backend.tokens (app-config.yaml:3:3): must have at most 2 entries",
			"backend.tokens (app-config.yaml:3:3): must not have the same entry twice"}},
		"secrets": {yaml: base + "  database: {connection: {host: db, password: pw1}}\n  headers: {a: h1, b: 5}\n  tokens: [t1, t2]\n  auth: {keys: [{secret: k1}]}\n",
			secrets: []string{"5", "h1", "k1", "pw1", "t1", "t2"}},
		"a secret that is a string or an object": {yaml: base + "  database: {connection: 'postgres://u:pw@h'}\n", secrets: []string{"postgres://u:pw@h"}},
		"a problem of another feature":           {yaml: base + "  actions: {}\n", want: []string{"backend.actions.sources (app-config.yaml:3:3): is required, but isn't there"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustLoad(t, map[string]string{"app-config.yaml": test.yaml}, test.env...)
			got := problems(t, s.Validate(schemas()))
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if len(got) > 0 {
				return
			}
			var warnings []string
			for _, w := range s.Warnings() {
				warnings = append(warnings, w.String())
			}
			if !slices.Equal(warnings, test.warnings) {
				t.Errorf("warnings are\n%s\nwant\n%s", strings.Join(warnings, "\n"), strings.Join(test.warnings, "\n"))
			}
			if got := s.Secrets(); !slices.Equal(got, test.secrets) {
				t.Errorf("secrets are %q, want %q", got, test.secrets)
			}
		})
	}
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, map[string]string{"app-config.yaml": "a: {choice: s3cret, pattern: s3cret, format: s3cret, number: s3cret}\n"})
	err := s.Validate(service.ConfigSchemas{{Feature: "plugin a", Schema: []byte(`{"properties": {"a": {"deepVisibility": "secret", "properties": {
		"choice": {"enum": ["s3crett"]}, "pattern": {"pattern": "^x"}, "format": {"format": "uri"}, "number": {"type": "number"}}}}}`)}})
	if got := problems(t, err); len(got) != 4 {
		t.Errorf("got %q", got)
	}
	if strings.Contains(strings.ReplaceAll(err.Error(), "s3crett", ""), "s3cret") {
		t.Errorf("a secret is in %v", err)
	}
}

func TestWrongSchemas(t *testing.T) {
	t.Parallel()
	s := config.Static(map[string]any{"a": map[string]any{"b": 1}})
	for schema, want := range map[string]string{
		`{`: "unexpected end",
		`{"properties": {"a": {"type": "objekt"}}}`:                              "/properties/a/type",
		`{"properties": {"a": {"properties": {"b": {"visibility": "public"}}}}}`: "visibility must be one of frontend, backend, secret, not public",
		`{"properties": {"a": {"$ref": "http://example.com/schema.json"}}}`:      "schemas can't refer to others",
		`{"properties": {"a": {"$ref": "#/definitions/none"}}}`:                  "none",
		`{"properties": {"a": {"$ref": "#/properties/a"}}}`:                      "infinite loop",
	} {
		err := s.Validate(service.ConfigSchemas{{Feature: "plugin x", Schema: []byte(schema)}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "plugin x") {
			t.Errorf("%s: got %v, want %q", schema, err, want)
		}
	}
	// A mistake in what isn't configured is found when the schema is shown.
	_, err := config.Schema(service.ConfigSchemas{{Feature: "plugin x", Schema: []byte(`{"properties": {"c": {"type": "objekt"}}}`)}})
	if err == nil || !strings.Contains(err.Error(), "plugin x") {
		t.Errorf("got %v", err)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	document, err := config.Schema(schemas())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(document, &got); err != nil {
		t.Fatal(err)
	}
	strict := got["properties"].(map[string]any)["backend"].(map[string]any)["properties"].(map[string]any)["strict"].(map[string]any)
	want := map[string]any{"type": "object", "additionalProperties": false,
		"properties": map[string]any{"one": map[string]any{"type": "string"}, "two": map[string]any{"type": "string"}}}
	if !reflect.DeepEqual(strict, want) {
		t.Errorf("got %v, want %v", strict, want)
	}
	// The document says of a configuration what the schemas say that it is made of.
	for _, yaml := range []string{"backend: {baseUrl: x, wait: {minutes: 1}}", "backend: {baseUrl: x, wait: {minutes: x}}", "backend: {baseUrl: 1, actions: {}}"} {
		separate := mustLoad(t, map[string]string{"app-config.yaml": yaml})
		combined := mustLoad(t, map[string]string{"app-config.yaml": yaml})
		first := problems(t, separate.Validate(schemas()))
		second := problems(t, combined.Validate(service.ConfigSchemas{{Feature: "all", Schema: document}}))
		if !slices.Equal(first, second) {
			t.Errorf("%s: got %q, want %q", yaml, second, first)
		}
	}
}

func TestFrontend(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, map[string]string{"app-config.yaml": "app: {title: T, base: x, extra: {a: [{b: 1}], c: {}}}\nbackend: {baseUrl: U, tokens: [x], listen: {port: 1}}\nother: {}\n"})
	if got := s.Frontend(); len(got) != 0 {
		t.Errorf("without schemas, %v is visible", got)
	}
	if err := s.Validate(schemas()); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"app": map[string]any{"title": "T", "extra": map[string]any{"a": []any{map[string]any{"b": int64(1)}}, "c": map[string]any{}}},
		"backend": map[string]any{"baseUrl": "U"}}
	if got := s.Frontend(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestValuesHideSecrets(t *testing.T) {
	t.Parallel()
	s := mustLoad(t, map[string]string{"app-config.yaml": "backend: {baseUrl: U, tokens: [t0ken]}\n"})
	if err := s.Validate(schemas()); err != nil {
		t.Fatal(err)
	}
	want := []config.Value{{Key: "backend.baseUrl", Value: "U", Source: "app-config.yaml:1:20"},
		{Key: "backend.tokens[0]", Value: "***", Source: "app-config.yaml:1:32", Secret: true}}
	if got := s.Values(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
