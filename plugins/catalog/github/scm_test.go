package github_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog/github"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// registered are the targets of the registered locations, without the server.
func (s *gitHub) registered(c *backendtest.Client) []string {
	var all []string
	for _, l := range backendtest.JSON[[]struct{ Data struct{ Target string } }](s.t, c.Get("/api/catalog/locations")) {
		all = append(all, strings.TrimPrefix(l.Data.Target, s.URL))
	}
	slices.Sort(all)
	return all
}

// TestRegisteredLocationsFollow publishes one event after the other, and looks where the registered locations are then.
func TestRegisteredLocationsFollow(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.files = map[string]string{}
	s.commits = map[string][]object{
		"moves": {{"status": "renamed", "previous_filename": "a.yaml", "filename": "b.yaml"}, {"status": "modified", "filename": "README.md"}},
		"back":  {{"status": "renamed", "previous_filename": "b.yaml", "filename": "a.yaml"}},
		"swaps": {{"status": "removed", "filename": "a.yaml"}, {"status": "added", "filename": "c.yaml"}},
	}
	b := start(t, github.Module(), s.config(token, nil), backendtest.Config(object{"catalog": object{"scmEvents": true}}))
	c := b.As(t, "user:default/guest")
	add := func(path string) {
		t.Helper()
		if res := c.Post("/api/catalog/locations", object{"type": "url", "target": s.URL + path}); res.StatusCode != 201 {
			t.Fatalf("registering %s: status %d", path, res.StatusCode)
		}
	}
	of := func(name string, more object) object { return s.payload("acme", name, more) }
	commit := func(id string) object {
		return object{"id": id, "added": []string{"x.yaml"}, "removed": []string{"y.yaml"}}
	}
	const a, b2, trunk, store = "/acme/shop/blob/main/a.yaml", "/acme/shop/blob/main/b.yaml", "/acme/shop/blob/trunk/a.yaml", "/acme/store/blob/trunk/a.yaml"
	const moved, other = "/umbrella/store/blob/trunk/a.yaml", "/acme/shop-two/blob/main/a.yaml"
	add(a)
	add(other)
	for _, step := range []struct {
		name, topic string
		payload     object
		want        []string
	}{
		{"another branch", "github.push", push(of("shop", nil), "refs/heads/dev", removed("a.yaml")), []string{a, other}},
		{"gone and back", "github.push", push(of("shop", nil), "refs/heads/main", removed("a.yaml"), added("a.yaml")), []string{a, other}},
		{"of another server", "github.push", push(of("shop", object{"html_url": "https://evil.example.com/acme/shop"}), "refs/heads/main", removed("a.yaml")), []string{a, other}},
		{"that pretends", "github.push", push(of("x", object{"html_url": s.URL + "/acme/shop"}), "refs/heads/main", removed("a.yaml")), []string{a, other}},
		{"of no kind", "github.push", object{"repository": 1}, []string{a, other}},
		{"too much", "github.push", push(of("shop", nil), "refs/heads/main", slices.Repeat([]object{removed("a.yaml")}, 2048)...), []string{a, other}},
		{"a commit that nobody may see", "github.push", push(of("shop", nil), "refs/heads/main", commit("hidden"), removed("a.yaml")), []string{a, other}},
		{"another name", "github.push", push(of("shop", nil), "refs/heads/main", commit("moves")), []string{b2, other}},
		{"its name again", "github.push", push(of("shop", nil), "refs/heads/main", commit("back")), []string{a, other}},
		{"renamed to nothing", "github.repository", object{"action": "renamed", "repository": of("store", nil)}, []string{a, other}},
		{"described", "github.repository", object{"action": "edited", "changes": object{"description": object{"from": "x"}}, "repository": of("shop", nil)}, []string{a, other}},
		{"another default branch", "github.repository", object{"action": "edited", "changes": object{"default_branch": object{"from": "main"}},
			"repository": of("shop", object{"default_branch": "trunk"})}, []string{trunk, other}},
		{"renamed", "github.repository", object{"action": "renamed", "changes": object{"repository": object{"name": object{"from": "shop"}}},
			"repository": of("store", object{"default_branch": "trunk"})}, []string{store, other}},
		{"transferred", "github.repository", object{"action": "transferred", "changes": object{"owner": object{"from": object{"organization": object{"login": "acme"}}}},
			"repository": s.payload("umbrella", "store", object{"default_branch": "trunk"})}, []string{moved, other}},
		{"archived", "github.repository", object{"action": "archived", "repository": s.payload("umbrella", "store", nil)}, []string{moved, other}},
		{"deleted", "github.repository", object{"action": "deleted", "repository": s.payload("umbrella", "store", nil)}, []string{other}},
		{"the file is gone", "github.push", push(of("shop-two", nil), "refs/heads/main", commit("swaps")), nil},
	} {
		t.Log(step.name)
		b.Publish(t, step.topic, step.payload)
		slices.Sort(step.want)
		served.Await(t, fmt.Sprint("the locations ", step.want), func() bool { return slices.Equal(s.registered(c), step.want) })
	}
}
