package github_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/github"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// fill fills the server with two organizations that share a user.
func (s *gitHub) fill() {
	s.users["Acme"] = []object{
		member("ann", object{"name": "Ann A.", "bio": "Writes.", "email": "ann@public.example.com", "organizationVerifiedDomainEmails": []string{"ann+x@acme.com"}}),
		member("Bob", nil),
		member("gone", object{"suspendedAt": "2026-01-01T00:00:00Z"}),
	}
	s.teams["Acme"] = []object{
		team("Acme", "all", "All", "", "ann", "Bob", "gone"),
		team("Acme", "core", "The Core", "all", "ann"),
	}
	s.users["other"] = []object{member("Bob", object{"name": "Another Bob"}), member("cid", nil)}
	s.teams["other"] = []object{team("other", "all", "Others", "", "Bob", "cid")}
}

func (s *gitHub) orgConfig(more object) object {
	c := object{"id": "prod", "githubUrl": s.URL, "orgs": []any{"Acme", "other"}, "schedule": object{"frequency": "PT1H", "timeout": "PT15M"}}
	for k, v := range more {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return object{"githubOrg": c}
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.fill()
	b := start(t, github.OrgModule(), s.config(token, s.orgConfig(object{"excludeSuspendedUsers": true,
		"pageSizes": object{"teams": 1, "teamMembers": 1, "organizationMembers": 2}})))
	served.Part(t, b, "user:default/cid", `["other/all"]`, "spec", "memberOf")

	page := "https://" + s.host()
	want := object{
		"metadata": object{
			"namespace": "default", "name": "ann", "description": "Writes.",
			"annotations": object{
				"backstage.io/managed-by-location": "url:" + page + "/ann", "backstage.io/managed-by-origin-location": "url:" + page + "/ann",
				"github.com/user-login": "ann", "github.com/user-id": "U_ann",
			},
		},
		"spec": object{
			"profile":  object{"displayName": "Ann A.", "email": "ann@public.example.com", "picture": "https://avatars.example.com/ann"},
			"memberOf": []any{"acme/all", "acme/core"},
		},
	}
	wantEntity(t, served.Entity(t, b, "user:default/ann"), want)
	wantEntity(t, served.Entity(t, b, "group:acme/all"), object{
		"metadata": object{
			"namespace": "acme", "name": "all",
			"annotations": object{
				"backstage.io/managed-by-location": "url:" + page + "/orgs/Acme/teams/all", "backstage.io/managed-by-origin-location": "url:" + page + "/orgs/Acme/teams/all",
				"github.com/team-slug": "Acme/all", "backstage.io/edit-url": "https://github.com/orgs/Acme/teams/all/edit",
			},
		},
		"spec": object{
			"type": "team", "profile": object{"displayName": "All", "picture": "https://avatars.example.com/t/all"},
			"children": []any{"core"}, "members": []any{"default/Bob", "default/ann", "default/gone"},
		},
	})
	served.Part(t, b, "group:acme/core", `"all"`, "spec", "parent")
	served.Part(t, b, "user:default/bob", `["acme/all","other/all"]`, "spec", "memberOf")
	served.Part(t, b, "user:default/bob", `{"picture":"https://avatars.example.com/Bob"}`, "spec", "profile")
	if served.Entity(t, b, "user:default/gone") != nil {
		t.Error("a suspended user is in the catalog")
	}
}

// wantEntity compares what the catalog doesn't add.
func wantEntity(t *testing.T, got, want object) {
	t.Helper()
	metadata := got["metadata"].(object)
	delete(metadata, "uid")
	delete(metadata, "etag")
	for _, annotation := range []string{"backstage.io/view-url", "backstage.io/source-location"} {
		delete(metadata["annotations"].(object), annotation)
	}
	for _, field := range []string{"metadata", "spec"} {
		if !reflect.DeepEqual(got[field], want[field]) {
			t.Errorf("%s is\n%v, want\n%v", field, got[field], want[field])
		}
	}
}

func TestOneOrganizationOfAnApp(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.fill()
	s.installed = []string{"Acme"}
	for name, test := range map[string]struct {
		more      object
		namespace string
	}{
		"named":     {object{"orgs": []any{"Acme"}}, "default"},
		"installed": {object{"orgs": nil}, "acme"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, github.OrgModule(), s.config(object{"apps": []any{app(t)}}, s.orgConfig(test.more)))
			served.Part(t, b, "group:"+test.namespace+"/core", `"core"`, "metadata", "name")
			// An app can't see addresses.
			served.Part(t, b, "user:default/ann", `{"displayName":"Ann A.","picture":"https://avatars.example.com/ann"}`, "spec", "profile")
		})
	}
}

func TestTransformers(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.fill()
	users := github.TransformUsers(func(_ context.Context, u github.User, e catalogmodel.Entity) (catalogmodel.Entity, error) {
		if u.Organization == "other" {
			return catalogmodel.Entity{}, nil
		}
		return e.With(catalogmodel.StringValue("x-"+u.Login), "metadata", "name"), nil
	})
	teams := github.TransformTeams(func(_ context.Context, team github.Team, e catalogmodel.Entity) (catalogmodel.Entity, error) {
		if team.Slug == "core" {
			return catalogmodel.Entity{}, nil
		}
		v, err := catalogmodel.ValueOf([]string{"user:default/x-ann"})
		return e.With(v, "spec", "members"), err
	})
	b := start(t, github.OrgModule(users, teams), s.config(token, s.orgConfig(object{"defaultUserTransformer": object{"useVerifiedEmails": true}})))
	served.Part(t, b, "user:default/x-ann", `["acme/all","other/all"]`, "spec", "memberOf")
	served.Part(t, b, "user:default/x-ann", `"ann@acme.com"`, "spec", "profile", "email")
	for _, ref := range []string{"user:default/cid", "user:default/ann", "group:acme/core"} {
		if served.Entity(t, b, ref) != nil {
			t.Errorf("%s is in the catalog", ref)
		}
	}
}

func TestOrganizationsThatCantBeRead(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.fill()
	b := start(t, github.OrgModule(), s.config(token, s.orgConfig(nil)))
	served.Part(t, b, "user:default/cid", `["other/all"]`, "spec", "memberOf")
	s.with(func() {
		s.users["Acme"] = nil
		delete(s.users, "other")
	})
	err := b.RunTask(t, "catalog", "GithubMultiOrgEntityProvider:prod:refresh")
	if err == nil || !strings.Contains(err.Error(), "the members of other") {
		t.Errorf("the error is %v", err)
	}
	for _, ref := range []string{"user:default/ann", "user:default/cid", "group:acme/core"} {
		if served.Entity(t, b, ref) == nil {
			t.Errorf("%s is gone, though not everything could be read", ref)
		}
	}
}

func TestOrganizationsWithoutCredentials(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.fill()
	for name, test := range map[string]struct {
		integration, more object
		want              string
	}{
		"none at all":    {object{}, object{}, "there are no credentials for the organization Acme"},
		"none to choose": {object{}, object{"orgs": nil}, "there is no organization to read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, github.OrgModule(), s.config(test.integration, s.orgConfig(test.more)))
			if err := b.RunTask(t, "catalog", "GithubMultiOrgEntityProvider:prod:refresh"); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestWrongOrganizations(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings any
		want     string
	}{
		"no id":        {object{"githubUrl": "https://github.com", "schedule": object{"frequency": "1h", "timeout": "1h"}}, "catalog.providers.githubOrg.id"},
		"no schedule":  {object{"id": "a", "githubUrl": "https://github.com"}, "catalog.providers.githubOrg.schedule"},
		"no URL":       {[]any{object{"id": "a", "githubUrl": "github.com", "schedule": object{"frequency": "1h", "timeout": "1h"}}}, "githubUrl"},
		"another host": {object{"id": "a", "githubUrl": "https://ghe.example.com", "schedule": object{"frequency": "1h", "timeout": "1h"}}, "no GitHub integration for the host ghe.example.com"},
		"the same twice": {[]any{object{"id": "a", "githubUrl": "https://github.com", "schedule": object{"frequency": "1h", "timeout": "1h"}},
			object{"id": "a", "githubUrl": "https://github.com", "schedule": object{"frequency": "1h", "timeout": "1h"}}}, "two entity providers with the name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := backendtest.TryStart(t, catalog.Plugin(), github.OrgModule(), backendtest.Config(object{"catalog": object{"providers": object{"githubOrg": test.settings}}}))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q is not in the error: %v", test.want, err)
			}
		})
	}
}

func TestEventsOfOrganizations(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.fill()
	b := start(t, github.OrgModule(), s.config(token, s.orgConfig(nil)))
	served.Part(t, b, "user:default/cid", `["other/all"]`, "spec", "memberOf")
	publish := func(topic, action string, more object) {
		payload := object{"action": action, "organization": object{"login": "Acme"}}
		for k, v := range more {
			payload[k] = v
		}
		b.Publish(t, topic, payload)
	}
	user := func(login string) object {
		return object{"membership": object{"user": object{"login": login, "node_id": "x"}}}
	}
	ofTeam := func(slug string, more object) object {
		o := object{"team": object{"slug": slug, "name": slug, "html_url": "https://github.com/orgs/Acme/teams/" + slug}}
		for k, v := range more {
			o[k] = v
		}
		return o
	}

	s.with(func() { s.users["Acme"] = append(s.users["Acme"], member("dan", object{"name": "Dan"})) })
	publish("github.organization", "member_added", user("dan"))
	served.Part(t, b, "user:default/dan", `"Dan"`, "spec", "profile", "displayName")

	s.with(func() { s.teams["Acme"][1]["members"] = []string{"ann", "dan"} })
	publish("github.membership", "added", ofTeam("core", object{"member": object{"login": "dan"}}))
	served.Part(t, b, "user:default/dan", `["acme/core"]`, "spec", "memberOf")
	served.Part(t, b, "group:acme/core", `["default/ann","default/dan"]`, "spec", "members")

	s.with(func() { s.teams["Acme"][1]["members"] = []string{"ann"} })
	publish("github.membership", "removed", ofTeam("core", object{"member": object{"login": "dan"}}))
	served.Part(t, b, "user:default/dan", `[]`, "spec", "memberOf")
	served.Part(t, b, "group:acme/core", `["default/ann"]`, "spec", "members")

	// Bob leaves one of two organizations, then the other one.
	s.with(func() {
		s.users["Acme"] = append(s.users["Acme"][:1:1], s.users["Acme"][2:]...)
		s.teams["Acme"][0]["members"] = []string{"ann"}
	})
	publish("github.organization", "member_removed", user("Bob"))
	served.Part(t, b, "user:default/bob", `["other/all"]`, "spec", "memberOf")
	s.with(func() { s.users["other"] = s.users["other"][1:] })
	publish("github.organization", "member_removed", object{"organization": object{"login": "other"}, "membership": user("Bob")["membership"]})
	served.Gone(t, b, "user:default/bob")

	s.with(func() { s.teams["Acme"] = append(s.teams["Acme"], team("Acme", "new", "New", "core")) })
	publish("github.team", "created", ofTeam("new", nil))
	served.Part(t, b, "group:acme/new", `"core"`, "spec", "parent")
	s.with(func() { s.teams["Acme"][2]["description"] = "Newer" })
	publish("github.team", "edited", ofTeam("new", object{"changes": object{"description": object{"from": ""}}}))
	served.Part(t, b, "group:acme/new", `"Newer"`, "metadata", "description")
	s.with(func() { s.teams["Acme"] = s.teams["Acme"][:2] })
	publish("github.team", "deleted", ofTeam("new", nil))
	served.Gone(t, b, "group:acme/new")

	// The slug of a renamed team is another one, which its members have to learn.
	s.with(func() { s.teams["Acme"][1] = team("Acme", "centre", "Centre", "all", "ann") })
	publish("github.team", "edited", ofTeam("centre", object{"changes": object{"name": object{"from": "core"}}}))
	served.Part(t, b, "user:default/ann", `["acme/all","acme/centre"]`, "spec", "memberOf")
	served.Gone(t, b, "group:acme/core")

	s.with(func() { s.users["other"] = append(s.users["other"], member("eve", nil)) })
	b.Publish(t, "github.installation", object{"action": "created", "installation": object{"account": object{"login": "other"}}})
	served.Part(t, b, "user:default/eve", `[]`, "spec", "memberOf")

	before := len(s.operations())
	b.Publish(t, "github.organization", object{"action": "member_added", "organization": object{"login": "unknown"}, "membership": user("mallory")["membership"]})
	b.Publish(t, "github.installation", object{"action": "created", "installation": object{"account": object{"login": "unknown"}}})
	b.Publish(t, "github.team", []int{1})
	if after := len(s.operations()); after != before {
		t.Errorf("events of others led to %d questions", after-before)
	}
}
