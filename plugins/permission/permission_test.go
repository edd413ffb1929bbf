package permission_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/plugins/permission/allowall"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auditor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	jane      = "user:default/jane"
	joe       = "user:default/joe"
	authorize = "/api/permission/authorize"
)

// notes is a plugin with things that belong to users. A note is named after its owner, like "user:default/jane#1".
type notes struct {
	permissions service.Permissions

	mu     sync.Mutex
	loaded [][]string // the refs of each load
}

var (
	readNote   = service.Permission{Name: "notes.note.read", Action: service.ActionRead, ResourceType: "note"}
	deleteNote = service.Permission{Name: "notes.note.delete", Action: service.ActionDelete, ResourceType: "note"}
	addNote    = service.Permission{Name: "notes.note.create", Action: service.ActionCreate}
)

func (n *notes) plugin() plugin.Plugin {
	type params struct {
		Users []string `json:"users"`
	}
	note := service.ResourceType[string, string]{
		Name: "note", Permissions: []service.Permission{readNote, deleteNote},
		Rules: []service.PermissionRule[string, string]{
			service.NewPermissionRule("IS_OF", "Allow notes of users",
				func(note string, p params) bool {
					owner, _, _ := strings.Cut(note, "#")
					return slices.Contains(p.Users, owner)
				},
				func(params) string { return "" }),
		},
	}
	return plugin.New("notes", plugin.Init(func(p service.Permissions, r service.PermissionsRegistry) error {
		n.permissions = p
		return errors.Join(r.AddPermissions(addNote), r.AddResourceType(note.LoadedBy(n.load)))
	}))
}

// load finds all notes but those of nobody.
func (n *notes) load(_ context.Context, refs []string) (map[string]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loaded = append(n.loaded, slices.Sorted(slices.Values(refs)))
	found := map[string]string{}
	for _, ref := range refs {
		if !strings.HasPrefix(ref, "nobody") {
			found[ref] = ref
		}
	}
	return found, nil
}

// policyModule has the policy.
func policyModule(decide permission.PolicyFunc) plugin.Module {
	return plugin.NewModule("permission", "test-policy", plugin.Init(func(p permission.Policies) error { return p.SetPolicy(decide) }))
}

// ownNotes lets users read and delete their own notes, and joe add some.
func ownNotes(_ context.Context, p service.Permission, user *permission.User) (service.Decision, error) {
	switch {
	case user == nil:
		return service.Decision{Result: service.ResultDeny}, nil
	case p.ResourceType == "note":
		return service.Decision{Result: service.ResultConditional, PluginID: "notes", ResourceType: "note", Conditions: &service.Criteria{
			Rule: "IS_OF", ResourceType: "note", Params: map[string]any{"users": user.OwnershipEntityRefs},
		}}, nil
	case user.EntityRef == joe:
		return service.Decision{Result: service.ResultAllow}, nil
	}
	return service.Decision{Result: service.ResultDeny}, nil
}

func start(t testing.TB, n *notes, features ...backend.Feature) *backendtest.Backend {
	t.Helper()
	return backendtest.Start(t, append(features, n.plugin(), permission.Plugin(),
		backendtest.Config(map[string]any{"permission": map[string]any{"enabled": true}}))...)
}

const (
	addJSON    = `"permission":{"type":"basic","name":"notes.note.create","attributes":{"action":"create"}}`
	readJSON   = `"permission":{"type":"resource","name":"notes.note.read","attributes":{"action":"read"},"resourceType":"note"}`
	deleteJSON = `"permission":{"type":"resource","name":"notes.note.delete","attributes":{"action":"delete"},"resourceType":"note"}`
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	b := start(t, &notes{}, policyModule(ownNotes))
	tests := map[string]struct {
		body   string
		status int
		want   string // the answer, or a part of it
	}{
		"nothing":            {`{"items":[]}`, 200, `{"items":[]}`},
		"a basic permission": {`{"items":[{"id":"a",` + addJSON + `}]}`, 200, `{"items":[{"id":"a","result":"DENY"}]}`},
		"resources, in one or several items": {`{"items":[
			{"id":"a",` + readJSON + `,"resourceRef":"user:default/jane#1"},
			{"id":"b",` + readJSON + `,"resourceRef":["user:default/joe#1","user:default/jane#2","nobody#1"]},
			{"id":"c",` + addJSON + `},
			{"id":"d",` + deleteJSON + `,"resourceRef":"user:default/joe#1"}]}`, 200,
			`{"items":[{"id":"a","result":"ALLOW"},{"id":"b","result":["DENY","ALLOW","DENY"]},{"id":"c","result":"DENY"},{"id":"d","result":"DENY"}]}`},
		"what isn't said is left out": {`{"items":[{"id":"a","more":1,"permission":{"type":"basic","name":"x","attributes":{"z":1},"more":1}}]}`, 200,
			`{"items":[{"id":"a","result":"DENY"}]}`},
		"conditions, which are not for browsers":  {`{"items":[{"id":"a",` + readJSON + `}]}`, 400, `without a resourceRef are not allowed`},
		"conditions, in disguise":                 {`{"items":[{"id":"a",` + readJSON + `,"resourceRef":""}]}`, 400, `InputError`},
		"conditions, disguised as null":           {`{"items":[{"id":"a",` + readJSON + `,"resourceRef":null}]}`, 400, `InputError`},
		"conditions, disguised in a list":         {`{"items":[{"id":"a",` + readJSON + `,"resourceRef":[""]}]}`, 400, `InputError`},
		"an empty list":                           {`{"items":[{"id":"a",` + readJSON + `,"resourceRef":[]}]}`, 400, `InputError`},
		"a basic permission about a resource":     {`{"items":[{"id":"a",` + addJSON + `,"resourceRef":"x"}]}`, 400, `InputError`},
		"a resource permission without its type":  {`{"items":[{"id":"a","permission":{"type":"resource","name":"x","attributes":{}}}]}`, 400, `InputError`},
		"an unknown action":                       {`{"items":[{"id":"a","permission":{"type":"basic","name":"x","attributes":{"action":"fly"}}}]}`, 400, `InputError`},
		"no id":                                   {`{"items":[{` + addJSON + `}]}`, 400, `InputError`},
		"no permission":                           {`{"items":[{"id":"a"}]}`, 400, `InputError`},
		"more than JSON":                          {`{"items":[]}x`, 400, `InputError`},
		"no items":                                {`{}`, 400, `InputError`},
		"items that are none (as recorded there)": {`{"items":"x"}`, 400, `InputError`},
		"no JSON":                                 {`x`, 400, `InputError`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := b.As(t, jane).Post(authorize, strings.NewReader(tt.body))
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(string(body)); res.StatusCode != tt.status || tt.status == 200 && got != tt.want || !strings.Contains(got, tt.want) {
				t.Errorf("status %d: %s", res.StatusCode, got)
			}
		})
	}
}

func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	b := start(t, &notes{}, policyModule(ownNotes))
	body := map[string]any{"items": []any{}}
	if got := b.Anonymous(t).Post(authorize, body).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("without credentials: status %d", got)
	}
	if got := b.AsService(t, "plugin:notes").Post(authorize, body).StatusCode; got != http.StatusForbidden {
		t.Errorf("as a service: status %d", got)
	}
	res := b.Anonymous(t).Get("/api/permission/health")
	if got := backendtest.JSON[map[string]string](t, res); res.StatusCode != 200 || got["status"] != "ok" {
		t.Errorf("the health is %d %v", res.StatusCode, got)
	}
}

// Plugins that act for a user get conditions, and decisions about many resources with one call of the plugin that has them.
func TestPlugins(t *testing.T) {
	t.Parallel()
	n := &notes{}
	start(t, n, policyModule(ownNotes))
	user := service.Credentials{Kind: service.AllowUser, Subject: jane}
	decisions, err := n.permissions.AuthorizeConditional(t.Context(), user, readNote, addNote)
	if err != nil {
		t.Fatal(err)
	}
	if d := decisions[0]; d.Result != service.ResultConditional || d.PluginID != "notes" || d.ResourceType != "note" || d.Conditions.Rule != "IS_OF" {
		t.Errorf("the decision is %+v", d)
	}
	if d := decisions[1]; d.Result != service.ResultDeny {
		t.Errorf("the decision is %+v", d)
	}
	allowed, err := n.permissions.Authorize(t.Context(), user,
		service.PermissionRequest{Permission: readNote, ResourceRef: jane + "#1"},
		service.PermissionRequest{Permission: deleteNote, ResourceRef: jane + "#1"},
		service.PermissionRequest{Permission: deleteNote, ResourceRef: joe + "#1"},
	)
	if err != nil || !slices.Equal(allowed, []bool{true, true, false}) {
		t.Errorf("allowed: %v, %v", allowed, err)
	}
	if len(n.loaded) != 1 || !slices.Equal(n.loaded[0], []string{jane + "#1", joe + "#1"}) {
		t.Errorf("loaded were %v", n.loaded)
	}
}

func TestThePolicyIsAskedOnceAboutAPermission(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[string]int{}
	b := start(t, &notes{}, policyModule(func(ctx context.Context, p service.Permission, user *permission.User) (service.Decision, error) {
		mu.Lock()
		defer mu.Unlock()
		asked[p.Name]++
		if user.EntityRef != jane || user.Credentials.Subject != jane {
			t.Errorf("the policy is asked about %+v", user)
		}
		return ownNotes(ctx, p, user)
	}))
	b.As(t, jane).Post(authorize, strings.NewReader(`{"items":[{"id":"1",`+addJSON+`},{"id":"2",`+addJSON+`},{"id":"3",`+readJSON+`,"resourceRef":"x"}]}`))
	if asked[addNote.Name] != 1 || asked[readNote.Name] != 1 {
		t.Errorf("asked: %v", asked)
	}
}

// A policy that makes no sense allows nothing.
func TestPoliciesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	isOf := &service.Criteria{Rule: "IS_OF", ResourceType: "note", Params: map[string]any{"users": []string{jane}}}
	for name, d := range map[string]service.Decision{
		"no result":             {},
		"another resource type": {Result: service.ResultConditional, PluginID: "notes", ResourceType: "letter", Conditions: isOf},
		"no conditions":         {Result: service.ResultConditional, PluginID: "notes", ResourceType: "note"},
		"no plugin":             {Result: service.ResultConditional, ResourceType: "note", Conditions: isOf},
		"an unknown plugin":     {Result: service.ResultConditional, PluginID: "letters", ResourceType: "note", Conditions: isOf},
		"an unknown rule": {Result: service.ResultConditional, PluginID: "notes", ResourceType: "note", Conditions: &service.Criteria{
			Rule: "IS_FROM", ResourceType: "note"}},
		"conditions without content": {Result: service.ResultConditional, PluginID: "notes", ResourceType: "note", Conditions: &service.Criteria{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, &notes{}, policyModule(func(context.Context, service.Permission, *permission.User) (service.Decision, error) { return d, nil }))
			if got := b.As(t, jane).Post(authorize, strings.NewReader(`{"items":[{"id":"1",`+readJSON+`,"resourceRef":"x"}]}`)).StatusCode; got != 500 {
				t.Errorf("status %d", got)
			}
		})
	}
	t.Run("conditions on a basic permission", func(t *testing.T) {
		t.Parallel()
		b := start(t, &notes{}, policyModule(func(context.Context, service.Permission, *permission.User) (service.Decision, error) {
			return service.Decision{Result: service.ResultConditional, PluginID: "notes", ResourceType: "note", Conditions: isOf}, nil
		}))
		if got := b.As(t, jane).Post(authorize, strings.NewReader(`{"items":[{"id":"1",`+addJSON+`}]}`)).StatusCode; got != 500 {
			t.Errorf("status %d", got)
		}
	})
}

func TestDenialsAreAudited(t *testing.T) {
	t.Parallel()
	b := start(t, &notes{}, policyModule(ownNotes))
	b.As(t, joe).Post(authorize, strings.NewReader(`{"items":[{"id":"1",`+addJSON+`}]}`))
	if got := b.AuditEntries(); len(got) != 0 {
		t.Errorf("what was allowed is audited: %+v", got)
	}
	b.As(t, jane).Post(authorize, strings.NewReader(`{"items":[{"id":"1",`+addJSON+`},{"id":"2",`+readJSON+
		`,"resourceRef":["user:default/jane#1","user:default/joe#1"]},{"id":"3",`+deleteJSON+`,"resourceRef":"user:default/jane#1"}]}`))
	entries := b.AuditEntries()
	if len(entries) != 2 {
		t.Fatalf("audited: %+v", entries)
	}
	e := entries[1]
	if e.Severity != service.SeverityMedium || e.Plugin != "permission" || e.EventID != "authorize" || e.Actor.ActorID != jane || e.Status != auditor.StatusFailed || e.Err == nil {
		t.Errorf("audited: %+v", e)
	}
	if got, want := fmt.Sprint(e.Meta["denied"]), "[{notes.note.create []} {notes.note.read [user:default/joe#1]}]"; got != want {
		t.Errorf("denied were %s, want %s", got, want)
	}
}

func TestOnePolicyIsNeeded(t *testing.T) {
	t.Parallel()
	if _, err := backendtest.TryStart(t, permission.Plugin()); err == nil || !strings.Contains(err.Error(), "allowall.Module()") {
		t.Errorf("without a policy: %v", err)
	}
	if _, err := backendtest.TryStart(t, permission.Plugin(), allowall.Module(), policyModule(ownNotes)); err == nil ||
		!strings.Contains(err.Error(), "a policy is set already") {
		t.Errorf("with two policies: %v", err)
	}
}

func TestAllowAll(t *testing.T) {
	t.Parallel()
	b := start(t, &notes{}, allowall.Module())
	res := b.As(t, jane).Post(authorize, strings.NewReader(`{"items":[{"id":"1",`+readJSON+`,"resourceRef":["a","b"]}]}`))
	if body, err := io.ReadAll(res.Body); err != nil || strings.TrimSpace(string(body)) != `{"items":[{"id":"1","result":"ALLOW"}]}` {
		t.Errorf("%s, %v", body, err)
	}
	if got := b.As(t, jane).Get("/api/permission/explain?permission=notes.note.read").StatusCode; got != http.StatusNotImplemented {
		t.Errorf("explaining what can't be explained: status %d", got)
	}
}

// Without authentication, policies decide about nobody.
func TestNobody(t *testing.T) {
	t.Parallel()
	b := start(t, &notes{}, policyModule(ownNotes),
		backendtest.Config(map[string]any{"backend": map[string]any{"auth": map[string]any{"dangerouslyDisableDefaultAuthPolicy": true}}}))
	res := b.Anonymous(t).Post(authorize, strings.NewReader(`{"items":[{"id":"1",`+readJSON+`}]}`))
	if body, err := io.ReadAll(res.Body); err != nil || strings.TrimSpace(string(body)) != `{"items":[{"id":"1","result":"DENY"}]}` {
		t.Errorf("%s, %v", body, err)
	}
}

func TestWarnsWhenPermissionsAreNotEnabled(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, permission.Plugin(), allowall.Module())
	if !strings.Contains(b.Log.String(), "Permissions are not enabled") {
		t.Error("there is no warning")
	}
}

// BenchmarkAuthorize has 100 items decided in one request: half of them about resources. The floor is the same request without items.
func BenchmarkAuthorize(b *testing.B) {
	n := &notes{}
	var client *http.Client
	var base string
	start(b, n, policyModule(ownNotes), plugin.New("caller", plugin.Init(func(c *http.Client, d service.Discovery, lifecycle fx.Lifecycle) {
		client = c
		lifecycle.Append(fx.StartHook(func(ctx context.Context) (err error) {
			base, err = d.BaseURL(ctx, "permission")
			return err
		}))
	})))
	var items []string
	for i := range 50 {
		items = append(items, fmt.Sprintf(`{"id":"a%d",%s}`, i, addJSON), fmt.Sprintf(`{"id":"b%d",%s,"resourceRef":"%s#%d"}`, i, readJSON, joe, i))
	}
	ctx := service.OnBehalfOf(b.Context(), service.Credentials{Kind: service.AllowUser, Subject: joe})
	ask := func(b *testing.B, body string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/authorize", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
			b.Fatal(res.Status, err)
		}
		if err := res.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
	for name, body := range map[string]string{"floor": `{"items":[]}`, "100 items": `{"items":[` + strings.Join(items, ",") + `]}`} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ask(b, body)
			}
		})
	}
}
