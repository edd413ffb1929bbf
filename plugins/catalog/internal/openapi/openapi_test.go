package openapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/portico-dev/portico/plugins/catalog/internal/openapi"
	"github.com/portico-dev/portico/service"
)

const text = `{
	"openapi": "3.1.0",
	"paths": {
		"/things": {
			"get": {"parameters": [
				{"$ref": "#/components/parameters/limit"},
				{"name": "filter", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
				{"name": "fields", "in": "query", "explode": false, "schema": {"type": "array", "items": {"enum": ["a", "b"]}}},
				{"name": "mode", "in": "query", "schema": {"enum": ["fast", "slow"]}},
				{"name": "dry", "in": "query", "schema": {"type": "boolean"}},
				{"name": "text", "in": "query", "schema": {"type": "string"}, "allowEmptyValue": true}
			]},
			"post": {"requestBody": {"content": {"application/json": {"schema": {
				"type": "object",
				"required": ["refs"],
				"additionalProperties": false,
				"properties": {
					"refs": {"type": "array", "items": {"type": "string"}},
					"order": {"type": "array", "items": {"type": "object", "properties": {"by": {"enum": ["asc", "desc"]}}}},
					"limit": {"type": "integer", "minimum": 0}
				}
			}}}}}
		},
		"/things/{id}": {
			"get": {"parameters": [
				{"name": "id", "in": "path", "schema": {"type": "string"}},
				{"name": "facet", "in": "query", "required": true, "allowEmptyValue": true,
					"schema": {"type": "array", "items": {"type": "string"}, "contains": {"minLength": 1}}}
			]},
			"put": {"requestBody": {"content": {"application/x-ndjson": {"schema": {"type": "object"}}}}}
		}
	},
	"components": {"parameters": {"limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 100}}}}
}`

func document(t testing.TB) *openapi.Document {
	t.Helper()
	doc, err := openapi.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestParametersThatAreTaken(t *testing.T) {
	t.Parallel()
	doc := document(t)
	for _, test := range []struct {
		route, raw string
		want       openapi.Query
	}{
		{"/things", "", nil},
		{"/things", "limit=5", openapi.Query{"limit": {"5"}}},
		{"/things", "limit=5.0", openapi.Query{"limit": {"5.0"}}},
		{"/things", "limit=+5+", openapi.Query{"limit": {" 5 "}}},
		{"/things", "filter=a=b&filter=c", openapi.Query{"filter": {"a=b", "c"}}},
		{"/things", "filter=&filter=c", openapi.Query{"filter": {"", "c"}}},
		{"/things", "filter[]=a&filter%5B%5D=b", openapi.Query{"filter": {"a", "b"}}},
		{"/things", "filter[0]=a&filter%5B12%5D=b&filter=c", openapi.Query{"filter": {"a", "b", "c"}}},
		{"/things", "filter=a;b", openapi.Query{"filter": {"a;b"}}},
		{"/things", "filter=100%+of", openapi.Query{"filter": {"100% of"}}},
		{"/things", "&filter=x&", openapi.Query{"filter": {"x"}}},
		{"/things", "fields=a,b&fields=a", openapi.Query{"fields": {"a,b", "a"}}},
		{"/things", "dry=Yes", openapi.Query{"dry": {"Yes"}}},
		{"/things", "text=", openapi.Query{"text": {""}}},
		{"/things/:id", "facet=kind", openapi.Query{"facet": {"kind"}}},
		{"/things/:id", "facet=&facet=kind", openapi.Query{"facet": {"", "kind"}}},
		{"/things", "limit=0", openapi.Query{"limit": {"0"}}},
		{"/things", "limit=100", openapi.Query{"limit": {"100"}}},
		{"/elsewhere", "what=ever", nil},
	} {
		got, err := doc.Check(httptest.NewRequest(http.MethodGet, "/?"+test.raw, nil), test.route)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s?%s: got %v, %v, want %v", test.route, test.raw, got, err, test.want)
		}
	}
}

func TestParametersThatAreRefused(t *testing.T) {
	t.Parallel()
	doc := document(t)
	for _, test := range []struct{ route, raw, want string }{
		{"/things", "limit=x", "request/query/limit must be integer, not string"},
		{"/things", "limit=1_0", "request/query/limit must be integer, not string"},
		{"/things", "limit=0x1p4", "request/query/limit must be integer, not string"},
		{"/things", "filter[x]=1", "Unknown query parameter 'filter[x]'"},
		{"/things", "limit=1.5", "request/query/limit must be integer, not number"},
		{"/things", "limit=NaN", "request/query/limit must be integer, not string"},
		{"/things", "limit=-1", "request/query/limit must be >= 0 but found -1"},
		{"/things", "limit=101", "request/query/limit must be <= 100 but found 101"},
		{"/things", "limit=", "Empty value found for query parameter 'limit'"},
		{"/things", "limit=1&limit=2", "request/query/limit must be integer, and is there 2 times"},
		{"/things", "filter=", "Empty value found for query parameter 'filter'"},
		{"/things", "nobody=knows", "Unknown query parameter 'nobody'"},
		{"/things", "mode=wild", `request/query/mode must be one of "fast", "slow"`},
		{"/things", "fields=a,c", `request/query/fields/1 must be one of "a", "b"`},
		{"/things", "dry=perhaps", "request/query/dry must be boolean, not string"},
		{"/things/:id", "", "request/query must have required property 'facet'"},
		{"/things/:id", "facet=&facet=", "request/query/facet/0 length must be >= 1, but got 0"},
	} {
		_, err := doc.Check(httptest.NewRequest(http.MethodGet, "/?"+test.raw, nil), test.route)
		if !errors.Is(err, service.InputError) || err.Error() != service.InputError.Errorf("%s", test.want).Error() {
			t.Errorf("%s?%s: got %v, want %s", test.route, test.raw, err, test.want)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	q := openapi.Query{"n": {"5.0"}, "yes": {"ON"}, "no": {"0"}}
	n, set := q.Int("n")
	if _, nothing := q.Int("nope"); n != 5 || !set || nothing {
		t.Errorf("n is %d, %v, and nope is %v", n, set, nothing)
	}
	if !q.Bool("yes") || q.Bool("no") || q.Bool("nope") {
		t.Error("a boolean is the other way round")
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	doc := document(t)
	for _, test := range []struct{ kind, body, want string }{
		{"application/json", `{"refs": ["a"], "limit": 20.0}`, ""},
		{"Application/JSON; charset=utf-8", `{"refs": []}`, ""},
		{"", `{"refs": []}`, ""},
		{"", "", "request/body must have required property 'refs'"},
		{"application/json", " ", "request/body must have required property 'refs'"},
		{"application/json", "[]", "request/body must be object, not array"},
		{"application/json", "null", "request/body must be object, not null"},
		{"application/json", `{"refs": "x"}`, "request/body/refs must be array, not string"},
		{"application/json", `{"refs": ["x", 1]}`, "request/body/refs/1 must be string, not number"},
		{"application/json", `{"refs": [], "order": [{"by": "up"}]}`, `request/body/order/0/by must be one of "asc", "desc"`},
		{"application/json", `{"refs": [], "else": 1}`, "request/body must not have 'else'"},
		{"application/json", `{"refs": [`, "The body of the request is not valid JSON: unexpected end of JSON input"},
		{"application/json", `{"refs": []} {}`, "The body of the request is not valid JSON: invalid character '{' after top-level value"},
		{"text/plain", `{"refs": []}`, "unsupported media type text/plain, the body of the request must be application/json"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
		r.Header.Set("Content-Type", test.kind)
		_, err := doc.Check(r, "/things")
		switch {
		case test.want != "":
			if !errors.Is(err, service.InputError) || err.Error() != service.InputError.Errorf("%s", test.want).Error() {
				t.Errorf("%s: got %v, want %s", test.body, err, test.want)
			}
		case err != nil:
			t.Errorf("%s: %v", test.body, err)
		default:
			if again, err := io.ReadAll(r.Body); err != nil || string(again) != test.body {
				t.Errorf("%s: then it is %s, %v", test.body, again, err)
			}
		}
	}
	stream := httptest.NewRequest(http.MethodPut, "/", strings.NewReader("{}\n{}"))
	if _, err := doc.Check(stream, "/things/:id"); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(stream.Body); err != nil || string(rest) != "{}\n{}" {
		t.Errorf("of a stream, %q is left, %v", rest, err)
	}
}

func TestBrokenDocuments(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		`{`,
		`{"paths": {"/a": {"get": {"parameters": [{"name": "n", "in": "query", "schema": {"type": "wat"}}]}}}}`,
		`{"paths": {"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/nowhere"}}}}}}}}`,
	} {
		if _, err := openapi.Parse([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func FuzzCheck(f *testing.F) {
	doc := document(f)
	for _, seed := range []string{"limit=5", "filter[]=a&filter=%zz", "fields=a,,b;c", "dry=1&limit=1e9", "=&&==", "text=&text"} {
		f.Add(seed, `{"refs": ["a"]}`)
	}
	f.Fuzz(func(t *testing.T, raw, body string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = raw
		q, err := doc.Check(r, "/things")
		if err != nil && !errors.Is(err, service.InputError) {
			t.Errorf("%q: %v", raw, err)
		}
		if n, set := q.Int("limit"); err == nil && set && (n < 0 || n > 100) {
			t.Errorf("%q: the limit is %d", raw, n)
		}
		if _, err := doc.Check(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), "/things"); err != nil && !errors.Is(err, service.InputError) {
			t.Errorf("%q: %v", body, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	doc := document(b)
	refs := `{"refs": [` + strings.Repeat(`"component:default/component-1234",`, 49) + `"component:default/component-1234"]}`
	for _, bench := range []struct{ name, method, route, raw, body string }{
		{"no parameters", http.MethodGet, "/things", "", ""},
		{"parameters", http.MethodGet, "/things", "limit=20&filter=kind=component&text=x", ""},
		{"50 refs", http.MethodPost, "/things", "", refs},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := httptest.NewRequest(bench.method, "/?"+bench.raw, nil)
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(bench.body))
				if _, err := doc.Check(r, bench.route); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := openapi.Parse([]byte(text)); err != nil {
			b.Fatal(err)
		}
	}
}
