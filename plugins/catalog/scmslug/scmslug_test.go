package scmslug_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/scmslug"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSlugs(t *testing.T) {
	t.Parallel()
	const (
		component = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: it }\nspec: { type: service, lifecycle: production, owner: team }\n"
		own       = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: it, annotations: { github.com/project-slug: other/repo } }\n" +
			"spec: { type: service, lifecycle: production, owner: team }\n"
	)
	for name, test := range map[string]struct {
		module                            plugin.Module
		target, content, annotation, want string
	}{
		"GitHub":       {scmslug.Module(), "https://github.com/acme/shop/blob/main/catalog-info.yaml", component, "github.com/project-slug", "acme/shop"},
		"GitLab":       {scmslug.Module(), "https://gitlab.com/acme/sub/shop/-/blob/main/catalog-info.yaml", component, "gitlab.com/project-slug", "acme/sub/shop"},
		"Azure":        {scmslug.Module(), "https://dev.azure.com/acme/project/_git/shop?path=/catalog-info.yaml", component, "dev.azure.com/project-repo", "project/shop"},
		"its own":      {scmslug.Module(), "https://github.com/acme/shop/blob/main/catalog-info.yaml", own, "github.com/project-slug", "other/repo"},
		"another kind": {scmslug.Module("api"), "https://github.com/acme/shop/blob/main/catalog-info.yaml", component, "github.com/project-slug", ""},
		"no forge":     {scmslug.Module(), "https://example.com/catalog-info.yaml", component, "github.com/project-slug", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := backendtest.Start(t, catalog.Plugin(), test.module, backendtest.URLReader(map[string]string{
				strings.Replace(test.target, "acme/shop/blob/", "acme/shop/tree/", 1): test.content}),
				backendtest.Config(map[string]any{"catalog": map[string]any{"locations": []any{map[string]any{"type": "url", "target": test.target}}}}))
			c := b.As(t, "user:default/guest")
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
				res := c.Get("/api/catalog/entities/by-name/component/default/it")
				if res.StatusCode == http.StatusOK {
					e := backendtest.JSON[struct {
						Metadata struct{ Annotations map[string]string }
					}](t, res)
					if got := e.Metadata.Annotations[test.annotation]; got != test.want {
						t.Errorf("%s is %q, want %q", test.annotation, got, test.want)
					}
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("the entity didn't arrive")
				}
			}
		})
	}
}
