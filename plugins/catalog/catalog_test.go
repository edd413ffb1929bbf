package catalog_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/unprocessed"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(memoryVariable); dir != "" {
		if err := serveMemory(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// kinds are all that a test catalog may have.
var kinds = []any{"Component", "API", "Resource", "System", "Domain", "Location", "User", "Group", "Template"}

// located is a configuration with one location, from which everything may come.
func located(files ...string) backend.Feature {
	var locations []any
	for _, file := range files {
		locations = append(locations, map[string]any{"type": "file", "target": file, "rules": []any{map[string]any{"allow": kinds}}})
	}
	return backendtest.Config(map[string]any{"catalog": map[string]any{"locations": locations}})
}

// eachDatabase runs a test with the configuration of each database.
func eachDatabase(t *testing.T, test func(t *testing.T, database backend.Feature)) {
	t.Helper()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		test(t, backendtest.Config(map[string]any{"backend": map[string]any{"database": config}}))
	})
}

// patience is how long tests wait for what comes in milliseconds if nobody else needs the machine.
const patience = 2 * time.Minute

// await waits until the condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// total is the number of entities that the catalog serves.
func total(t testing.TB, c *backendtest.Client) int {
	t.Helper()
	return backendtest.JSON[struct{ TotalItems int }](t, c.Get("/api/catalog/entities/by-query?limit=0")).TotalItems
}

// settle waits until the catalog serves n entities.
func settle(t *testing.T, b *backendtest.Backend, n int) *backendtest.Client {
	t.Helper()
	c := b.As(t, "user:default/guest")
	await(t, "the catalog to settle", func() bool { return total(t, c) == n })
	return c
}

// write writes a file into the directory.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// entity answers the entity with the given path below by-name.
func entity(t *testing.T, c *backendtest.Client, path string) map[string]any {
	t.Helper()
	res := c.Get("/api/catalog/entities/by-name/" + path)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", path, res.StatusCode)
	}
	return backendtest.JSON[map[string]any](t, res)
}

func component(name, owner string) string {
	return "---\napiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: " + name +
		" }\nspec: { type: service, lifecycle: production, owner: " + owner + " }\n"
}

func TestBadEntitiesDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "parts.yaml", component("good", "team")+
		"---\nkind: [\n"+ // no YAML
		"---\napiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: { name: team }\nspec: { type: team, children: [] }\n"+ // not allowed
		"---\nkind: Component\n"+ // no entity
		component("no owner", "x")+ // not valid
		component("also-good", "team"))
	file := write(t, dir, "all.yaml", "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: all }\n"+
		"spec: { targets: [./missing.yaml, ./parts.yaml, /etc/hostname, ../outside.yaml] }\n")
	b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(), backendtest.Config(map[string]any{"catalog": map[string]any{"locations": []any{
		map[string]any{"type": "file", "target": file}}}}))
	c := settle(t, b, 4)
	await(t, "the one that is not valid", func() bool { return failures(t, c)["component:default/no owner"] != "" })
	entity(t, c, "component/default/good")
	entity(t, c, "component/default/also-good")

	var status struct {
		Status struct {
			Items []struct{ Type, Level, Message string }
		}
	}
	text, _ := json.Marshal(entity(t, c, "location/default/all"))
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	var messages strings.Builder
	for _, item := range status.Status.Items {
		messages.WriteString(item.Message + "\n")
	}
	for _, want := range []string{
		"missing.yaml does not exist",
		"parts.yaml:7:8: malformed YAML",
		"NotAllowedError: " + filepath.Join(dir, "parts.yaml") + ":9: entity group:default/team",
		"InputError: " + filepath.Join(dir, "parts.yaml") + ":14: an entity needs the field apiVersion",
		"/etc/hostname could not be read",
		"outside.yaml could not be read",
	} {
		if !strings.Contains(messages.String(), want) {
			t.Errorf("the status of the Location lacks %q:\n%s", want, messages.String())
		}
	}
	const invalid = "parts.yaml:18: "
	if failed := failures(t, c); !strings.Contains(failed["component:default/no owner"], invalid) || strings.Contains(messages.String(), invalid) {
		t.Errorf("the name that is not valid is an error of the entity, with its line, not of the Location: %v\n%s", failed, messages.String())
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.txt", "text")
	write(t, dir, "a.json", `{"a": [1, true]}`)
	write(t, dir, "a.yaml", "b: {c: d}\n")
	file := write(t, dir, "all.yaml", "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: a }\n"+
		"spec: { type: {$text: ./a.txt}, lifecycle: x, owner: x, json: {$json: a.json}, list: [{$yaml: ./a.yaml}], other: {$unknown: x} }\n"+
		component("secret", "x")+"  # see below\n---\napiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: thief }\n"+
		"spec: { type: {$text: /etc/hostname}, lifecycle: x, owner: x }\n")
	b := backendtest.Start(t, catalog.Plugin(), located(file))
	c := settle(t, b, 3) // the Location, a and secret
	got, _ := json.Marshal(entity(t, c, "component/default/a")["spec"])
	want := `{"json":{"a":[1,true]},"lifecycle":"x","list":[{"b":{"c":"d"}}],"other":{"$unknown":"x"},"owner":"x","type":"text"}`
	if string(got) != want {
		t.Errorf("the spec is\n%s, want\n%s", got, want)
	}
}

func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		catalog map[string]any
		want    string
	}{
		"a processor that isn't there": {map[string]any{"processorOptions": map[string]any{"nope": map[string]any{"disabled": true}}}, `there is no processor "nope"`},
		"a misspelt key":               {map[string]any{"location": []any{}}, "catalog.location"},
		"a rule with two conditions":   {map[string]any{"rules": []any{map[string]any{"allow": []any{"API"}, "locations": []any{map[string]any{"type": "url", "exact": "a", "pattern": "b"}}}}}, "both exact and pattern"},
		"an interval of no kind":       {map[string]any{"processingInterval": "soon"}, "processingInterval"},
		"a location without a target":  {map[string]any{"locations": []any{map[string]any{"type": "file"}}}, "target"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := backendtest.TryStart(t, catalog.Plugin(), backendtest.Config(map[string]any{"catalog": c.catalog}))
			told := b.Log.String()
			if err != nil {
				told += err.Error()
			}
			if !strings.Contains(told, c.want) {
				t.Errorf("%q is not told: %v", c.want, err)
			}
		})
	}
}

func TestAncestry(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin(), located("testdata/fixtures/all.yaml"))
	c := settle(t, b, 23)
	type ancestry struct {
		RootEntityRef string
		Items         []struct {
			Entity           struct{ Metadata struct{ Name string } }
			ParentEntityRefs []string
		}
	}
	got := backendtest.JSON[ancestry](t, c.Get("/api/catalog/entities/by-name/Component/default/Checkout-Web/ancestry"))
	var names []string
	for _, item := range got.Items {
		names = append(names, item.Entity.Metadata.Name)
	}
	if got.RootEntityRef != "component:default/checkout-web" || len(names) != 3 || names[0] != "Checkout-Web" || names[1] != "acme-all" ||
		got.Items[1].ParentEntityRefs[0] != "location:default/"+strings.ToLower(names[2]) || len(got.Items[2].ParentEntityRefs) != 0 {
		t.Errorf("got %+v", got)
	}
	if res := c.Get("/api/catalog/entities/by-name/component/default/nope/ancestry"); res.StatusCode != http.StatusNotFound {
		t.Errorf("status %d for an unknown entity", res.StatusCode)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin())
	c := b.As(t, "user:default/guest")
	for _, path := range []string{
		"/entities?limit=x", "/entities?limit=-1", "/entities?limit=0", "/entities?offset=-1", "/entities?wat=1", "/entities?order=metadata.name",
		"/entities?fields=metadata.tags[0]", "/entities?after=eyJsaW1pdCI6LTF9", "/entities/by-query?totalItems=some", "/entities/by-query?limit=1.5",
		"/entities/by-name/a/b/c?x=y", "/entity-facets", "/entity-facets?facet=",
		"/entities?limit=1&limit=2", "/entities?filter=", "/changes?limit=0", "/entities/by-name/a/b/c/history?limit=201",
	} {
		if res := c.Get("/api/catalog" + path); res.StatusCode != http.StatusBadRequest {
			t.Errorf("GET %s: status %d", path, res.StatusCode)
		}
	}
	for _, x := range []struct{ path, body string }{
		{"/entities/by-refs", ""}, {"/entities/by-refs", "[]"}, {"/entities/by-refs", `{"entityRefs":"a"}`}, {"/entities/by-refs", `{"entityRefs":[],"query":1}`},
		{"/entities/by-query", `{"cursor":""}`}, {"/entities/by-query", `{"limit":-1}`}, {"/entities/by-query", `{"orderBy":[{"field":"a"}]}`},
		{"/entities/by-query", `{"totalItems":"some"}`}, {"/entity-facets", `{"facets":[]}`}, {"/entity-facets", `{"facets":["a"],"query":[]}`},
	} {
		if res := c.Post("/api/catalog"+x.path, strings.NewReader(x.body)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("POST %s %s: status %d", x.path, x.body, res.StatusCode)
		}
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "all.yaml", "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: more }\nspec: { target: ./more.yaml }\n")
	write(t, dir, "more.yaml", component("a", "one"))
	b := backendtest.Start(t, catalog.Plugin(), located(file))
	c := settle(t, b, 3)
	write(t, dir, "more.yaml", component("a", "two")+component("b", "two"))
	if res := c.Post("/api/catalog/refresh", map[string]string{"entityRef": "Component:default/A"}); res.StatusCode != http.StatusOK {
		t.Fatalf("status %d", res.StatusCode)
	}
	// The clock stands still: nothing but the refresh has the file read again.
	await(t, "the change to arrive", func() bool {
		return exists(c, "component/default/b") && entity(t, c, "component/default/a")["spec"].(map[string]any)["owner"] == "two"
	})
}

func TestValidateEntity(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin())
	c := b.As(t, "user:default/guest")
	valid := map[string]any{"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": map[string]any{"name": "x"},
		"spec": map[string]any{"type": "service", "lifecycle": "p", "owner": "o"}}
	for name, x := range map[string]struct {
		location string
		entity   any
		want     string
	}{
		"an incomplete envelope": {"url:http://example.com/a", map[string]any{"kind": "Component"}, "apiVersion"},
		"an incomplete spec":     {"url:http://example.com/a", map[string]any{"apiVersion": "backstage.io/v1alpha1", "kind": "API", "metadata": map[string]any{"name": "x"}}, "spec"},
		"an unknown kind":        {"url:http://example.com/a", map[string]any{"apiVersion": "a/v1", "kind": "What", "metadata": map[string]any{"name": "x"}}, "No processor recognized"},
		"a file":                 {"file:/etc/passwd", valid, "only 'url:<target>' is supported"},
		"a theft": {"url:http://example.com/a", map[string]any{"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": map[string]any{"name": "x",
			"annotations": map[string]any{"backstage.io/managed-by-location": "file:/etc/x", "backstage.io/managed-by-origin-location": "file:/etc/x"}},
			"spec": map[string]any{"type": map[string]any{"$text": "./hostname"}, "lifecycle": "p", "owner": "o"}}, "Placeholder"},
	} {
		res := c.Post("/api/catalog/validate-entity", map[string]any{"location": x.location, "entity": x.entity})
		got := backendtest.JSON[struct {
			Errors []struct{ Name, Message string }
		}](t, res)
		if res.StatusCode != http.StatusBadRequest || len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Message, x.want) {
			t.Errorf("%s: status %d, %+v, want %q", name, res.StatusCode, got, x.want)
		}
	}
	// As in Backstage, what the OpenAPI document does not allow is no mistake of an entity.
	res := c.Post("/api/catalog/validate-entity", map[string]any{"location": "url:http://example.com/a", "entity": []any{}})
	failed := backendtest.JSON[struct {
		Error struct{ Name, Message string }
	}](t, res).Error
	if want := "request/body/entity must be object, not array"; res.StatusCode != http.StatusBadRequest || failed.Name != "InputError" || failed.Message != want {
		t.Errorf("no entity: status %d, %+v, want %q", res.StatusCode, failed, want)
	}
}
