package github_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog/github"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
	"github.com/portico-dev/portico/plugins/events"
	webhooks "github.com/portico-dev/portico/plugins/events/github"
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

// TestWebhook has GitHub tell of a push by a signed webhook, which makes the registered location follow.
func TestWebhook(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.files = map[string]string{}
	s.commits = map[string][]object{"moves": {{"status": "renamed", "previous_filename": "a.yaml", "filename": "b.yaml"}}}
	const secret = "of the webhook"
	b := start(t, github.Module(), events.Plugin(), webhooks.Module(), s.config(token, nil), backendtest.Config(object{
		"catalog": object{"scmEvents": true},
		"events":  object{"modules": object{"github": object{"webhookSecret": secret}}},
	}))
	c := b.As(t, "user:default/guest")
	if res := c.Post("/api/catalog/locations", object{"type": "url", "target": s.URL + "/acme/shop/blob/main/a.yaml"}); res.StatusCode != 201 {
		t.Fatalf("registering: status %d", res.StatusCode)
	}
	payload, err := json.Marshal(push(s.payload("acme", "shop", nil), "refs/heads/main", object{"id": "moves", "added": []string{"b.yaml"}, "removed": []string{"a.yaml"}}))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL()+"/api/events/http/github", bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(payload)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", "push")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Errorf("the webhook is answered with %s", res.Status)
	}
	want := []string{"/acme/shop/blob/main/b.yaml"}
	served.Await(t, fmt.Sprint("the locations ", want), func() bool { return slices.Equal(s.registered(c), want) })
}
