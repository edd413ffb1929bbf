package catalog_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

func TestActions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	target := s.put("/all.yaml", component("shop", "team"))
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
		"orderFields": []any{map[string]any{"field": "metadata.name", "order": "asc"}}, "fields": []any{"metadata.name"}}, http.StatusOK)
	if text, _ := json.Marshal(page); string(text) != `{"hasMoreEntities":false,"items":[{"metadata":{"name":"shop"}}],"totalItems":1}` {
		t.Errorf("the query answers %s", text)
	}
	if ref := invoke("refresh-catalog-entity", map[string]any{"kind": "Component", "name": "shop"}, http.StatusOK)["entityRef"]; ref != "component:default/shop" {
		t.Errorf("refreshed %v", ref)
	}
	if v := invoke("validate-entity", map[string]any{"entity": component("a", "b")}, http.StatusOK); v["isValid"] != true {
		t.Errorf("a valid entity is %v", v)
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
