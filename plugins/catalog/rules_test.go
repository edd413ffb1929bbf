package catalog_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/unprocessed"
)

func TestCatalogRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	head := "---\napiVersion: backstage.io/v1alpha1\n"
	all := component("part", "team") +
		head + "kind: Resource\nmetadata: { name: db }\nspec: { type: database, owner: team }\n" +
		head + "kind: Resource\nmetadata: { name: queue }\nspec: { type: queue, owner: team }\n" +
		head + "kind: Group\nmetadata: { name: team }\nspec: { type: team, children: [] }\n" +
		head + "kind: User\nmetadata: { name: jane }\nspec: { memberOf: [team] }\n"
	write(t, dir, "entities.yaml", all)
	file := write(t, dir, "all.yaml", head+"kind: Location\nmetadata: { name: all }\nspec: { target: ./entities.yaml }\n")
	everything := []any{"Component", "Location", "Resource", "Group", "User"}
	allow := func(kinds ...any) map[string]any { return map[string]any{"allow": kinds} }
	from := func(matchers ...any) map[string]any {
		return map[string]any{"allow": everything, "locations": matchers}
	}
	for name, test := range map[string]struct {
		rules []any // nil: none are configured
		here  []any // those of the location
		want  string
	}{
		"by default":                   {nil, nil, "component:part location:all"},
		"none":                         {[]any{}, nil, ""},
		"kinds in any case":            {[]any{allow("LOCATION", "user"), allow("component")}, nil, "component:part location:all user:jane"},
		"by type":                      {[]any{allow("Location", map[string]any{"kind": "resource", "spec.type": "Database"})}, nil, "location:all resource:db"},
		"of a location":                {nil, []any{allow("User"), allow("group")}, "component:part group:team location:all user:jane"},
		"of a location only":           {[]any{}, []any{allow("location", "Group")}, "group:team location:all"},
		"from a type of locations":     {[]any{from(map[string]any{"type": "file"})}, nil, "component:part group:team location:all resource:db resource:queue user:jane"},
		"from another type":            {[]any{allow("Location"), from(map[string]any{"type": "url"})}, nil, "location:all"},
		"from nowhere":                 {[]any{allow("Location"), from()}, nil, "location:all"},
		"from one place":               {[]any{from(map[string]any{"type": "file", "exact": file})}, nil, "component:part group:team location:all resource:db resource:queue user:jane"},
		"from where it was registered": {[]any{allow("Location"), from(map[string]any{"type": "file", "exact": filepath.Join(dir, "entities.yaml")})}, nil, "location:all"},
		"from places of a pattern":     {[]any{allow("Location"), map[string]any{"allow": []any{"User"}, "locations": []any{map[string]any{"type": "file", "pattern": "/**/{some,ALL}.y*"}}}}, nil, "location:all user:jane"},
		"from places of other pattern": {[]any{allow("Location"), map[string]any{"allow": []any{"User"}, "locations": []any{map[string]any{"type": "file", "pattern": "/*/all.yaml"}}}}, nil, "location:all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			location := map[string]any{"type": "file", "target": file}
			if test.here != nil {
				location["rules"] = test.here
			}
			config := map[string]any{"locations": []any{location}}
			if test.rules != nil {
				config["rules"] = test.rules
			}
			b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(), backendtest.Config(map[string]any{"catalog": config}))
			c := b.As(t, "user:default/guest")
			var served []string
			await(t, "all to be processed", func() bool {
				served = nil
				for _, e := range backendtest.JSON[[]struct {
					Kind     string
					Metadata struct{ Name string }
				}](t, c.Get("/api/catalog/entities")) {
					served = append(served, strings.ToLower(e.Kind)+":"+e.Metadata.Name)
				}
				pending := backendtest.JSON[struct{ Entities []any }](t, c.Get("/api/catalog/entities/unprocessed/pending"))
				return len(served) > strings.Count(test.want, ":") && len(pending.Entities) == 0 // one more: that of the configuration
			})
			served = slices.DeleteFunc(served, func(ref string) bool { return strings.HasPrefix(ref, "location:generated-") })
			slices.Sort(served)
			if got := strings.Join(served, " "); got != test.want {
				t.Errorf("%s are served, want %s", got, test.want)
			}
		})
	}
}
