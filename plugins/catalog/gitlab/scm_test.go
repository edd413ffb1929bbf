package gitlab_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog/gitlab"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// TestRegisteredLocationsFollow publishes one event after the other, and looks where the registered locations are then.
func TestRegisteredLocationsFollow(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.projects = []object{s.project(1, "acme/shop", nil), s.project(2, "acme/other", nil), s.project(3, "umbrella/store", nil)}
	s.commits = map[string][]object{
		"1:moves": {{"old_path": "a.yaml", "new_path": "b.yaml", "renamed_file": true}, {"old_path": "x", "new_path": "x"}},
		"1:swaps": {{"old_path": "a.yaml", "new_path": "a.yaml", "deleted_file": true}, {"old_path": "c.yaml", "new_path": "c.yaml", "new_file": true}},
	}
	config := s.config(nil)
	b := start(t, gitlab.Module(), config, backendtest.Config(object{"catalog": object{"scmEvents": true}}))
	c := b.As(t, "user:default/guest")
	registered := func() []string {
		var all []string
		for _, l := range backendtest.JSON[[]struct{ Data struct{ Target string } }](t, c.Get("/api/catalog/locations")) {
			all = append(all, strings.TrimPrefix(l.Data.Target, s.URL))
		}
		slices.Sort(all)
		return all
	}
	push := func(id int, ref string, commits ...object) object {
		p := s.projects[id-1]
		return object{"object_kind": "push", "ref": "refs/heads/" + ref, "project_id": id, "commits": commits,
			"project": object{"id": id, "web_url": p["web_url"], "path_with_namespace": p["path_with_namespace"], "default_branch": "main"}}
	}
	removes := object{"id": "r", "added": []string{}, "modified": []string{}, "removed": []string{"a.yaml"}}
	pretended := push(1, "main", removes)
	pretended["project"].(object)["web_url"] = "https://gitlab.example.com/acme/shop"
	commit := func(id string) object {
		return object{"id": id, "added": []string{"b.yaml"}, "removed": []string{"a.yaml"}}
	}
	const a, moved, other, store = "/acme/shop/-/blob/main/a.yaml", "/acme/shop/-/blob/main/b.yaml", "/acme/other/-/blob/main/a.yaml", "/umbrella/store/-/blob/main/a.yaml"
	for _, path := range []string{a, other, "/acme/store/-/blob/main/a.yaml"} {
		if res := c.Post("/api/catalog/locations", object{"type": "url", "target": s.URL + path}); res.StatusCode != 201 {
			t.Fatalf("registering %s: status %d", path, res.StatusCode)
		}
	}
	transferred := object{"path_with_namespace": "umbrella/store", "old_path_with_namespace": "acme/store", "project_id": 3}
	for _, step := range []struct {
		name, topic string
		payload     object
		want        []string
	}{
		{"transferred", "gitlab.project_transfer", transferred, []string{a, other, store}},
		{"renamed to what isn't there", "gitlab.project_rename", object{"path_with_namespace": "acme/nope", "old_path_with_namespace": "acme/shop"}, []string{a, other, store}},
		{"said to be gone, but there", "gitlab.project_destroy", object{"path_with_namespace": "acme/other"}, []string{a, other, store}},
		{"of no kind", "gitlab.project_destroy", object{"path_with_namespace": 1}, []string{a, other, store}},
		{"a push that pretends", "gitlab.push", pretended, []string{a, other, store}},
		{"another branch", "gitlab.push", push(1, "dev", removes), []string{a, other, store}},
		{"a commit that nobody may see", "gitlab.push", push(1, "main", commit("hidden"), removes), []string{a, other, store}},
		{"another name", "gitlab.push", push(1, "main", commit("moves")), []string{moved, other, store}},
		{"its own name", "gitlab.push", push(2, "main", removes), []string{moved, store}},
	} {
		t.Log(step.name)
		b.Publish(t, step.topic, step.payload)
		slices.Sort(step.want)
		served.Await(t, fmt.Sprint("the locations ", step.want), func() bool { return slices.Equal(registered(), step.want) })
	}
	s.with(func() { s.projects = s.projects[:2] })
	b.Publish(t, "gitlab.project_destroy", object{"path_with_namespace": "umbrella/store"})
	served.Await(t, "the store to go", func() bool { return slices.Equal(registered(), []string{moved}) })
}
