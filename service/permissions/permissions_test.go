package permissions_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

const (
	jane = "user:default/jane"
	joe  = "user:default/joe"
)

func janesItem() *store { return &store{byRef: map[string]*item{"1": {Owner: jane}}} }

func allow() service.Decision { return service.Decision{Result: service.ResultAllow} }

// onlyOwn allows everything, and what is about items only for those of the user.
func onlyOwn(user service.Credentials, p service.Permission) service.Decision {
	if p.ResourceType == "" {
		return allow()
	}
	return service.Decision{Result: service.ResultConditional, PluginID: "todo", ResourceType: p.ResourceType, Conditions: &service.Criteria{
		ResourceType: p.ResourceType, Rule: "IS_OWNER", Params: map[string]any{"owners": []string{user.Subject}},
	}}
}

func TestStandIn(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo(janesItem()), backendtest.Permissions(func(user service.Credentials, p service.Permission) service.Decision {
		if p == createItem {
			return service.Decision{Result: service.ResultDeny}
		}
		return onlyOwn(user, p)
	}))
	if got := b.As(t, jane).Post("/api/todo/items", nil).StatusCode; got != http.StatusForbidden {
		t.Errorf("creating what the policy denies: status %d", got)
	}
	if got := b.AsService(t, "external:ci").Post("/api/todo/items", nil).StatusCode; got != http.StatusCreated {
		t.Errorf("creating as a service: status %d", got)
	}
	for user, want := range map[string]int{jane: http.StatusNoContent, joe: http.StatusForbidden} {
		if got := b.As(t, user).Do(http.MethodDelete, "/api/todo/items/1", nil).StatusCode; got != want {
			t.Errorf("%s deletes jane's item: status %d, want %d", user, got, want)
		}
	}
	got := backendtest.JSON[map[string]where](t, b.As(t, jane).Get("/api/todo/items"))
	if want := where("SELECT * FROM items WHERE owner IN ('" + jane + "')"); got["query"] != want {
		t.Errorf("the query is %q, want %q", got["query"], want)
	}
}

func TestEverythingIsAllowedByDefault(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo(janesItem()))
	if got := b.As(t, joe).Do(http.MethodDelete, "/api/todo/items/1", nil).StatusCode; got != http.StatusNoContent {
		t.Errorf("status %d", got)
	}
	got := backendtest.JSON[map[string]where](t, b.As(t, joe).Get("/api/todo/items"))
	if want := where("SELECT * FROM items WHERE TRUE"); got["query"] != want {
		t.Errorf("the query is %q, want %q", got["query"], want)
	}
}

// permissionPlugin answers in place of the real one, and records who asked what.
type permissionPlugin struct {
	answer func(body string) (status int, answer string)

	mu    sync.Mutex
	asked []string
	who   []service.Credentials
}

func (p *permissionPlugin) plugin() plugin.Plugin {
	return plugin.New("permission", plugin.Init(func(router *echo.Group, auth service.HTTPAuth) {
		router.POST("/authorize", func(c echo.Context) error {
			who, err := auth.Credentials(c.Request())
			if err != nil {
				return err
			}
			var body json.RawMessage
			if err := json.NewDecoder(c.Request().Body).Decode(&body); err != nil {
				return err
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.asked, p.who = append(p.asked, string(body)), append(p.who, who)
			status, answer := p.answer(string(body))
			return c.JSONBlob(status, []byte(answer))
		})
	}))
}

// enabled starts a backend with permissions enabled, and returns the service.Permissions of plugin todo.
func enabled(t *testing.T, features ...backend.Feature) (*backendtest.Backend, service.Permissions) {
	t.Helper()
	var permissions service.Permissions
	b := backendtest.Start(t, append(features,
		plugin.New("todo", plugin.Init(func(p service.Permissions) { permissions = p })),
		backendtest.Config(map[string]any{"permission": map[string]any{"enabled": true}}))...)
	return b, permissions
}

func user(ref string) service.Credentials {
	return service.Credentials{Kind: service.AllowUser, Subject: ref, Token: service.NewToken("token")}
}

func TestAuthorizeAsksOnceForManyRequests(t *testing.T) {
	t.Parallel()
	fake := &permissionPlugin{answer: func(string) (int, string) {
		return 200, `{"items":[{"id":"2","result":"DENY"},{"id":"0","result":"ALLOW"},{"id":"1","result":"DENY"}]}`
	}}
	_, permissions := enabled(t, fake.plugin())
	allowed, err := permissions.Authorize(t.Context(), user(jane),
		service.PermissionRequest{Permission: createItem},
		service.PermissionRequest{Permission: readItem, ResourceRef: "1"},
		service.PermissionRequest{Permission: readItem, ResourceRef: "2"},
		service.PermissionRequest{Permission: createItem},
	)
	if err != nil || !slices.Equal(allowed, []bool{true, false, false, true}) {
		t.Fatal(allowed, err)
	}
	want := `{"items":[{"id":"0","permission":{"type":"basic","name":"todo.item.create","attributes":{"action":"create"}}},` +
		`{"id":"1","permission":{"type":"resource","name":"todo.item.read","attributes":{"action":"read"},"resourceType":"todo-item"},"resourceRef":"1"},` +
		`{"id":"2","permission":{"type":"resource","name":"todo.item.read","attributes":{"action":"read"},"resourceType":"todo-item"},"resourceRef":"2"}]}`
	if len(fake.asked) != 1 || fake.asked[0] != want {
		t.Errorf("the permission plugin was asked %q", fake.asked)
	}
	if who := fake.who[0]; who.Kind != service.AllowUser || who.Subject != jane || who.Actor != "plugin:todo" {
		t.Errorf("the permission plugin was asked by %v", who)
	}
}

func TestAuthorizeWithListsOfResources(t *testing.T) {
	t.Parallel()
	fake := &permissionPlugin{answer: func(string) (int, string) {
		return 200, `{"items":[{"id":"0","result":["ALLOW","DENY"]},{"id":"1","result":"ALLOW"}]}`
	}}
	_, permissions := enabled(t, fake.plugin(),
		backendtest.Config(map[string]any{"permission": map[string]any{"EXPERIMENTAL_enableBatchedRequests": true}}))
	allowed, err := permissions.Authorize(t.Context(), user(jane),
		service.PermissionRequest{Permission: readItem, ResourceRef: "1"},
		service.PermissionRequest{Permission: deleteItem, ResourceRef: "1"},
		service.PermissionRequest{Permission: readItem, ResourceRef: "2"},
		service.PermissionRequest{Permission: readItem, ResourceRef: "1"},
	)
	if err != nil || !slices.Equal(allowed, []bool{true, true, false, true}) {
		t.Fatal(allowed, err)
	}
	if got := fake.asked[0]; !strings.Contains(got, `"resourceRef":["1","2"]`) || !strings.Contains(got, `"resourceRef":["1"]`) {
		t.Errorf("the permission plugin was asked %s", got)
	}
}

func TestAuthorizeConditional(t *testing.T) {
	t.Parallel()
	fake := &permissionPlugin{answer: func(string) (int, string) {
		return 200, `{"items":[{"id":"0","result":"CONDITIONAL","pluginId":"todo","resourceType":"todo-item",
			"conditions":{"not":{"rule":"IS_DONE","resourceType":"todo-item"}}},{"id":"1","result":"DENY"}]}`
	}}
	_, permissions := enabled(t, fake.plugin())
	decisions, err := permissions.AuthorizeConditional(t.Context(), user(jane), readItem, deleteItem)
	if err != nil {
		t.Fatal(err)
	}
	if q, err := items.Query(decisions[0]); err != nil || q != "NOT done" {
		t.Error(q, err)
	}
	if q, err := items.Query(decisions[1]); err != nil || q != "FALSE" {
		t.Error(q, err)
	}
}

// Whatever goes wrong, nothing is allowed.
func TestAnswersThatAreNoAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		answer string
		want   error // or any
	}{
		"an error":           {403, `{"error":{"name":"NotAllowedError","message":"no"}}`, service.NotAllowedError},
		"an unknown error":   {500, `oops`, nil},
		"no JSON":            {200, `oops`, nil},
		"too few":            {200, `{"items":[]}`, nil},
		"too many":           {200, `{"items":[{"id":"0","result":"ALLOW"},{"id":"1","result":"ALLOW"}]}`, nil},
		"the wrong one":      {200, `{"items":[{"id":"7","result":"ALLOW"}]}`, nil},
		"an unknown result":  {200, `{"items":[{"id":"0","result":"MAYBE"}]}`, nil},
		"no result":          {200, `{"items":[{"id":"0"}]}`, nil},
		"no results":         {200, `{"items":[{"id":"0","result":[]}]}`, nil},
		"a condition":        {200, `{"items":[{"id":"0","result":"CONDITIONAL"}]}`, nil},
		"invalid conditions": {200, `{"items":[{"id":"0","result":"CONDITIONAL","conditions":{}}]}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, permissions := enabled(t, (&permissionPlugin{answer: func(string) (int, string) { return tt.status, tt.answer }}).plugin())
			_, err := permissions.Authorize(t.Context(), user(jane), service.PermissionRequest{Permission: createItem})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("Authorize: %v", err)
			}
			d, err := permissions.AuthorizeConditional(t.Context(), user(jane), createItem)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("AuthorizeConditional: %v, %v", d, err)
			}
		})
	}
}

func TestResourcePermissionsNeedAResource(t *testing.T) {
	t.Parallel()
	_, permissions := enabled(t)
	if _, err := permissions.Authorize(t.Context(), user(jane), service.PermissionRequest{Permission: readItem}); err == nil {
		t.Error("no error")
	}
}

// The permission plugin is not even there: it isn't asked about services, nor for nobody.
func TestServicesAreNotAskedAbout(t *testing.T) {
	t.Parallel()
	_, permissions := enabled(t)
	restricted := func(r service.AccessRestriction) service.Credentials {
		return service.Credentials{Kind: service.AllowService, Subject: "external:ci", Restrictions: map[string]service.AccessRestriction{"todo": r}}
	}
	free := service.Permission{Name: "todo.free"}
	tests := map[string]struct {
		who    service.Credentials
		create bool
		read   bool
		free   bool
	}{
		"not restricted":                  {service.Credentials{Kind: service.AllowService, Subject: "plugin:search"}, true, true, true},
		"with nothing more said":          {restricted(service.AccessRestriction{}), true, true, true},
		"by permission":                   {restricted(service.AccessRestriction{Permissions: []string{"todo.item.create"}}), true, false, false},
		"by action":                       {restricted(service.AccessRestriction{Actions: []string{"read", "update"}}), false, true, false},
		"by both":                         {restricted(service.AccessRestriction{Permissions: []string{"todo.free"}, Actions: []string{"read"}}), false, false, false},
		"for another plugin":              {service.Credentials{Kind: service.AllowService, Restrictions: map[string]service.AccessRestriction{"catalog": {}}}, false, false, false},
		"with an empty set of privileges": {service.Credentials{Kind: service.AllowService, Restrictions: map[string]service.AccessRestriction{}}, false, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := []bool{tt.create, tt.read, tt.free}
			got, err := permissions.Authorize(t.Context(), tt.who, service.PermissionRequest{Permission: createItem},
				service.PermissionRequest{Permission: readItem, ResourceRef: "1"}, service.PermissionRequest{Permission: free})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
			decisions, err := permissions.AuthorizeConditional(t.Context(), tt.who, createItem, readItem, free)
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range decisions {
				if d.Result == service.ResultAllow != want[i] {
					t.Errorf("decision %d is %v", i, d)
				}
			}
		})
	}
	if _, err := permissions.Authorize(t.Context(), service.Credentials{Kind: service.AllowNone},
		service.PermissionRequest{Permission: createItem}); !errors.Is(err, service.AuthenticationError) {
		t.Errorf("for nobody: %v", err)
	}
}
