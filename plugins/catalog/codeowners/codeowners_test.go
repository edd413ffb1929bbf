package codeowners_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/codeowners"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	github = "https://github.com/acme/shop/blob/main/"
	entity = "apiVersion: backstage.io/v1alpha1\nkind: %s\nmetadata: { name: it }\nspec: { type: service, lifecycle: production%s }\n"
)

// owner is the owner of the entity at a URL in a catalog that can read these files, or an empty text if it isn't valid.
func owner(t *testing.T, target, kind, spec string, files map[string]string) string {
	t.Helper()
	all := maps.Clone(files)
	all[strings.Replace(target, "shop/blob/", "shop/tree/", 1)] = fmt.Sprintf(entity, kind, spec)
	b := backendtest.Start(t, catalog.Plugin(), codeowners.Module(), backendtest.URLReader(all),
		backendtest.Config(map[string]any{"catalog": map[string]any{
			"locations": []any{map[string]any{"type": "url", "target": target, "rules": []any{map[string]any{"allow": []any{"Component", "Group"}}}}}}}))
	c := b.As(t, "user:default/guest")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		res := c.Get("/api/catalog/entities/by-name/" + kind + "/default/it")
		switch {
		case res.StatusCode == http.StatusOK:
			return backendtest.JSON[struct{ Spec struct{ Owner string } }](t, res).Spec.Owner
		case strings.Contains(b.Log.String(), "An entity could not be processed"):
			return ""
		case time.Now().After(deadline):
			t.Fatal("the entity was neither brought nor refused")
		}
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rules, spec, want string
	}{
		"a team":                {"* @acme/team-a", "", "team-a"},
		"a user":                {"* @ann", "", "User:ann"},
		"an address":            {"* team.b@example.com", "", "team.b"},
		"a name":                {"* team-c", "", "team-c"},
		"the first owner":       {"* @acme/team-a @acme/team-b", "", "team-a"},
		"the last rule":         {"* @acme/team-a\n/services/ @acme/team-b # theirs\n/docs/ @acme/team-c", "", "team-b"},
		"a pattern":             {"*.yaml @acme/yaml\n*.go @acme/go", "", "yaml"},
		"lines of other forges": {"[Backend][2] @acme/none\n^[Docs]\n\n# all\n* @acme/team-a", "", "team-a"},
		"none for the file":     {"* @acme/team-a\n/services/", "", ""},
		"one of its own":        {"* @acme/team-a", ", owner: team-z", "team-z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"https://github.com/acme/shop/tree/main/CODEOWNERS": test.rules}
			if got := owner(t, github+"services/api/catalog-info.yaml", "Component", test.spec, files); got != test.want {
				t.Errorf("the owner is %q, want %q", got, test.want)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		target string
		files  map[string]string
		want   string
	}{
		"GitHub's first": {github + "catalog-info.yaml", map[string]string{
			"https://github.com/acme/shop/tree/main/.github/CODEOWNERS": "* @acme/first", "https://github.com/acme/shop/tree/main/CODEOWNERS": "* @acme/second"}, "first"},
		"GitHub's last": {github + "catalog-info.yaml", map[string]string{"https://github.com/acme/shop/tree/main/docs/CODEOWNERS": "* @acme/docs"}, "docs"},
		"GitLab":        {"https://gitlab.com/acme/sub/shop/-/blob/main/catalog-info.yaml", map[string]string{"https://gitlab.com/acme/sub/shop/-/blob/main/.gitlab/CODEOWNERS": "* @acme/lab"}, "lab"},
		"none":          {github + "catalog-info.yaml", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{}
			maps.Copy(files, test.files)
			if got := owner(t, test.target, "Component", "", files); got != test.want {
				t.Errorf("the owner is %q, want %q", got, test.want)
			}
		})
	}
}

func TestKindsWithoutOwner(t *testing.T) {
	t.Parallel()
	files := map[string]string{"https://github.com/acme/shop/tree/main/CODEOWNERS": "* @acme/team-a"}
	if got := owner(t, github+"catalog-info.yaml", "Group", ", children: []", files); got != "" {
		t.Errorf("a Group has the owner %q", got)
	}
}
