package gitlab_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/gitlab"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// people gives the server users and groups.
func (s *gitLab) people() {
	user := func(id int, name string, more object) object {
		u := object{"id": id, "username": name, "name": "The " + name, "email": nil, "state": "active", "web_url": s.URL + "/" + name,
			"avatar_url": "https://avatars.example.com/" + name, "is_using_seat": true}
		for k, v := range more {
			u[k] = v
		}
		return u
	}
	s.users = []object{
		user(1, "ann", object{"email": "ann@acme.com", "group_saml_identity": object{"extern_uid": "ann-at-idp"}}),
		user(2, "bob", nil),
		user(3, "cid", object{"state": "blocked"}),
		user(4, "dan", object{"is_using_seat": false}),
		user(5, "group_1_bot_abc", object{"is_using_seat": false}),
		user(6, "eve", object{"email": "eve@other.com"}),
	}
	group := func(id int, path string, parent any, members ...string) {
		names := strings.Split(path, "/")
		s.groups = append(s.groups, object{"id": id, "full_path": path, "path": names[len(names)-1], "name": "Group " + names[len(names)-1], "description": "",
			"visibility": "internal", "parent_id": parent})
		s.members[path] = members
	}
	group(10, "acme", nil, "ann", "dan", "group_1_bot_abc")
	group(11, "acme/core", 10, "ann", "bob")
	group(12, "acme/core/web", 11, "bob")
	group(13, "acme/empty", 10)
	group(20, "other", nil, "eve")
}

const refresh = "GitlabOrgDiscoveryEntityProvider:acme:refresh"

func (s *gitLab) orgConfig(more object) object {
	c := object{"orgEnabled": true}
	for k, v := range more {
		c[k] = v
	}
	return c
}

func TestUsersAndGroups(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings object
		users    map[string]string // groups by users
		groups   string
	}{
		"a whole server": {object{},
			map[string]string{"ann": `["acme","acme-core"]`, "bob": `["acme-core","acme-core-web"]`, "dan": `["acme"]`, "eve": `["other"]`, "group_1_bot_abc": `["acme"]`},
			"acme acme-core acme-core-web other"},
		"a group of a server": {object{"group": "acme"},
			map[string]string{"ann": `["acme","core"]`, "bob": `["core","core-web"]`, "dan": `["acme"]`, "eve": `[]`, "group_1_bot_abc": `["acme"]`},
			"acme core core-web"},
		"the users of a group": {object{"group": "acme", "restrictUsersToGroup": true},
			map[string]string{"ann": `["acme","core"]`, "dan": `["acme"]`, "group_1_bot_abc": `["acme"]`}, "acme core"},
		"by patterns": {object{"userPattern": "@acme.com$|^bob$", "groupPattern": []any{"core"}},
			map[string]string{"ann": `["acme-core"]`, "bob": `["acme-core","acme-core-web"]`}, "acme-core acme-core-web"},
		"inherited members": {object{"relations": []any{"INHERITED"}, "userPattern": "dan"},
			map[string]string{"dan": `["acme","acme-core","acme-core-web","acme-empty"]`}, "acme acme-core acme-core-web acme-empty"},
		"gitlab.com": {object{"host": "gitlab.com", "group": "acme"},
			map[string]string{"ann": `["acme","core"]`, "bob": `["core","core-web"]`}, "acme core core-web"},
		"gitlab.com, of one group": {object{"host": "gitlab.com", "group": "acme/core", "restrictUsersToGroup": true},
			map[string]string{"ann": `["acme-core"]`, "bob": `["acme-core","web"]`}, "acme-core web"},
		"gitlab.com, without seats": {object{"host": "gitlab.com", "group": "acme", "includeUsersWithoutSeat": true},
			map[string]string{"ann": `["acme","core"]`, "bob": `["core","core-web"]`, "dan": `["acme"]`}, "acme core core-web"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newGitLab(t)
			s.people()
			b := start(t, gitlab.OrgModule(), s.config(s.orgConfig(test.settings)))
			for user, groups := range test.users {
				served.Part(t, b, "user:default/"+user, groups, "spec", "memberOf")
			}
			for _, g := range strings.Fields(test.groups) {
				served.Part(t, b, "group:default/"+g, `"team"`, "spec", "type")
			}
			want := fmt.Sprint(len(test.users) + len(strings.Fields(test.groups)))
			if res := b.As(t, "user:default/guest").Get("/api/catalog/entities/by-query?limit=0"); !strings.Contains(read(res), `"totalItems":`+want) {
				t.Errorf("there are others than %s entities: %s", want, read(res))
			}
		})
	}
}

func read(res *http.Response) string {
	var text strings.Builder
	_ = res.Write(&text)
	return text.String()
}

func TestWhatUsersAndGroupsAre(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.people()
	b := start(t, gitlab.OrgModule(), s.config(s.orgConfig(object{"group": "acme"})))
	served.Part(t, b, "group:default/core-web", `"core"`, "spec", "parent")
	const host = "127.0.0.1" // without the port
	for ref, want := range map[string]object{
		"user:default/ann": {
			"annotations": object{
				host + "/user-login": s.URL + "/ann", host + "/user-id": "1", host + "/saml-external-uid": "ann-at-idp",
				"backstage.io/managed-by-location": "url:" + s.URL + "/ann", "backstage.io/managed-by-origin-location": "url:" + s.URL + "/ann",
			},
			"spec": object{"profile": object{"displayName": "The ann", "email": "ann@acme.com", "picture": "https://avatars.example.com/ann"},
				"memberOf": []any{"acme", "core"}},
		},
		"group:default/core": {
			"annotations": object{
				host + "/team-path": "acme/core", host + "/visibility": "internal",
				"backstage.io/managed-by-location": "url:" + s.URL + "/acme/core", "backstage.io/managed-by-origin-location": "url:" + s.URL + "/acme/core",
			},
			"spec": object{"type": "team", "parent": "acme", "children": []any{}, "profile": object{"displayName": "Group core"}},
		},
	} {
		e := served.Entity(t, b, ref)
		annotations := e["metadata"].(object)["annotations"].(object)
		for _, name := range []string{"backstage.io/view-url", "backstage.io/edit-url", "backstage.io/source-location"} { // the catalog's own
			delete(annotations, name)
		}
		if !reflect.DeepEqual(annotations, want["annotations"]) || !reflect.DeepEqual(e["spec"], want["spec"]) {
			t.Errorf("%s is %v\n%v\nwant %v", ref, annotations, e["spec"], want)
		}
	}
}

func TestTransformers(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.people()
	users := gitlab.TransformUsers(func(_ context.Context, u gitlab.User, e catalogmodel.Entity) (catalogmodel.Entity, error) {
		if u.Email == "" {
			return catalogmodel.Entity{}, nil
		}
		return e.With(catalogmodel.StringValue(fmt.Sprint(len(u.Groups), " groups")), "metadata", "description"), nil
	})
	groups := gitlab.TransformGroups(func(_ context.Context, g gitlab.Group, e catalogmodel.Entity) (catalogmodel.Entity, error) {
		return e.With(catalogmodel.StringValue(g.Visibility), "metadata", "title"), nil
	})
	b := start(t, gitlab.OrgModule(users, groups), s.config(s.orgConfig(nil)))
	served.Part(t, b, "user:default/ann", `"2 groups"`, "metadata", "description")
	served.Part(t, b, "group:default/acme", `"internal"`, "metadata", "title")
	if served.Entity(t, b, "user:default/bob") != nil {
		t.Error("the user that was left out is there")
	}
}

func TestUsersAndGroupsThatCantBeRead(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.people()
	s.hidden = "other"
	b := start(t, gitlab.OrgModule(), s.config(s.orgConfig(nil)))
	served.Part(t, b, "user:default/ann", `["acme","acme-core"]`, "spec", "memberOf")
	if !strings.Contains(b.Log.String(), "The token may not see the members of a group") || served.Entity(t, b, "group:default/other") != nil {
		t.Error("a group whose members can't be seen is there, or isn't told of")
	}
	for name, fault := range map[string]func(r *http.Request) string{
		"an error of GraphQL": func(r *http.Request) string {
			if r.Method == http.MethodPost {
				return `{"data": {"group": null}, "errors": [{"message": "Timeout on validation of query"}]}`
			}
			return ""
		},
		"garbage": func(r *http.Request) string {
			if strings.Contains(r.URL.RawQuery, "page=2") && strings.HasSuffix(r.URL.Path, "/groups") {
				return `{"message": "no list"}`
			}
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.with(func() {
				s.users = s.users[1:]
				s.fault = func(w http.ResponseWriter, r *http.Request) bool {
					text := fault(r)
					if text != "" {
						fmt.Fprint(w, text)
					}
					return text != ""
				}
			})
			done := make(chan error)
			go func() { done <- b.RunTask(t, "catalog", refresh) }()
			err := error(nil)
			served.Await(t, "the run to fail", func() bool {
				b.Clock.Advance(10 * time.Second)
				select {
				case err = <-done:
					return true
				default:
					return false
				}
			})
			if err == nil {
				t.Error("the run succeeded")
			}
			served.Part(t, b, "user:default/ann", `["acme","acme-core"]`, "spec", "memberOf")
		})
	}
}

func TestEventsOfUsersAndGroups(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.people()
	b := start(t, gitlab.OrgModule(), s.config(s.orgConfig(object{"group": "acme"})))
	served.Part(t, b, "group:default/core-web", `"core"`, "spec", "parent")
	ofGroup := func(id int, name, path string) object {
		return object{"group_id": id, "name": name, "group_name": name, "full_path": path, "path": name}
	}
	group := func(id int, path, name string, parent int) object {
		return object{"id": id, "full_path": path, "name": name, "description": nil, "visibility": "private", "parent_id": parent}
	}

	s.with(func() {
		s.groups = append(s.groups, group(30, "acme/new", "New", 10), group(31, "elsewhere", "Elsewhere", 0))
		s.members["acme/new"] = []string{"bob"}
	})
	b.Publish(t, "gitlab.group_create", ofGroup(31, "Elsewhere", "elsewhere"))
	b.Publish(t, "gitlab.group_create", ofGroup(99, "Unknown", "acme/unknown"))
	b.Publish(t, "gitlab.group_create", ofGroup(11, "Of another server", "acme/core"))
	b.Publish(t, "gitlab.group_create", ofGroup(30, "New", "acme/new"))
	served.Part(t, b, "group:default/new", `["bob"]`, "spec", "members")
	served.Part(t, b, "group:default/new", `"acme"`, "spec", "parent")

	s.with(func() { s.members["acme/new"] = []string{"ann", "bob"} })
	b.Publish(t, "gitlab.user_add_to_group", ofGroup(30, "New", ""))
	served.Part(t, b, "group:default/new", `["ann","bob"]`, "spec", "members")
	s.with(func() { s.members["acme/new"] = nil })
	b.Publish(t, "gitlab.user_remove_from_group", ofGroup(30, "New", ""))
	served.Part(t, b, "group:default/new", `null`, "spec", "members")

	b.Publish(t, "gitlab.group_destroy", ofGroup(30, "New", "acme/new")) // it is still there
	s.with(func() { s.groups = s.groups[:5] })
	served.Part(t, b, "group:default/new", `"team"`, "spec", "type")
	b.Publish(t, "gitlab.group_destroy", ofGroup(30, "New", "acme/new"))
	served.Gone(t, b, "group:default/new")

	s.with(func() {
		s.users = append(s.users, object{"id": 7, "username": "fay", "name": "Fay", "state": "active", "web_url": s.URL + "/fay"})
	})
	b.Publish(t, "gitlab.user_create", object{"user_id": 7, "username": "another"})
	b.Publish(t, "gitlab.user_create", object{"user_id": 77, "username": "unknown"})
	b.Publish(t, "gitlab.user_create", object{"user_id": 7, "username": "fay"})
	served.Part(t, b, "user:default/fay", `"Fay"`, "spec", "profile", "displayName")
	b.Publish(t, "gitlab.user_destroy", object{"user_id": 1, "username": "ann"}) // of another server
	s.with(func() { s.users = s.users[:6] })
	b.Publish(t, "gitlab.user_destroy", object{"user_id": 7, "username": "fay"})
	served.Gone(t, b, "user:default/fay")
	served.Part(t, b, "user:default/ann", `["acme","core"]`, "spec", "memberOf")

	// With a group, those below it get other names.
	s.with(func() {
		for i, path := range map[int]string{1: "acme/centre", 2: "acme/centre/web"} {
			s.members[path] = s.members[s.groups[i]["full_path"].(string)]
			s.groups[i]["full_path"] = path
		}
	})
	b.Publish(t, "gitlab.group_rename", object{"group_id": 11, "old_full_path": "acme/core", "full_path": "acme/centre", "name": "Group core"})
	served.Part(t, b, "user:default/bob", `["centre","centre-web"]`, "spec", "memberOf")
	b.Publish(t, "gitlab.user_create", []int{1})
}

// TestUsersOfOneGroup has a user come who isn't a member.
func TestUsersOfOneGroup(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.people()
	b := start(t, gitlab.OrgModule(), s.config(s.orgConfig(object{"group": "acme", "restrictUsersToGroup": true})))
	served.Part(t, b, "user:default/ann", `["acme","core"]`, "spec", "memberOf")
	b.Publish(t, "gitlab.user_create", object{"user_id": 6, "username": "eve"})
	s.with(func() { s.members["acme"] = append(s.members["acme"], "bob") })
	b.Publish(t, "gitlab.user_create", object{"user_id": 2, "username": "bob"})
	served.Part(t, b, "user:default/bob", `[]`, "spec", "memberOf")
	if served.Entity(t, b, "user:default/eve") != nil {
		t.Error("somebody who isn't a member is there")
	}
}
