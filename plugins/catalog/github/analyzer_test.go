package github_test

import (
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog/github"
)

// search finds files by "filename:x extension:y repo:o/r", as GitHub's code search does for those with credentials.
func (s *gitHub) search(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer pat" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	items := []object{}
	for file := range s.files {
		if r.FormValue("q") == "filename:"+path.Base(file)+" extension:yaml repo:acme/shop" {
			items = append(items, object{"name": path.Base(file), "path": file})
		}
	}
	answer(w, object{"total_count": len(items), "items": items})
}

func (s *gitHub) metadata(w http.ResponseWriter, r *http.Request) {
	answer(w, object{"name": r.PathValue("name"), "default_branch": "trunk"})
}

func TestAnalyzeRepository(t *testing.T) {
	t.Parallel()
	const component = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: shop}\nspec: {type: service, lifecycle: p, owner: o}\n"
	s := newGitHub(t)
	s.files = map[string]string{"backend/catalog-info.yaml": component, "other.yaml": strings.Replace(component, "shop", "other", 1)}
	b := start(t, s.config(token, object{}), github.Module())
	c := b.As(t, "user:default/guest")
	type existing struct {
		Location     struct{ Type, Target string }
		IsRegistered bool
		Entity       struct {
			Kind     string
			Metadata struct{ Name string }
		}
	}
	analyze := func(body object) (found []existing, proposed int) {
		t.Helper()
		res := c.Post("/api/catalog/analyze-location", body)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", res.Status, backendtest.JSON[any](t, res))
		}
		got := backendtest.JSON[struct {
			ExistingEntityFiles []existing
			GenerateEntities    []any
		}](t, res)
		return got.ExistingEntityFiles, len(got.GenerateEntities)
	}
	location := object{"type": "url", "target": s.URL + "/acme/shop"}
	file := s.URL + "/acme/shop/blob/trunk/backend/catalog-info.yaml"
	for registered := range 2 {
		found, proposed := analyze(object{"location": location})
		if proposed != 0 || len(found) != 2 { // the Location of the file, and the Component
			t.Fatalf("got %+v and %d proposals", found, proposed)
		}
		last := found[1]
		if last.Entity.Metadata.Name != "shop" || last.Location.Target != file || last.Location.Type != "url" || last.IsRegistered != (registered == 1) {
			t.Errorf("got %+v", last)
		}
		if res := c.Post("/api/catalog/locations", object{"type": "url", "target": file}); res.StatusCode != http.StatusCreated && registered == 0 {
			t.Fatalf("registering the file: %s", res.Status)
		}
	}
	if found, _ := analyze(object{"location": location, "catalogFilename": "other.yaml"}); len(found) != 2 || found[1].Entity.Metadata.Name != "other" {
		t.Errorf("by another name: %+v", found)
	}
	if found, proposed := analyze(object{"location": location, "catalogFilename": "none.yaml"}); len(found) != 0 || proposed != 1 {
		t.Errorf("without a file: %+v and %d proposals", found, proposed)
	}
}
