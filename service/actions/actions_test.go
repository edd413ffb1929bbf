package actions_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item struct {
	Title string   `json:"title" jsonschema:"what to do"`
	Count uint8    `json:"count,omitempty"`
	Tags  []string `json:"tags,omitempty"`
	Owner struct {
		Name string `json:"name"`
	} `json:"owner,omitzero"`
}

type added struct {
	ID string `json:"id"`
	By string `json:"by"`
}

type password struct {
	Password string `json:"password"`
}

var mayDelete = service.Permission{Name: "todo.delete", Action: service.ActionDelete}

// todo has actions of all kinds.
func todo(extra ...service.Action) plugin.Plugin {
	return plugin.New("todo", plugin.Init(func(registry service.ActionsRegistry) error {
		return registry.Register(append([]service.Action{
			service.NewAction(service.ActionInfo{Name: "add", Title: "Add", Description: "Adds an item.",
				Attributes: service.ActionAttributes{Additive: true},
				Examples:   []service.ActionExample{{Title: "a pen", Input: item{Title: "buy a pen"}, Output: added{ID: "1"}}},
			}, func(ctx context.Context, in item) (added, error) {
				who, _ := service.ActsFor(ctx)
				return added{ID: in.Title, By: who.Subject}, nil
			}),
			service.NewAction(service.ActionInfo{Name: "delete", Title: "Delete", Description: "Deletes everything.", VisibilityPermission: mayDelete},
				func(context.Context, struct{}) (struct{}, error) {
					return struct{}{}, service.ConflictError.Errorf("it is in use")
				}),
			service.NewActionWithSecrets(service.ActionInfo{Name: "export", Title: "Export", Description: "Exports all items.",
				Attributes: service.ActionAttributes{ReadOnly: true, Idempotent: true}},
				func(_ context.Context, _ struct{}, secrets password) (map[string]int, error) {
					if secrets.Password != "s3cret" {
						return nil, errors.New("an internal error with s3cret")
					}
					return map[string]int{"items": 3}, nil
				}),
		}, extra...)...)
	}))
}

func configured(section map[string]any) backend.Feature {
	return backendtest.Config(map[string]any{"backend": map[string]any{"actions": section}})
}

const guest = "user:default/guest"

func invoke(t *testing.T, b *backendtest.Backend, version, id, body string) (int, string) {
	t.Helper()
	res := b.As(t, guest).Post("/api/todo/.backstage/actions/"+version+"/actions/"+id+"/invoke", strings.NewReader(body))
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(content))
}

func TestListIsThatOfBackstage(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo())
	got := backendtest.JSON[any](t, b.As(t, guest).Get("/api/todo/.backstage/actions/v1/actions"))
	const schema = `"$schema":"http://json-schema.org/draft-07/schema#","type":"object"`
	var want any
	if err := json.Unmarshal([]byte(`{"actions":[
		{"id":"todo:add","name":"add","title":"Add","description":"Adds an item.","pluginId":"todo",
		 "attributes":{"destructive":false,"idempotent":false,"readOnly":false},
		 "examples":[{"title":"a pen","input":{"title":"buy a pen"},"output":{"id":"1","by":""}}],
		 "schema":{
			"input":{`+schema+`,"properties":{
				"title":{"type":"string","description":"what to do"},
				"count":{"type":"integer","minimum":0,"maximum":255},
				"tags":{"type":["null","array"],"items":{"type":"string"}},
				"owner":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}
			},"required":["title"],"additionalProperties":false},
			"output":{`+schema+`,"properties":{"id":{"type":"string"},"by":{"type":"string"}},"required":["id","by"],"additionalProperties":false}}},
		{"id":"todo:delete","name":"delete","title":"Delete","description":"Deletes everything.","pluginId":"todo",
		 "attributes":{"destructive":true,"idempotent":false,"readOnly":false},
		 "schema":{"input":{`+schema+`,"properties":{},"additionalProperties":false},"output":{`+schema+`,"properties":{},"additionalProperties":false}}},
		{"id":"todo:export","name":"export","title":"Export","description":"Exports all items.","pluginId":"todo",
		 "attributes":{"destructive":false,"idempotent":true,"readOnly":true},
		 "schema":{"input":{`+schema+`,"properties":{},"additionalProperties":false},"output":{`+schema+`,"properties":{},"additionalProperties":{"type":"integer"}},
			"secrets":{`+schema+`,"properties":{"password":{"type":"string"}},"required":["password"],"additionalProperties":false}}}
	]}`), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		g, _ := json.MarshalIndent(got, "", " ")
		w, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got %s\nwant %s", g, w)
	}
	if res := b.Anonymous(t).Get("/api/todo/.backstage/actions/v1/actions"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without credentials: %s", res.Status)
	}
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo())
	for name, c := range map[string]struct {
		version, id, body string
		status            int
		want              []string
	}{
		"good":            {"v1", "todo:add", `{"title":"ink","count":3,"tags":["a"],"owner":{"name":"x"}}`, 200, []string{`{"output":{"id":"ink","by":"user:default/guest"}}`}},
		"encoded id":      {"v1", "todo%3Aadd", `{"title":"ink"}`, 200, []string{`"id":"ink"`}},
		"encoded twice":   {"v1", "todo%253Aadd", `{"title":"ink"}`, 404, []string{`Action \"todo%3Aadd\" not found`}},
		"wrapped":         {"v2", "todo:add", `{"input":{"title":"ink"}}`, 200, []string{`"id":"ink"`}},
		"no body":         {"v1", "todo:add", ``, 400, []string{"title", "InputError"}},
		"not JSON":        {"v1", "todo:add", `{`, 400, []string{"not JSON"}},
		"an array":        {"v1", "todo:add", `[]`, 400, []string{"expected object, but got array"}},
		"null":            {"v1", "todo:add", `null`, 400, []string{"expected object, but got null"}},
		"wrong fields":    {"v1", "todo:add", `{"title":5,"tags":["a",{}],"owner":{}}`, 400, []string{"title: expected string", "tags[1]: expected string", "owner: missing properties: 'name'"}},
		"unknown field":   {"v1", "todo:add", `{"title":"ink","colour":"red"}`, 400, []string{"'colour'"}},
		"too large":       {"v1", "todo:add", `{"title":"ink","count":256}`, 400, []string{"count: must be <= 255"}},
		"a fraction":      {"v1", "todo:add", `{"title":"ink","count":1.5}`, 400, []string{"count: expected integer"}},
		"odd integer":     {"v1", "todo:add", `{"title":"ink","count":1.0}`, 400, []string{"count"}},
		"unknown":         {"v1", "todo:buy", `{}`, 404, []string{`Action \"todo:buy\" not found`}},
		"other plugin":    {"v1", "shop:add", `{}`, 404, []string{"not found"}},
		"its own error":   {"v1", "todo:delete", `{}`, 409, []string{"it is in use", "ConflictError"}},
		"secrets":         {"v2", "todo:export", `{"secrets":{"password":"s3cret"}}`, 200, []string{`{"output":{"items":3}}`}},
		"missing secrets": {"v1", "todo:export", `{}`, 400, []string{"requires secrets but none were provided"}},
		"wrong secrets":   {"v2", "todo:export", `{"input":{},"secrets":{"password":["s3cret"]}}`, 400, []string{"password: is not valid"}},
		"needless":        {"v2", "todo:add", `{"input":{"title":"ink"},"secrets":{"password":"s3cret"}}`, 400, []string{"does not accept secrets"}},
		"internal":        {"v2", "todo:export", `{"secrets":{"password":"x"}}`, 500, []string{"An internal error occurred logId="}},
	} {
		status, body := invoke(t, b, c.version, c.id, c.body)
		if status != c.status {
			t.Errorf("%s: status %d, want %d: %s", name, status, c.status, body)
		}
		for _, want := range c.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %s, want something with %s", name, body, want)
			}
		}
		if strings.Contains(body, "s3cret") {
			t.Errorf("%s tells a secret: %s", name, body)
		}
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo())
	invoke(t, b, "v1", "todo:add", `{"title":"s3cret"}`)
	invoke(t, b, "v1", "todo:delete", `{}`)
	invoke(t, b, "v2", "todo:export", `{"secrets":{"password":"s3cret"}}`)
	var got []string
	for _, e := range b.AuditEntries() {
		got = append(got, strings.Join([]string{e.EventID, e.Meta["actionId"].(string), string(e.Severity), string(e.Status), e.Actor.ActorID}, " "))
		if encoded, err := json.Marshal(e); err != nil || strings.Contains(string(encoded), "s3cret") {
			t.Errorf("%s, %v", encoded, err)
		}
	}
	want := []string{
		"action-invoke todo:add medium initiated user:default/guest", "action-invoke todo:add medium succeeded user:default/guest",
		"action-invoke todo:delete medium initiated user:default/guest", "action-invoke todo:delete medium failed user:default/guest",
		"action-invoke todo:export low initiated user:default/guest", "action-invoke todo:export low succeeded user:default/guest",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %s\nwant %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func ids(t *testing.T, b *backendtest.Backend) []string {
	t.Helper()
	answer := backendtest.JSON[struct{ Actions []service.ActionDescription }](t, b.As(t, guest).Get("/api/todo/.backstage/actions/v1/actions"))
	found := []string{}
	for _, a := range answer.Actions {
		found = append(found, a.ID)
	}
	return found
}

func TestWhatIsNotVisibleIsNotThere(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo(), backendtest.Permissions(func(_ service.Credentials, p service.Permission) service.Decision {
		if p == mayDelete {
			return service.Decision{Result: service.ResultDeny}
		}
		return service.Decision{Result: service.ResultAllow}
	}))
	if got := ids(t, b); !slices.Equal(got, []string{"todo:add", "todo:export"}) {
		t.Errorf("got %v", got)
	}
	if status, body := invoke(t, b, "v1", "todo:delete", `{}`); status != http.StatusNotFound {
		t.Errorf("%d %s", status, body)
	}
	res := b.AsService(t, "plugin:permission").Get("/api/todo/.well-known/backstage/permissions/metadata")
	if content, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(content), "todo.delete") {
		t.Errorf("policies don't learn of the permission: %s, %v", content, err)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	rules := func(r ...any) []any { return r }
	id := func(pattern string) any { return map[string]any{"id": pattern} }
	has := func(attribute string, value bool) any {
		return map[string]any{"attributes": map[string]any{attribute: value}}
	}
	for name, c := range map[string]struct {
		section map[string]any
		want    []string
	}{
		"nothing":    {map[string]any{}, []string{"add", "delete", "export"}},
		"source":     {map[string]any{"pluginSources": rules("todo")}, []string{"add", "delete", "export"}},
		"others":     {map[string]any{"pluginSources": rules("shop")}, nil},
		"include":    {map[string]any{"filter": map[string]any{"include": rules(id("todo:a*"), id("*:export"))}}, []string{"add", "export"}},
		"exclude":    {map[string]any{"filter": map[string]any{"exclude": rules(id("todo:{add,delete}"))}}, []string{"export"}},
		"both":       {map[string]any{"filter": map[string]any{"include": rules(id("todo:*")), "exclude": rules(has("destructive", true))}}, []string{"add", "export"}},
		"attributes": {map[string]any{"filter": map[string]any{"include": rules(has("readOnly", false))}}, []string{"add", "delete"}},
		"idempotent": {map[string]any{"filter": map[string]any{"include": rules(has("idempotent", true))}}, []string{"export"}},
		"negation":   {map[string]any{"filter": map[string]any{"include": rules(id("!todo:add"))}}, []string{"delete", "export"}},
	} {
		b := backendtest.Start(t, todo(), configured(c.section))
		want := []string{}
		for _, n := range c.want {
			want = append(want, "todo:"+n)
		}
		if got := ids(t, b); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if status, _ := invoke(t, b, "v1", "todo:add", `{"title":"ink"}`); (status == http.StatusOK) != slices.Contains(c.want, "add") {
			t.Errorf("%s: invoking gives %d", name, status)
		}
	}
	if _, err := backendtest.TryStart(t, todo(), configured(map[string]any{"filter": map[string]any{"exclude": rules(id("todo:[a"))}})); err == nil ||
		!strings.Contains(err.Error(), `backend.actions.filter.exclude[0].id: "todo:[a"`) {
		t.Errorf("a bad pattern: %v", err)
	}
}

func TestInvokingActionsOfOtherPlugins(t *testing.T) {
	t.Parallel()
	agent := make(chan service.Actions, 1)
	b := backendtest.Start(t, todo(), plugin.New("agent", plugin.Init(func(actions service.Actions) { agent <- actions })),
		configured(map[string]any{"pluginSources": []any{"shop", "todo"}, "filter": map[string]any{"exclude": []any{map[string]any{"id": "*:export"}}}}))
	actions, ctx := <-agent, t.Context()
	user := service.Credentials{Kind: service.AllowUser, Subject: "user:default/bob", Token: service.NewToken(`mock-user-token:{"sub":"user:default/bob"}`)}
	offered, err := actions.List(ctx, user)
	if err != nil || len(offered) != 2 || offered[0].ID != "todo:add" || offered[1].ID != "todo:delete" || !offered[0].Attributes.Additive {
		t.Errorf("%v, %v", offered, err)
	}
	if !slices.ContainsFunc(b.Log.Entries(), func(e backendtest.LogEntry) bool { return e.Level == "warn" && e.Fields["source"] == "shop" }) {
		t.Error("that a source is not there is not in the log")
	}
	output, err := actions.Invoke(ctx, user, service.ActionCall{ID: "todo:add", Input: item{Title: "ink"}})
	if string(output) != `{"id":"ink","by":"user:default/bob"}` {
		t.Errorf("%s, %v", output, err)
	}
	for _, c := range []struct {
		call service.ActionCall
		kind service.ErrorName
		want string
	}{
		{service.ActionCall{ID: "todo:add"}, service.InputError, "title"},
		{service.ActionCall{ID: "todo:delete"}, service.ConflictError, "it is in use"},
		{service.ActionCall{ID: "todo:export", Secrets: password{"s3cret"}}, service.NotFoundError, "todo:export"},
		{service.ActionCall{ID: "add"}, service.InputError, "Invalid action id"},
		{service.ActionCall{ID: "todo:../../x"}, service.NotFoundError, "not found"},
		{service.ActionCall{ID: "todo:add", Input: func() {}}, service.InputError, "JSON"},
	} {
		if _, err := actions.Invoke(ctx, user, c.call); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a %s with %q", c.call.ID, err, c.kind, c.want)
		}
	}
}

func TestActionsThatCannotBeRegistered(t *testing.T) {
	t.Parallel()
	good := service.ActionInfo{Name: "x", Title: "X", Description: "Does X."}
	nothing := func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }
	for want, action := range map[string]service.Action{
		"already":               service.NewAction(service.ActionInfo{Name: "add", Title: "A", Description: "B"}, nothing),
		"letters, digits":       service.NewAction(service.ActionInfo{Name: "a b", Title: "A", Description: "B"}, nothing),
		"a title":               service.NewAction(service.ActionInfo{Name: "x"}, nothing),
		"not made by NewAction": {ActionInfo: good},
		"not an object":         service.NewAction(good, func(context.Context, []string) (struct{}, error) { return struct{}{}, nil }),
		"chan int":              service.NewAction(good, func(context.Context, struct{ C chan int }) (struct{}, error) { return struct{}{}, nil }),
		"one for resources": service.NewAction(service.ActionInfo{Name: "x", Title: "X", Description: "X",
			VisibilityPermission: service.Permission{Name: "p", ResourceType: "r"}}, nothing),
	} {
		if _, err := backendtest.TryStart(t, todo(action)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something about %q", err, want)
		}
	}
}

func FuzzInvoke(f *testing.F) {
	type in struct {
		A string            `json:"a"`
		B map[string]uint16 `json:"b,omitempty"`
		C *[]item           `json:"c,omitempty"`
		D json.RawMessage   `json:"d,omitempty"`
	}
	ran := false
	action := service.NewAction(service.ActionInfo{Name: "x", Title: "X", Description: "X"}, func(_ context.Context, got in) (in, error) {
		ran = true
		return got, nil
	})
	f.Add([]byte(`{"a":"x","b":{"y":1},"c":[{"title":"z"}],"d":[1]}`))
	f.Add([]byte(`{"a":1e400,"b":{"~1/0":-1},"c":[{}]}`))
	f.Add([]byte(`{"a":"x"} {}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		ran = false
		_, err := action.Run(t.Context(), input, nil)
		if ran == (err != nil) || err != nil && !errors.Is(err, service.InputError) {
			t.Errorf("%q: %v", input, err)
		}
	})
}
