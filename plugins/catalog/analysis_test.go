package catalog_test

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
)

func TestProposedEntities(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin(), backendtest.Config(map[string]any{"integrations": map[string]any{
		"gitlab": []any{map[string]any{"host": "git.acme.example.com", "apiBaseUrl": "https://git.acme.example.com/api/v4"}},
		"azure":  []any{map[string]any{"host": "dev.azure.com"}},
	}}))
	c := b.As(t, "user:default/guest")
	for _, test := range []struct{ target, name, annotation, slug string }{
		{"https://github.com/acme/shop", "shop", "github.com/project-slug", "acme/shop"},
		{"https://github.com/acme/shop.git", "shop", "github.com/project-slug", "acme/shop"},
		{"https://git.acme.example.com/acme/sub/shop", "shop", "gitlab.com/project-slug", "acme/sub/shop"},
		{"https://dev.azure.com/acme/project/_git/shop", "shop", "dev.azure.com/project-slug", "project/shop"},
		{"https://bitbucket.org/acme/shop", "shop", "", ""}, // as in Backstage
		{"https://elsewhere.example.com/acme/shop", "shop", "", ""},
	} {
		res := c.Post("/api/catalog/analyze-location", map[string]any{"location": map[string]any{"type": "url", "target": test.target}})
		got := backendtest.JSON[map[string]any](t, res)
		metadata := map[string]any{"name": test.name}
		if test.annotation != "" {
			metadata["annotations"] = map[string]any{test.annotation: test.slug}
		}
		want := map[string]any{"existingEntityFiles": []any{}, "generateEntities": []any{map[string]any{"fields": []any{}, "entity": map[string]any{
			"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata,
			"spec": map[string]any{"type": "other", "lifecycle": "unknown"},
		}}}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", test.target, got, want)
		}
	}
	for _, target := range []string{"", "shop", "ftp://example.com/a/b"} {
		res := c.Post("/api/catalog/analyze-location", map[string]any{"location": map[string]any{"type": "url", "target": target}})
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", target, res.Status)
		}
	}
}

// files is an analyzer that knows where the file of a repository is.
type files map[string]string

func (f files) Supports(url string) bool { return f[url] != "" }

func (f files) Analyze(_ context.Context, url, filename string) ([]string, error) {
	return []string{f[url] + "/" + filename}, nil
}

// unwilling analyzes nothing.
type unwilling struct{}

func (unwilling) AnalyzeLocation(_ context.Context, at catalogmodel.LocationRef, _ string) (catalogclient.Analysis, error) {
	return catalogclient.Analysis{}, service.InputError.Errorf("%s is not for us", at)
}

func analyzing(add func(catalog.Analysis)) plugin.Module {
	return plugin.NewModule("catalog", "analyzing", plugin.Init(func(a catalog.Analysis) { add(a) }))
}

func TestModulesAnalyzeLocations(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := s.put("/shop/catalog-info.yaml", component("shop", "team"))
	repository := "https://forge.example.com/acme/shop"
	var asking *catalogclient.Client
	backendtest.Start(t, catalog.Plugin(), client(&asking), readable(s.URL), analyzing(func(a catalog.Analysis) {
		a.AddSCMLocationAnalyzer(files{repository: strings.TrimSuffix(file, "/catalog-info.yaml")})
	}))
	found, err := asking.Analyze(t.Context(), catalogmodel.LocationRef{Type: "url", Target: repository}, "")
	if err != nil || len(found.Existing) != 2 || len(found.Generated) != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	if last := found.Existing[1]; last.Entity.Name() != "shop" || last.IsRegistered || last.Location.Target != file {
		t.Errorf("%+v", last)
	}

	b := backendtest.Start(t, catalog.Plugin(), analyzing(func(a catalog.Analysis) { a.SetLocationAnalyzer(unwilling{}) }))
	res := b.As(t, "user:default/guest").Post("/api/catalog/analyze-location", map[string]any{"location": map[string]any{"type": "url", "target": repository}})
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(backendtest.JSON[struct{ Error struct{ Message string } }](t, res).Error.Message, "is not for us") {
		t.Errorf("a replaced analyzer: %s", res.Status)
	}
}
