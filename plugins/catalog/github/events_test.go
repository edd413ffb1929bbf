package github_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portico-dev/portico/plugins/catalog/github"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// payload is the repository of an event, as webhooks have it.
func (s *gitHub) payload(owner, name string, more object) object {
	p := object{
		"name": name, "full_name": owner + "/" + name, "html_url": s.URL + "/" + owner + "/" + name, "url": s.URL + "/api/v3/repos/" + owner + "/" + name,
		"default_branch": "main", "topics": []string{"backstage"}, "archived": false, "fork": false, "visibility": "internal",
		"owner": object{"login": owner, "type": "Organization"},
	}
	for k, v := range more {
		p[k] = v
	}
	return p
}

func push(repository object, ref string, commits ...object) object {
	return object{"ref": ref, "repository": repository, "organization": object{"login": "acme"}, "commits": commits}
}

func added(files ...string) object {
	return object{"added": files, "removed": []string{}, "modified": []string{}}
}
func removed(files ...string) object {
	return object{"added": []string{}, "removed": files, "modified": []string{}}
}

// TestEvents publishes one event after the other and looks at what the catalog has then. The server isn't asked for lists in between.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.repos["Acme"] = nil
	b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "Acme",
		"filters": object{"topic": object{"exclude": []any{"old"}}}}}))
	served.Await(t, "the first run", func() bool { return strings.Contains(b.Log.String(), "Read 0 GitHub repositories") })
	const shop, shopOnDev, store = "/acme/shop/blob/main/catalog-info.yaml", "/acme/shop/blob/dev/catalog-info.yaml", "/acme/store/blob/dev/catalog-info.yaml"
	of := s.payload("acme", "shop", nil)
	onDev := s.payload("acme", "shop", object{"default_branch": "dev"})
	for _, step := range []struct {
		name, topic string
		payload     object
		want        []string
	}{
		{"another file", "github.push", push(of, "refs/heads/main", added("main.go")), nil},
		{"another branch", "github.push", push(of, "refs/heads/feature", added("catalog-info.yaml")), nil},
		{"the file", "github.push", push(of, "refs/heads/main", added("README.md", "catalog-info.yaml")), []string{shop}},
		{"gone and back again", "github.push", push(of, "refs/heads/main", removed("catalog-info.yaml"), added("catalog-info.yaml")), []string{shop}},
		{"gone", "github.push", push(of, "refs/heads/main", removed("catalog-info.yaml")), nil},
		{"back", "github.push", push(of, "refs/heads/main", added("catalog-info.yaml")), []string{shop}},
		{"of another organization", "github.push", push(s.payload("other", "shop", nil), "refs/heads/main", added("catalog-info.yaml")), []string{shop}},
		{"that pretends", "github.push", push(s.payload("acme", "x", object{"html_url": "https://evil.example.com/acme/x"}), "refs/heads/main", added("catalog-info.yaml")), []string{shop}},
		{"that pretends by a path", "github.push", push(s.payload("acme", "x", object{"html_url": s.URL + "/acme/x/../../other/y"}), "refs/heads/main", added("catalog-info.yaml")), []string{shop}},
		{"no repository", "github.push", object{"ref": "refs/heads/main"}, []string{shop}},
		{"of no kind", "github.repository", object{"repository": "shop"}, []string{shop}},
		{"that isn't chosen", "github.push", push(s.payload("acme", "x", object{"topics": []string{"old"}}), "refs/heads/main", added("catalog-info.yaml")), []string{shop}},
		{"created", "github.repository", object{"action": "created", "repository": s.payload("acme", "new", nil)}, []string{shop}},
		{"described", "github.repository", object{"action": "edited", "changes": object{"description": object{"from": "x"}}, "repository": of}, []string{shop}},
		{"another default branch", "github.repository", object{"action": "edited", "changes": object{"default_branch": object{"from": "main"}}, "repository": onDev}, []string{shopOnDev}},
		{"renamed", "github.repository", object{"action": "renamed", "changes": object{"repository": object{"name": object{"from": "shop"}}}, "repository": s.payload("acme", "store", object{"default_branch": "dev"})}, []string{store}},
		{"archived", "github.repository", object{"action": "archived", "repository": s.payload("acme", "store", object{"default_branch": "dev", "archived": true})}, nil},
		{"unarchived", "github.repository", object{"action": "unarchived", "repository": s.payload("acme", "store", object{"default_branch": "dev"})}, []string{store}},
		{"deleted", "github.repository", object{"action": "deleted", "repository": s.payload("acme", "store", object{"default_branch": "dev"})}, nil},
		{"transferred to here", "github.repository", object{"action": "transferred", "repository": of}, []string{shop}},
	} {
		t.Log(step.name)
		b.Publish(t, step.topic, step.payload)
		served.Targets(t, b, s.URL, step.want...)
	}
	if got := s.operations(); len(got) != 1 {
		t.Errorf("the server was asked for %q", got)
	}
}

// TestEventsWithValidation has the server asked whether the file is there.
func TestEventsWithValidation(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.repos["acme"] = nil
	b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "acme", "validateLocationsExist": true}}))
	served.Await(t, "the first run", func() bool { return strings.Contains(b.Log.String(), "Read 0 GitHub repositories") })
	unarchived := object{"action": "unarchived", "repository": s.payload("acme", "shop", nil)}
	s.with(func() { s.repos["acme"] = []repo{{name: "shop", branch: "main"}} })
	b.Publish(t, "github.repository", unarchived)
	served.Targets(t, b, s.URL)
	s.with(func() { s.repos["acme"][0].file = "kind: Component" })
	b.Publish(t, "github.repository", unarchived)
	served.Targets(t, b, s.URL, "/acme/shop/blob/main/catalog-info.yaml")
}

// TestPushesToFiles changes what is in files and tells by events, whose files the catalog reads at once. Its clock stands still.
func TestPushesToFiles(t *testing.T) {
	t.Parallel()
	const component = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: shop, description: %s }\n" +
		"spec: { type: service, lifecycle: production, owner: team }\n"
	s := newGitHub(t)
	s.repos["acme"], s.files = []repo{{name: "shop", branch: "main"}}, map[string]string{}
	b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "acme"}}))
	served.Targets(t, b, s.URL, "/acme/shop/blob/main/catalog-info.yaml")
	change := func(file, content, commit string) {
		s.with(func() { s.files[file] = content })
		b.Publish(t, "github.push", push(s.payload("acme", "shop", nil), "refs/heads/main", object{commit: []string{file}}))
	}
	change("catalog-info.yaml", fmt.Sprintf(component, "first"), "added")
	served.Part(t, b, "component:default/shop", `"first"`, "metadata", "description")
	change("docs/my description.txt", "third", "added")
	change("catalog-info.yaml", fmt.Sprintf(component, "second"), "modified")
	served.Part(t, b, "component:default/shop", `"second"`, "metadata", "description")
	change("catalog-info.yaml", fmt.Sprintf(component, "{ $text: './docs/my%20description.txt' }"), "modified")
	served.Part(t, b, "component:default/shop", `"third"`, "metadata", "description")
	change("docs/my description.txt", "fourth", "modified")
	served.Part(t, b, "component:default/shop", `"fourth"`, "metadata", "description")
	s.with(func() { delete(s.files, "catalog-info.yaml") })
	b.Publish(t, "github.push", push(s.payload("acme", "shop", nil), "refs/heads/main", removed("catalog-info.yaml")))
	served.Targets(t, b, s.URL)
	served.Gone(t, b, "component:default/shop")
}
