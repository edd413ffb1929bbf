package catalog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service/httprouter"
)

// openAPI is the document that a catalog serves about itself.
type openAPI struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Parameters map[string]parameter }
	compiler   *jsonschema.Compiler
}

type operation struct {
	Parameters []struct {
		Ref string `json:"$ref"`
	}
	RequestBody struct {
		Content map[string]struct{ Schema json.RawMessage }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema json.RawMessage }
	}
}

type parameter struct {
	Name, In string
	Required bool
}

func readOpenAPI(t *testing.T, c *backendtest.Client) *openAPI {
	t.Helper()
	res := c.Get("/api/catalog/openapi.json")
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", res.Status, err)
	}
	doc := &openAPI{compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(text, doc); err != nil {
		t.Fatal(err)
	}
	doc.compiler.Draft = jsonschema.Draft2020 // that of OpenAPI 3.1
	if err := doc.compiler.AddResource("openapi.json", bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return doc
}

// schema is the schema at a place of the document.
func (d *openAPI) schema(t *testing.T, pointer ...string) *jsonschema.Schema {
	t.Helper()
	place := "openapi.json#"
	for _, p := range pointer {
		place += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	s, err := d.compiler.Compile(place)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (d *openAPI) parameters(o operation) []parameter {
	var all []parameter
	for _, p := range o.Parameters {
		all = append(all, d.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")])
	}
	return all
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// TestOpenAPI has the document say what the catalog does: each route, its parameters and bodies, and what it answers.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	var server *httprouter.Server
	s := newSite(t)
	b := backendtest.Start(t, catalog.Plugin(), readable(s.URL),
		backendtest.Config(map[string]any{"catalog": map[string]any{"webhooks": []any{}}}),
		plugin.New("observer", plugin.Init(func(found *httprouter.Server) { server = found })))
	c := b.As(t, "user:default/guest")
	l := register(t, c, s.put("/a.yaml", component("a", "team")))
	settle(t, b, 2)
	doc := readOpenAPI(t, c)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("the version is %s", doc.OpenAPI)
	}
	if res := b.Anonymous(t).Get("/api/catalog/openapi.json"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("whoever shows nothing gets %s", res.Status)
	}

	var routes, described []string
	for _, r := range server.Routes("catalog") {
		routes = append(routes, r.Method+" "+r.Path)
	}
	for path, item := range doc.Paths {
		for method := range item {
			described = append(described, strings.ToUpper(method)+" "+pathParameter.ReplaceAllString(path, ":$1"))
		}
	}
	for _, r := range routes {
		if !slices.Contains(described, r) && !strings.Contains(r, "/api/catalog/.") { // what services answer for each plugin
			t.Errorf("%s is not described", r)
		}
	}
	for _, r := range described {
		if !slices.Contains(routes, r) && !strings.Contains(r, "/webhooks") { // there are none without webhooks
			t.Errorf("%s is described, and isn't there", r)
		}
	}

	uid := fmt.Sprint(entity(t, c, "component/default/a")["metadata"].(map[string]any)["uid"])
	names := strings.NewReplacer("{kind}", "component", "{namespace}", "default", "{name}", "a", "{uid}", uid, "{id}", l.ID)
	for path, item := range doc.Paths {
		if strings.Contains(path, "/webhooks") || strings.HasSuffix(path, "/openapi.json") {
			continue
		}
		for method, o := range item {
			at := names.Replace(path)
			checkParameters(t, c, method, at)
			if strings.HasSuffix(path, "/export") || strings.HasSuffix(path, "/import") {
				continue // streams of lines
			}
			if method == "get" {
				checkAnswer(t, c, doc, path, at, o)
			} else if o.RequestBody.Content != nil {
				checkBody(t, c, doc, method, path, at)
			}
		}
	}
}

// checkParameters asks with a parameter that isn't described.
func checkParameters(t *testing.T, c *backendtest.Client, method, at string) {
	t.Helper()
	res := c.Do(strings.ToUpper(method), at+"?nobody=knows", nil)
	if text, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(text), "Unknown query parameter 'nobody'") {
		t.Errorf("%s %s: an unknown parameter is let through: %s, %v", method, at, text, err)
	}
}

// checkAnswer compares an answer with its schema.
func checkAnswer(t *testing.T, c *backendtest.Client, doc *openAPI, path, at string, o operation) {
	t.Helper()
	query := url.Values{}
	for _, p := range doc.parameters(o) {
		if p.In == "query" && p.Required {
			query.Set(p.Name, "kind")
		}
	}
	res := c.Get(at + "?" + query.Encode())
	var answer any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s, %v", at, res.Status, err)
		return
	}
	schema := doc.schema(t, "paths", path, "get", "responses", "200", "content", "application/json", "schema")
	if err := schema.Validate(answer); err != nil {
		t.Errorf("GET %s: %#v", at, err)
	}
	failed := c.Get(at + "?nobody=knows")
	if err := json.NewDecoder(failed.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if err := doc.schema(t, "components", "schemas", "Error").Validate(answer); err != nil {
		t.Errorf("the error of GET %s: %#v", at, err)
	}
}

// checkBody sends bodies that are wrong by the schema: none may be let through.
func checkBody(t *testing.T, c *backendtest.Client, doc *openAPI, method, path, at string) {
	t.Helper()
	schema := doc.schema(t, "paths", path, method, "requestBody", "content", "application/json", "schema")
	if schema.Ref != nil {
		schema = schema.Ref
	}
	bad := []any{[]any{}, "text"}
	if len(schema.Required) > 0 {
		bad = append(bad, map[string]any{})
	}
	for name := range schema.Properties {
		body := map[string]any{}
		for _, required := range schema.Required {
			body[required] = "x"
		}
		body[name] = []any{map[string]any{"nested": []any{1}}}
		bad = append(bad, body)
	}
	for _, body := range bad {
		if schema.Validate(body) == nil {
			t.Errorf("%s %s: the schema takes %v", method, at, body)
		}
		if res := c.Do(strings.ToUpper(method), at, body); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s %s: %s for %v", method, at, res.Status, body)
		}
	}
}
