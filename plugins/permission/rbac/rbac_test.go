package rbac_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog/catalogtest"
	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/plugins/permission/rbac"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	jane = "user:default/jane"
	joe  = "user:default/joe"
	ann  = "user:default/ann"
)

var (
	readNote   = service.Permission{Name: "notes.note.read", Action: service.ActionRead, ResourceType: "note"}
	deleteNote = service.Permission{Name: "notes.note.delete", Action: service.ActionDelete, ResourceType: "note"}
	addNote    = service.Permission{Name: "notes.note.create", Action: service.ActionCreate}
	readStats  = service.Permission{Name: "notes.stats.read", Action: service.ActionRead}
)

// note is a thing with an owner.
type note struct {
	Owner string
	Words int
}

// notes is a plugin with notes of users and groups, whose refs tell what they are: "user:default/jane#words".
func notes(permissions *service.Permissions) plugin.Plugin {
	type owners struct {
		Owners []string `json:"owners"`
	}
	type words struct {
		Than int `json:"than"`
	}
	types := service.ResourceType[note, string]{
		Name: "note", Permissions: []service.Permission{readNote, deleteNote},
		Rules: []service.PermissionRule[note, string]{
			service.NewPermissionRule("IS_OWNER", "Allow notes with one of the owners",
				func(n note, p owners) bool { return slices.Contains(p.Owners, n.Owner) }, func(owners) string { return "" }),
			service.NewPermissionRule("IS_LONGER", "Allow notes with more words",
				func(n note, p words) bool { return n.Words > p.Than }, func(words) string { return "" }),
		},
	}
	load := func(_ context.Context, refs []string) (map[string]note, error) {
		found := map[string]note{}
		for _, ref := range refs {
			var n note
			owner, count, _ := strings.Cut(ref, "#")
			if _, err := fmt.Sscan(count, &n.Words); err == nil {
				n.Owner = owner
				found[ref] = n
			}
		}
		return found, nil
	}
	return plugin.New("notes", plugin.Init(func(p service.Permissions, r service.PermissionsRegistry) error {
		if permissions != nil {
			*permissions = p
		}
		return errors.Join(r.AddPermissions(addNote, readStats), r.AddResourceType(types.LoadedBy(load)))
	}))
}

// users tells the groups of users.
func users(groups map[string][]string) backend.Feature {
	return service.Root[service.UserInfo](func() service.UserInfo { return userInfo(groups) })
}

type userInfo map[string][]string

func (u userInfo) UserInfo(_ context.Context, who service.Credentials) (service.User, error) {
	return service.User{EntityRef: who.Subject, OwnershipEntityRefs: append([]string{who.Subject}, u[who.Subject]...)}, nil
}

// fromYAML is the configuration of a backend that reads it from a file, with its lines.
func fromYAML(t testing.TB, text string, watch bool) (backend.Feature, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "app-config.yaml")
	write(t, file, text)
	return service.Root[service.Config](func(ctx context.Context) (service.Config, error) {
		return config.Load(ctx, config.Options{Dir: filepath.Dir(file), Env: []string{"_="}, Watch: watch, Overrides: map[string]any{
			"permission": map[string]any{"enabled": true},
			"backend":    map[string]any{"listen": map[string]any{"host": "127.0.0.1", "port": 0}},
		}})
	}), file
}

func write(t testing.TB, file, text string) {
	t.Helper()
	// A rename is one change; writing in place could be seen half done.
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, text string, features ...backend.Feature) (*backendtest.Backend, service.Permissions) {
	t.Helper()
	var permissions service.Permissions
	cfg, _ := fromYAML(t, text, false)
	b := backendtest.Start(t, append(features, cfg, notes(&permissions), permission.Plugin(), rbac.Module(),
		users(map[string][]string{jane: {"group:default/authors", "group:default/all"}, joe: {"group:default/all"}}))...)
	return b, permissions
}

const roles = `
permission:
  rbac:
    roles:
      reader:
        members: '*'
        permissions:
          - allow: notes.*
            action: read
      author:
        members: [Group:authors, user:default/ann]
        permissions:
          - allow: notes.note.create
          - allow: notes.note.delete
            conditions:
              rule: IS_OWNER
              params: { owners: [$ownerRefs, team] }
          - deny: [notes.note.delete]
            conditions:
              anyOf:
                - { rule: IS_LONGER, params: { than: 1000 } }
                - not: { rule: IS_LONGER, resourceType: note, params: { than: 0 } }
      blocked:
        members: user:default/ann
        permissions:
          - deny: notes.stats.read
`

func TestDecisions(t *testing.T) {
	t.Parallel()
	_, permissions := start(t, roles)
	request := func(p service.Permission, ref string) service.PermissionRequest {
		return service.PermissionRequest{Permission: p, ResourceRef: ref}
	}
	for name, tt := range map[string]struct {
		user    string
		request service.PermissionRequest
		want    bool
	}{
		"everyone may read":                       {joe, request(readNote, jane+"#1"), true},
		"everyone may read what is about nothing": {joe, request(readStats, ""), true},
		"what no role allows is denied":           {joe, request(addNote, ""), false},
		"a role by a group":                       {jane, request(addNote, ""), true},
		"a role by name":                          {ann, request(addNote, ""), true},
		"a condition that is met by the user":     {jane, request(deleteNote, jane+"#1"), true},
		"a condition that is met by a group":      {jane, request(deleteNote, "group:default/authors#1"), true},
		"a condition that is met by a constant":   {jane, request(deleteNote, "team#1"), true},
		"a condition that is not met":             {jane, request(deleteNote, joe+"#1"), false},
		"a condition on what doesn't exist":       {jane, request(deleteNote, "nothing"), false},
		"a condition that denies":                 {jane, request(deleteNote, jane+"#1001"), false},
		"another condition that denies":           {jane, request(deleteNote, jane+"#0"), false},
		"a denial wins":                           {ann, request(readStats, ""), false},
		"an unknown permission":                   {joe, request(service.Permission{Name: "notes.other", Action: "read"}, ""), true},
		"an unknown permission of no role":        {joe, request(service.Permission{Name: "other"}, ""), false},
	} {
		allowed, err := permissions.Authorize(t.Context(), service.Credentials{Kind: service.AllowUser, Subject: tt.user}, tt.request)
		if err != nil || allowed[0] != tt.want {
			t.Errorf("%s: %v, %v", name, allowed, err)
		}
	}
	mislabelled := service.Permission{Name: readNote.Name, ResourceType: "letter"}
	if _, err := permissions.AuthorizeConditional(t.Context(), service.Credentials{Kind: service.AllowUser, Subject: joe}, mislabelled); !errors.Is(err, service.InputError) {
		t.Errorf("a permission with the wrong type: %v", err)
	}
}

// Mistakes are found when the backend starts, all of them, each with its place and what was probably meant.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"a misspelt permission":   {"- allow: notes.note.raed", `permission.rbac.roles.r.permissions[0] (app-config.yaml:7:13): no plugin has a permission "notes.note.raed"; did you mean "notes.note.read"?`},
		"a permission in a list":  {"- deny: [notes.note.read, nots.note.read]", `no plugin has a permission "nots.note.read"; did you mean "notes.note.read"?`},
		"a pattern for nothing":   {"- allow: letters.*", `no plugin has a permission "letters.*"`},
		"an action of nothing":    {"- {allow: notes.*, action: update}", `no plugin has a permission "notes.*" with the action update`},
		"an unknown action":       {"- {allow: notes.*, action: raed}", `must be one of create, read, update, delete`},
		"a misspelt rule":         {"- {allow: notes.note.read, conditions: {rule: IS_ONWER, params: {owners: [x]}}}", `resources of type note have no rule "IS_ONWER"; did you mean "IS_OWNER"?`},
		"a rule in a list":        {"- {allow: notes.note.read, conditions: {anyOf: [{not: {rule: IS_OWN}}]}}", `resources of type note have no rule "IS_OWN"`},
		"a missing parameter":     {"- {allow: notes.note.read, conditions: {rule: IS_OWNER}}", `the params of rule IS_OWNER don't fit: missing properties: 'owners'`},
		"a misspelt parameter":    {"- {allow: notes.note.read, conditions: {rule: IS_OWNER, params: {owners: [], owner: x}}}", `additionalProperties 'owner' not allowed`},
		"a parameter of no type":  {"- {allow: notes.note.read, conditions: {rule: IS_LONGER, params: {than: long}}}", `than expected integer, but got string`},
		"a list for a text":       {"- {allow: notes.note.read, conditions: {rule: IS_LONGER, params: {than: $ownerRefs}}}", `than expected integer, but got array`},
		"conditions on nothing":   {"- {allow: notes.note.create, conditions: {rule: IS_OWNER, params: {owners: []}}}", `permission notes.note.create is about no resource`},
		"conditions of no form":   {"- {allow: notes.note.read, conditions: {anyOf: []}}", `anyOf is a list of at least one condition`},
		"conditions on something": {"- {allow: notes.note.read, conditions: {rule: IS_OWNER, resourceType: letter, params: {owners: []}}}", `rule IS_OWNER is for resources of type letter`},
		"neither allow nor deny":  {"- action: read", `needs names of permissions to allow, or to deny`},
		"both":                    {"- {allow: notes.note.read, deny: notes.note.read}", `needs names of permissions to allow, or to deny`},
		"a star in the middle":    {"- allow: notes.*.read", `"notes.*.read" is not the name of a permission`},
		"a misspelt key":          {"- {alow: notes.note.read}", `did you mean "allow"?`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, _ := fromYAML(t, "permission:\n  rbac:\n    roles:\n      r:\n        members: '*'\n        permissions:\n          "+tt.text+"\n", false)
			_, err := backendtest.TryStart(t, cfg, notes(nil), permission.Plugin(), rbac.Module())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	for name, tt := range map[string]struct{ text, want string }{
		"a member that is no ref":        {"permission: {rbac: {roles: {r: {members: [jane], permissions: []}}}}", `member "jane" is not an entity ref`},
		"a member that is of no kind":    {"permission: {rbac: {roles: {r: {members: 'component:x', permissions: []}}}}", `member "component:x" is neither a user nor a group`},
		"no members":                     {"permission: {rbac: {roles: {r: {permissions: []}}}}", `permission.rbac.roles.r.members`},
		"no roles":                       {"permission: {rbac: {}}", `permission.rbac.roles`},
		"no configuration":               {"a: 1", `permission.rbac`},
		"several at once, with places":   {"permission:\n  rbac:\n    roles:\n      r:\n        members: '*'\n        permissions:\n          - allow: x\n          - allow: y\n", `permissions[1] (app-config.yaml:8:13): no plugin has a permission "y"`},
		"an overlong name isn't guessed": {"permission: {rbac: {roles: {r: {members: '*', permissions: [{allow: completely.different}]}}}}", `no plugin has a permission "completely.different"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, _ := fromYAML(t, tt.text, false)
			_, err := backendtest.TryStart(t, cfg, notes(nil), permission.Plugin(), rbac.Module())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// A plugin of another backend may be down: then nobody can tell whether a name is wrong.
func TestPluginsThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	cfg, _ := fromYAML(t, "permission: {rbac: {pluginsWithPermission: [letters], roles: {r: {members: '*', permissions: [{allow: letters.read}]}}}}\n"+
		"discovery: {endpoints: [{target: 'http://127.0.0.1:1/api/{{pluginId}}', plugins: [letters]}]}", false)
	b := backendtest.Start(t, cfg, notes(nil), permission.Plugin(), rbac.Module())
	for _, want := range []string{`no plugin has a permission \"letters.read\"`, "A plugin could not be asked for its permissions"} {
		if !strings.Contains(b.Log.String(), want) {
			t.Errorf("%q is not logged", want)
		}
	}
}

// A frontend answers every path with its page: it has no permissions, and mistakes are found beside it.
func TestFrontendsDeclareNothing(t *testing.T) {
	t.Parallel()
	cfg, _ := fromYAML(t, "permission: {rbac: {roles: {r: {members: '*', permissions: [{allow: notes.note.craete}]}}}}", false)
	frontend := plugin.New("app", plugin.Init(func(g *echo.Group, policies service.AuthPolicies) {
		policies.AllowUnauthenticated("/")
		g.GET("/*", func(c echo.Context) error { return c.HTML(http.StatusOK, "<!doctype html>") })
	}))
	_, err := backendtest.TryStart(t, cfg, notes(nil), frontend, permission.Plugin(), rbac.Module())
	if err == nil || !strings.Contains(err.Error(), `did you mean "notes.note.create"`) {
		t.Errorf("the mistake is not told: %v", err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	var permissions service.Permissions
	cfg, file := fromYAML(t, "permission: {rbac: {roles: {r: {members: '*', permissions: [{allow: notes.note.create}]}}}}", true)
	b := backendtest.Start(t, cfg, notes(&permissions), permission.Plugin(), rbac.Module())
	allowed := func() bool {
		allowed, err := permissions.Authorize(t.Context(), service.Credentials{Kind: service.AllowUser, Subject: joe}, service.PermissionRequest{Permission: addNote})
		if err != nil {
			t.Fatal(err)
		}
		return allowed[0]
	}
	if !allowed() {
		t.Fatal("not allowed")
	}
	write(t, file, "permission: {rbac: {roles: {r: {members: '*', permissions: [{deny: notes.note.create}]}}}}")
	eventually(t, func() bool { return !allowed() })
	write(t, file, "permission: {rbac: {roles: {r: {members: '*', permissions: [{allow: notes.note.craete}]}}}}")
	eventually(t, func() bool {
		return strings.Contains(b.Log.String(), "The changed roles are not used") && strings.Contains(b.Log.String(), `did you mean \"notes.note.create\"`)
	})
	if allowed() {
		t.Error("roles with a mistake are in force")
	}
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("it didn't happen")
		}
	}
}

func get(t *testing.T, c *backendtest.Client, query url.Values) (int, string) {
	t.Helper()
	res := c.Get("/api/permission/explain?" + query.Encode())
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(body))
}

func TestExplain(t *testing.T) {
	t.Parallel()
	b, _ := start(t, roles+"      admin:\n        members: user:default/joe\n        permissions: [{allow: permission.policy.read}]\n",
		catalogWith(t))
	service := b.AsService(t, "external:ci")
	for name, tt := range map[string]struct {
		query url.Values
		want  string
	}{
		"who may do it": {url.Values{"permission": {"notes.note.create"}},
			`{"permission":{"type":"basic","name":"notes.note.create","attributes":{"action":"create"}},"reasons":[` +
				`{"effect":"ALLOW","role":"author","members":["group:default/authors","user:default/ann"],` +
				`"key":"permission.rbac.roles.author.permissions[0]","source":"app-config.yaml:13:13"}]}`},
		"why somebody may": {url.Values{"permission": {"notes.note.create"}, "user": {"jane"}},
			`{"permission":{"type":"basic","name":"notes.note.create","attributes":{"action":"create"}},` +
				`"user":{"userEntityRef":"user:default/jane","ownershipEntityRefs":["user:default/jane","group:default/writers","group:default/authors"]},` +
				`"result":"ALLOW","reasons":[{"effect":"ALLOW","role":"author","members":["group:default/authors"],` +
				`"key":"permission.rbac.roles.author.permissions[0]","source":"app-config.yaml:13:13"}]}`},
		"why somebody may not": {url.Values{"permission": {"notes.note.create"}, "user": {joe}},
			`{"permission":{"type":"basic","name":"notes.note.create","attributes":{"action":"create"}},` +
				`"user":{"userEntityRef":"user:default/joe","ownershipEntityRefs":["user:default/joe"]},"result":"DENY","reasons":[]}`},
		"about a thing": {url.Values{"permission": {"notes.note.delete"}, "user": {ann}, "resourceRef": {ann + "#5"}},
			`{"permission":{"type":"resource","name":"notes.note.delete","attributes":{"action":"delete"},"resourceType":"note"},"resourceRef":"user:default/ann#5",` +
				`"user":{"userEntityRef":"user:default/ann","ownershipEntityRefs":["user:default/ann"]},"result":"ALLOW","reasons":[` +
				`{"effect":"DENY","role":"author","members":["user:default/ann"],"key":"permission.rbac.roles.author.permissions[2]","source":"app-config.yaml:18:13",` +
				`"conditions":{"anyOf":[{"params":{"than":1000},"resourceType":"note","rule":"IS_LONGER"},` +
				`{"not":{"params":{"than":0},"resourceType":"note","rule":"IS_LONGER"}}]},"met":false},` +
				`{"effect":"ALLOW","role":"author","members":["user:default/ann"],"key":"permission.rbac.roles.author.permissions[1]","source":"app-config.yaml:14:13",` +
				`"conditions":{"params":{"owners":["user:default/ann","team"]},"resourceType":"note","rule":"IS_OWNER"},"met":true}]}`},
		"who may do it to a thing": {url.Values{"permission": {"notes.note.delete"}, "resourceRef": {ann + "#5000"}},
			`{"permission":{"type":"resource","name":"notes.note.delete","attributes":{"action":"delete"},"resourceType":"note"},"resourceRef":"user:default/ann#5000","reasons":[` +
				`{"effect":"DENY","role":"author","members":["group:default/authors","user:default/ann"],"key":"permission.rbac.roles.author.permissions[2]","source":"app-config.yaml:18:13",` +
				`"conditions":{"anyOf":[{"params":{"than":1000},"resourceType":"note","rule":"IS_LONGER"},` +
				`{"not":{"params":{"than":0},"resourceType":"note","rule":"IS_LONGER"}}]},"met":true},` +
				`{"effect":"ALLOW","role":"author","members":["group:default/authors","user:default/ann"],"key":"permission.rbac.roles.author.permissions[1]","source":"app-config.yaml:14:13",` +
				`"conditions":{"params":{"owners":["$ownerRefs","team"]},"resourceType":"note","rule":"IS_OWNER"}}]}`},
	} {
		if status, got := get(t, service, tt.query); status != http.StatusOK || got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		query  url.Values
		status int
		want   string
	}{
		"no permission":                    {url.Values{}, 400, "permission is missing"},
		"an unknown permission":            {url.Values{"permission": {"notes.note.raed"}}, 404, "did you mean notes.note.read?"},
		"somebody without a ref":           {url.Values{"permission": {"notes.note.read"}, "user": {"user:/"}}, 400, "not an entity ref"},
		"a basic permission about a thing": {url.Values{"permission": {"notes.note.create"}, "resourceRef": {"x"}}, 400, "about no resource"},
	} {
		if status, got := get(t, service, tt.query); status != tt.status || !strings.Contains(got, tt.want) {
			t.Errorf("%s: status %d: %s", name, status, got)
		}
	}
	for user, want := range map[string]int{joe: http.StatusOK, jane: http.StatusForbidden} {
		if status, _ := get(t, b.As(t, user), url.Values{"permission": {"notes.note.read"}}); status != want {
			t.Errorf("%s asks: status %d, want %d", user, status, want)
		}
	}
}

// catalogWith has jane in a group that is part of the authors.
func catalogWith(t *testing.T) backend.Feature {
	t.Helper()
	var entities []catalogmodel.Entity
	for _, text := range []string{
		`{"apiVersion":"backstage.io/v1alpha1","kind":"User","metadata":{"name":"jane"},"spec":{},"relations":[{"type":"memberOf","targetRef":"group:default/writers"}]}`,
		`{"apiVersion":"backstage.io/v1alpha1","kind":"Group","metadata":{"name":"writers"},"spec":{},"relations":[{"type":"childOf","targetRef":"group:default/authors"},
			{"type":"hasMember","targetRef":"user:default/jane"}]}`,
		`{"apiVersion":"backstage.io/v1alpha1","kind":"Group","metadata":{"name":"authors"},"spec":{},"relations":[{"type":"parentOf","targetRef":"group:default/writers"}]}`,
	} {
		var e catalogmodel.Entity
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		entities = append(entities, e)
	}
	return catalogtest.Service(entities...)
}
