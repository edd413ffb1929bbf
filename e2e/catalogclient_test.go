package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// published is the day of the release of Backstage whose packages are used.
const published = "2026-10-01"

// TestCatalogClient has @backstage/catalog-client, as it comes from npm, call a running catalog, with each of its methods. What it reads
// has to be what our own client reads.
func TestCatalogClient(t *testing.T) {
	t.Parallel()
	packages := install(t, "@backstage/catalog-client")
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, isFile := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".yaml")
		if !isFile {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: %s }\nspec: { type: service, lifecycle: production, owner: platform }\n", name)
	}))
	defer site.Close()
	fixtures, err := filepath.Abs("../plugins/catalog/testdata/fixtures/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var client *catalogclient.Client
	kinds := []any{"Component", "API", "Resource", "System", "Domain", "Location", "User", "Group", "Template"}
	b := backendtest.Start(t, catalog.Plugin(), plugin.New("observer", plugin.Init(func(c *catalogclient.Client) { client = c })),
		backendtest.Config(map[string]any{
			"backend": map[string]any{"reading": map[string]any{"allow": []any{map[string]any{"host": strings.TrimPrefix(site.URL, "http://")}}}},
			"catalog": map[string]any{
				"rules":     []any{map[string]any{"allow": kinds}},
				"locations": []any{map[string]any{"type": "file", "target": fixtures}},
			},
		}))
	awaitEntities(t, client, 23)

	got := run(t, packages, b.URL()+"/api/catalog", `mock-user-token:{"sub":"user:default/guest"}`, site.URL)
	compareReads(t, client, got)
	checkAnswers(t, got, site.URL)
}

// result is what came of a call.
type result struct {
	Value any
	Error *struct {
		Name, Message string
		Status        int
	}
}

// run runs the script, and returns the results by their names.
func run(t *testing.T, packages string, args ...string) map[string]result {
	t.Helper()
	script, err := os.ReadFile("testdata/catalogclient.mjs")
	if err != nil {
		t.Fatal(err)
	}
	// Packages are found beside the script that imports them.
	place, err := os.CreateTemp(packages, "*.mjs")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(place.Name())
	_, err = place.Write(script)
	if closeErr := place.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var complaints strings.Builder
	cmd := exec.CommandContext(ctx, "node", append([]string{place.Name()}, args...)...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &complaints)
	}
	var results map[string]result
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return results
}

func awaitEntities(t *testing.T, client *catalogclient.Client, n int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		all, err := client.Entities(t.Context(), catalogclient.Query{Fields: []string{"metadata.name"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the catalog has %d entities, want %d", len(all), n)
		}
	}
}

// compareReads compares what both clients have read of the entities that were there from the beginning.
func compareReads(t *testing.T, client *catalogclient.Client, got map[string]result) {
	t.Helper()
	ctx := t.Context()
	ref := func(text string) catalogmodel.Ref {
		r, err := catalogmodel.ParseRef(text, catalogmodel.RefDefaults{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	predicate := map[string]any{"$all": []any{map[string]any{"kind": "component"}, map[string]any{"$not": map[string]any{"spec.type": "library"}}}}
	items := func(v any, err error) (any, error) { return map[string]any{"items": v}, err }
	byName := []string{"asc:metadata.name"}
	page := func(q catalogclient.Query) func() (any, error) {
		return func() (any, error) { return client.Query(ctx, q) }
	}
	streamed := func(q catalogclient.Query) ([]catalogmodel.Entity, error) {
		var all []catalogmodel.Entity
		for e, err := range client.All(ctx, q) {
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		return all, nil
	}
	components := []string{"kind=component"}
	for name, read := range map[string]func() (any, error){
		"getEntities": func() (any, error) { return items(client.Entities(ctx, catalogclient.Query{})) },
		"getEntities filtered": func() (any, error) {
			return items(client.Entities(ctx, catalogclient.Query{
				Filter: []string{"kind=component,kind=api,metadata.namespace=default", "metadata.annotations.backstage.io/techdocs-ref"},
				Fields: []string{"kind", "metadata.name"}, Order: []string{"asc:metadata.name", "desc:kind"}, Limit: 5, Offset: 1,
			}))
		},
		"getEntitiesByRefs": func() (any, error) {
			refs := []catalogmodel.Ref{ref("component:default/checkout-api"), ref("component:default/nope"), ref("user:default/guest")}
			return items(orNull(client.EntitiesByRefs(ctx, refs, catalogclient.Query{Fields: []string{"metadata.name"}})))
		},
		"getEntitiesByRefs by predicate": func() (any, error) {
			refs := []catalogmodel.Ref{ref("component:default/checkout-api"), ref("user:default/guest")}
			return items(orNull(client.EntitiesByRefs(ctx, refs, catalogclient.Query{Where: predicate})))
		},
		"queryEntities":      page(catalogclient.Query{Filter: components, Order: byName, Limit: 3, Fields: []string{"metadata.name"}}),
		"queryEntities text": page(catalogclient.Query{Text: "checkout", TextFields: []string{"metadata.name"}, Order: byName}),
		"queryEntities next": func() (any, error) {
			q := catalogclient.Query{Filter: components, Order: byName, Limit: 3, Fields: []string{"metadata.name"}}
			first, err := client.Query(ctx, q)
			if err != nil {
				return nil, err
			}
			return client.Page(ctx, first.PageInfo.Next, q)
		},
		"queryEntities by predicate": page(catalogclient.Query{Where: predicate, Order: byName, Limit: 2}),
		"streamEntities": func() (any, error) {
			all, err := streamed(catalogclient.Query{Filter: components, Order: byName, Limit: 4})
			return map[string]any{"items": all, "sizes": sizes(len(all), 4)}, err
		},
		"streamEntities by predicate": func() (any, error) {
			all, err := streamed(catalogclient.Query{Where: predicate, Order: byName, Limit: 4})
			return map[string]any{"items": all, "sizes": sizes(len(all), 4)}, err
		},
		"getEntityByRef":     func() (any, error) { return client.EntityByRef(ctx, ref("component:default/checkout-api")) },
		"getEntityByName":    func() (any, error) { return client.EntityByRef(ctx, ref("component:default/checkout-api")) },
		"getEntityAncestors": func() (any, error) { return client.Ancestry(ctx, ref("component:default/checkout-api")) },
		"getEntityFacets": func() (any, error) {
			facets, err := client.Facets(ctx, catalogclient.Query{Filter: []string{"kind=component,kind=api"}}, "kind", "spec.type")
			return map[string]any{"facets": facets}, err
		},
		"getEntityFacets by predicate": func() (any, error) {
			facets, err := client.Facets(ctx, catalogclient.Query{Where: predicate}, "kind", "spec.type")
			return map[string]any{"facets": facets}, err
		},
	} {
		want, err := read()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if g, w := got[name], plain(t, want); g.Error != nil || !reflect.DeepEqual(tidy(g.Value), tidy(w)) {
			t.Errorf("%s:\nnpm's %.2000s %v\nours  %.2000s", name, text(t, tidy(g.Value)), g.Error, text(t, tidy(w)))
		}
	}
}

// orNull has entities that aren't there be null, as in JavaScript.
func orNull(entities []catalogmodel.Entity, err error) ([]any, error) {
	all := make([]any, len(entities))
	for i, e := range entities {
		if !e.IsZero() {
			all[i] = e
		}
	}
	return all, err
}

// sizes are those of the pages of so many items.
func sizes(items, page int) []int {
	all := []int{}
	for ; items > page; items -= page {
		all = append(all, page)
	}
	return append(all, items)
}

// plain is the value as JSON has it.
func plain(t *testing.T, v any) any {
	t.Helper()
	var p any
	if err := json.Unmarshal([]byte(text(t, v)), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func text(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// tidy replaces cursors, which hold queries as they were sent.
func tidy(v any) any {
	if list, ok := v.([]any); ok {
		for i := range list {
			list[i] = tidy(list[i])
		}
	}
	if object, ok := v.(map[string]any); ok {
		for name, value := range object {
			object[name] = tidy(value)
			if name == "nextCursor" || name == "prevCursor" {
				object[name] = true
			}
		}
	}
	return v
}

// checkAnswers looks at the answers to what brings and removes entities, and at errors.
func checkAnswers(t *testing.T, got map[string]result, site string) {
	t.Helper()
	for name, want := range map[string]string{
		"getEntitiesByRefs of many": `{"found":["guest"],"length":2501}`,
		"getEntityByRef of none":    `null`,
		"validateEntity":            `{"valid":true}`,
		"getLocations before":       `{"items":[]}`,
		"getLocationById of none":   `null`,
		"refreshEntity":             `null`,
		"removeEntityByUid":         `null`,
		"removeEntityByUid of none": `null`,
		"removeLocationById":        `null`,
		"the entity is gone":        `null`,
		"the last entity is gone":   `null`,
	} {
		if g := got[name]; g.Error != nil || text(t, g.Value) != want {
			t.Errorf("%s: %s, %v, want %s", name, text(t, g.Value), g.Error, want)
		}
	}
	for name, status := range map[string]int{
		"addLocation twice": http.StatusConflict, "refreshEntity of none": http.StatusNotFound, "anonymous": http.StatusUnauthorized,
	} {
		if g := got[name]; g.Error == nil || g.Error.Status != status || g.Error.Name == "" || g.Error.Message == "" {
			t.Errorf("%s: %s, %v, want an error with status %d", name, text(t, g.Value), g.Error, status)
		}
	}
	at := func(name string, path ...any) any {
		g := got[name]
		if g.Error != nil {
			t.Errorf("%s: %v", name, g.Error)
		}
		v := g.Value
		for _, step := range path {
			switch step := step.(type) {
			case string:
				object, _ := v.(map[string]any)
				v = object[step]
			case int:
				list, _ := v.([]any)
				if step >= len(list) {
					t.Errorf("%s: %v has no item %d", name, path, step)
					return nil
				}
				v = list[step]
			}
		}
		return v
	}
	location := at("addLocation", "location")
	for what, pair := range map[string][2]any{
		"the dry run's entity":       {at("addLocation dry", "entities", 1, "metadata", "name"), "a"},
		"exists in the dry run":      {at("addLocation dry", "exists"), false},
		"the target":                 {at("addLocation", "location", "target"), site + "/a.yaml"},
		"registering once more":      {at("addLocation refreshing", "location"), location},
		"by id":                      {at("getLocationById"), location},
		"by ref":                     {at("getLocationByRef"), location},
		"by entity":                  {at("getLocationByEntity"), location},
		"by predicate":               {at("queryLocations by predicate", "items"), []any{location}},
		"in all":                     {at("queryLocations", "totalItems"), 2.0},
		"streamed":                   {at("streamLocations", "sizes"), []any{1.0, 1.0}},
		"moved to":                   {at("updateLocation", "target"), site + "/b.yaml"},
		"the entity":                 {at("the entity arrives", "spec", "owner"), "platform"},
		"the other entity":           {at("the other entity arrives", "metadata", "name"), "b"},
		"the wrong entity":           {at("validateEntity that is wrong", "valid"), false},
		"the name in the analysis":   {at("analyzeLocation", "generateEntities", 0, "entity", "metadata", "name"), "shop"},
		"the page before":            {at("queryEntities previous", "items"), at("queryEntities", "items")},
		"the first of the next page": {at("queryEntities by predicate, next", "totalItems"), at("queryEntities by predicate", "totalItems")},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, want %v", what, text(t, pair[0]), text(t, pair[1]))
		}
	}
	// One condition more.
	for _, item := range at("queryEntities by predicate and filter", "items").([]any) {
		if e := item.(map[string]any); e["kind"] != "Component" || e["spec"].(map[string]any)["lifecycle"] != "production" {
			t.Errorf("a predicate and a filter find %v", e)
		}
	}
	for name, g := range got {
		if g.Error != nil && !slices.Contains([]string{"addLocation twice", "refreshEntity of none", "anonymous"}, name) {
			t.Errorf("%s: %v", name, *g.Error)
		}
	}
}
