package catalog_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

// TestPatternsOfFiles has Locations point to files by patterns: as far as they may, and beyond.
func TestPatternsOfFiles(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	write(t, outside, "secret.yaml", component("secret", "team"))
	dir := filepath.Join(t.TempDir(), "catalog")
	for _, sub := range []string{"parts/deep/er", "teams/one", "teams/two", "[odd]"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"linked": outside, "linked.yaml": filepath.Join(outside, "secret.yaml")} {
		if err := os.Symlink(to, filepath.Join(dir, "parts", link)); err != nil {
			t.Fatal(err)
		}
	}
	for file, name := range map[string]string{"a.yaml": "a", "b.yaml": "b", "c.txt": "c", "parts/p1.yaml": "p1", "parts/p2.yaml": "p2", "parts/deep/p3.yaml": "p3",
		"parts/deep/er/p4.yaml": "p4", "teams/one/catalog-info.yaml": "one", "teams/two/catalog-info.yaml": "two", "teams/two/other.yaml": "other", "[odd]/x.yaml": "odd"} {
		write(t, dir, filepath.FromSlash(file), component(name, "team"))
	}
	all := write(t, dir, "all.yaml", "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: all }\nspec: { targets: ["+
		`"./*.yaml", "./parts/**/p?.yaml", "./parts/*/secret.yaml", "./parts/linked.{yaml,yml}", "./[odd]/x.yaml", "./none/*.yaml", "../*/*.yaml", "/etc/*", "./[" ] }`+"\n")
	b := backendtest.Start(t, catalog.Plugin(), located(all, filepath.Join(dir, "teams", "*", "catalog-info.yaml")))
	c := settle(t, b, 12)
	for _, name := range []string{"a", "b", "p1", "p2", "p3", "p4", "odd", "one", "two"} {
		entity(t, c, "component/default/"+name)
	}
	annotations := entity(t, c, "component/default/two")["metadata"].(map[string]any)["annotations"].(map[string]any)
	if at := annotations["backstage.io/managed-by-location"]; at != "file:"+filepath.Join(dir, "teams", "two", "catalog-info.yaml") {
		t.Errorf("an entity was read at %v", at)
	}
	status := errorsOf(t, c, "location/default/all")
	for _, want := range []string{"parts/*/secret.yaml does not exist", "linked.{yaml,yml} does not exist", "none/*.yaml does not exist", "/etc/* could not be read: it is outside",
		"/*/*.yaml could not be read: it is outside", "[ could not be read: syntax error in pattern"} {
		if !strings.Contains(status, want) {
			t.Errorf("the status of the Location lacks %q:\n%s", want, status)
		}
	}
	for _, not := range []string{"declared a second time", "secret'", "odd"} {
		if strings.Contains(status, not) {
			t.Errorf("the status of the Location has %q:\n%s", not, status)
		}
	}
}

// TestDuplicatesInOneLocation adds to a file what another file of the same Location has already. The one that was there first stays.
func TestDuplicatesInOneLocation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.yaml", component("a", "team"))
	write(t, dir, "b.yaml", component("twice", "first"))
	all := write(t, dir, "all.yaml", "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: all }\nspec: { targets: [./a.yaml, ./b.yaml] }\n")
	b := backendtest.Start(t, catalog.Plugin(), located(all))
	c := settle(t, b, 4)
	uid := entity(t, c, "component/default/twice")["metadata"].(map[string]any)["uid"]

	write(t, dir, "a.yaml", component("a", "team")+component("twice", "second")+component("twice", "third"))
	if res := c.Post("/api/catalog/refresh", map[string]string{"entityRef": "location:default/all"}); res.StatusCode != http.StatusOK {
		t.Fatalf("refreshing: status %d", res.StatusCode)
	}
	const a, other = "a.yaml:12: component:default/twice is declared a second time", "b.yaml:2: component:default/twice is declared a second time"
	await(t, "the duplicates to be reported", func() bool {
		status := errorsOf(t, c, "location/default/all")
		return strings.Contains(status, a) && strings.Contains(status, other)
	})
	e := entity(t, c, "component/default/twice")
	metadata := e["metadata"].(map[string]any)
	if owner := e["spec"].(map[string]any)["owner"]; owner != "first" || metadata["uid"] != uid {
		t.Errorf("it is the one of %v, with the uid %v, before %v", owner, metadata["uid"], uid)
	}
	if orphan := metadata["annotations"].(map[string]any)["backstage.io/orphan"]; orphan != nil {
		t.Error("it is an orphan")
	}
}
