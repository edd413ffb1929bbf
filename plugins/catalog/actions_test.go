package catalog_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
)

// TestModelDescription has a module add a kind, which is described as those are that are built in.
func TestModelDescription(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin(), plugin.NewModule("catalog", "runbooks", plugin.Init(func(processing catalog.Processing) {
		processing.AddKind(catalogmodel.Definition{
			Kind: "Runbook", APIVersions: []string{"acme.com/v1"},
			Schema: `{"properties": {"spec": {"required": ["about"], "properties": {
				"about": {"type": "string", "description": "What it helps with."}, "steps": {"type": ["array", "string"]}}}}}`,
			Relations: []catalogmodel.RelationField{{Path: "spec.about", Type: "describes", Inverse: "describedBy", DefaultKind: "Component"}},
		})
	})))
	res := b.As(t, "user:default/guest").Post("/api/catalog/.backstage/actions/v1/actions/catalog:get-catalog-model-description/invoke", map[string]any{})
	text := backendtest.JSON[struct{ Output struct{ Description string } }](t, res).Output.Description
	for _, want := range []string{
		"### Runbook\n\napiVersion: acme.com/v1\n\n" +
			"- spec.about: string, required; makes the relation describes to a Component, unless the reference names another kind. What it helps with.\n- spec.steps\n",
		"### Component\n\napiVersion: backstage.io/v1alpha1 or backstage.io/v1beta1\n",
		"- spec.owner: string, required; makes the relation ownedBy to a Group, unless the reference names another kind\n",
		"### API with spec.type mcp-server\n",
		"- describes; seen from the other entity, describedBy\n",
		"- ownedBy; seen from the other entity, ownerOf\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the description lacks %q:\n%s", want, text)
		}
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	target := s.put("/all.yaml", component("shop", "team"))
	s.put("/more.yaml", "text")
	b := backendtest.Start(t, catalog.Plugin(), readable(s.URL))
	c := b.As(t, "user:default/guest")
	invoke := func(name string, input any, want int) map[string]any {
		t.Helper()
		res := c.Post("/api/catalog/.backstage/actions/v1/actions/catalog:"+name+"/invoke", input)
		answer := backendtest.JSON[map[string]any](t, res)
		if res.StatusCode != want {
			t.Fatalf("%s: status %d, want %d: %v", name, res.StatusCode, want, answer)
		}
		output, _ := answer["output"].(map[string]any)
		return output
	}
	id := invoke("register-entity", map[string]any{"locationUrl": target}, http.StatusOK)["locationId"]
	settle(t, b, 2)
	if kind := invoke("get-catalog-entity", map[string]any{"name": "shop"}, http.StatusOK)["kind"]; kind != "Component" {
		t.Errorf("got an entity of kind %v", kind)
	}
	invoke("get-catalog-entity", map[string]any{"name": "nope"}, http.StatusBadRequest)
	page := invoke("query-catalog-entities", map[string]any{"query": map[string]any{"kind": "Component"}, "limit": 1,
		"orderFields": map[string]any{"field": "metadata.name", "order": "asc"}, "fields": []any{"metadata.name"}}, http.StatusOK)
	if text, _ := json.Marshal(page); string(text) != `{"hasMoreEntities":false,"items":[{"metadata":{"name":"shop"}}],"totalItems":1}` {
		t.Errorf("the query answers %s", text)
	}
	for _, orders := range []any{[]any{map[string]any{"field": "kind", "order": "desc"}}, []any{}} {
		if page := invoke("query-catalog-entities", map[string]any{"orderFields": orders}, http.StatusOK); page["totalItems"] != 2.0 {
			t.Errorf("ordered by %v: %v", orders, page)
		}
	}
	invoke("get-catalog-entity", map[string]any{"name": " shop "}, http.StatusOK)
	invoke("query-catalog-entities", map[string]any{"limit": -1}, http.StatusBadRequest)
	invoke("query-catalog-entities", map[string]any{"offset": -1}, http.StatusBadRequest)
	invoke("query-catalog-entities", map[string]any{"orderFields": "metadata.name"}, http.StatusBadRequest)
	invoke("query-catalog-entities", map[string]any{"orderFields": map[string]any{"field": "metadata.name", "order": "up"}}, http.StatusBadRequest)
	if ref := invoke("refresh-catalog-entity", map[string]any{"name": " shop "}, http.StatusOK)["entityRef"]; ref != "component:default/shop" {
		t.Errorf("refreshed %v", ref)
	}
	invoke("refresh-catalog-entity", map[string]any{"kind": "API", "name": "shop"}, http.StatusBadRequest)
	invoke("register-entity", map[string]any{"locationUrl": "catalog-info.yaml"}, http.StatusBadRequest)
	if ref := invoke("refresh-catalog-entity", map[string]any{"kind": "Component", "name": "shop"}, http.StatusOK)["entityRef"]; ref != "component:default/shop" {
		t.Errorf("refreshed %v", ref)
	}
	if v := invoke("validate-entity", map[string]any{"entity": component("a", "b")}, http.StatusOK); v["isValid"] != true {
		t.Errorf("a valid entity is %v", v)
	}
	if v := invoke("validate-entity", map[string]any{"entity": component("a", "b, text: { $text: ./more.yaml }"), "location": "url:" + target}, http.StatusOK); v["isValid"] != true {
		t.Errorf("a valid entity at a location is %v", v)
	}
	if v := invoke("validate-entity", map[string]any{"entity": component("a b", "b")}, http.StatusOK); v["isValid"] != false || v["isValidYaml"] != true {
		t.Errorf("an entity that is not valid is %v", v)
	}
	if v := invoke("validate-entity", map[string]any{"entity": "a: ["}, http.StatusOK); v["isValidYaml"] != false {
		t.Errorf("no YAML is %v", v)
	}
	invoke("unregister-entity", map[string]any{"type": map[string]any{}}, http.StatusBadRequest)
	invoke("unregister-entity", map[string]any{"type": map[string]any{"locationId": id}}, http.StatusOK)
	settle(t, b, 0)
	invoke("unregister-entity", map[string]any{"type": map[string]any{"locationUrl": target}}, http.StatusNotFound)
}
