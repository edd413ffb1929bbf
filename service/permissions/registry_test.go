package permissions_test

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

const (
	metadata        = "/api/todo/.well-known/backstage/permissions/metadata"
	applyConditions = "/api/todo/.well-known/backstage/permissions/apply-conditions"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo(janesItem()))
	var got, want any
	got = backendtest.JSON[any](t, b.As(t, jane).Get(metadata))
	if err := json.Unmarshal([]byte(`{
		"permissions": [
			{"type": "basic", "name": "todo.item.create", "attributes": {"action": "create"}},
			{"type": "resource", "name": "todo.item.read", "attributes": {"action": "read"}, "resourceType": "todo-item"},
			{"type": "resource", "name": "todo.item.delete", "attributes": {"action": "delete"}, "resourceType": "todo-item"}
		],
		"rules": [
			{"name": "IS_OWNER", "description": "Allow items with one of the owners", "resourceType": "todo-item", "paramsSchema": {
				"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false, "required": ["owners"],
				"properties": {"owners": {"type": "array", "items": {"type": "string"}, "description": "Entity refs of which one must own the item"}}}},
			{"name": "IS_DONE", "description": "Allow items that are done", "resourceType": "todo-item", "paramsSchema": {
				"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false, "properties": {}}}
		]
	}`), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the metadata is %v", got)
	}
	if got := b.Anonymous(t).Get(metadata).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("without credentials: status %d", got)
	}
}

func TestApplyConditions(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo(&store{byRef: map[string]*item{"1": {Owner: jane}, "2": {Owner: joe, Done: true}}}))
	tests := map[string]struct {
		body   string
		status int
		want   string // the body, or a part of the message
	}{
		"one resource": {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item",
			"conditions":{"rule":"IS_OWNER","resourceType":"todo-item","params":{"owners":["user:default/jane"]}}}]}`,
			200, `{"items":[{"id":"a","result":"ALLOW"}]}`},
		"several, of which one doesn't exist": {`{"items":[{"id":"a","resourceRef":["1","2","3"],"resourceType":"todo-item",
			"conditions":{"not":{"rule":"IS_DONE","resourceType":"todo-item"}}}]}`,
			200, `{"items":[{"id":"a","result":["ALLOW","DENY","DENY"]}]}`},
		"all and any": {`{"items":[
			{"id":"a","resourceRef":["1","2"],"resourceType":"todo-item","conditions":{"allOf":[
				{"rule":"IS_DONE","resourceType":"todo-item"},
				{"anyOf":[{"rule":"IS_OWNER","resourceType":"todo-item","params":{"owners":["user:default/joe"]}},
				          {"not":{"rule":"IS_DONE","resourceType":"todo-item"}}]}]}},
			{"id":"b","resourceRef":"1","resourceType":"todo-item","conditions":{"rule":"IS_DONE","resourceType":"todo-item","params":{}}}]}`,
			200, `{"items":[{"id":"a","result":["DENY","ALLOW"]},{"id":"b","result":"DENY"}]}`},
		"nothing":                  {`{"items":[]}`, 200, `{"items":[]}`},
		"another resource type":    {`{"items":[{"id":"a","resourceRef":"1","resourceType":"x","conditions":{"rule":"R","resourceType":"x"}}]}`, 400, "Unexpected resource types: x."},
		"an unknown rule":          {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":{"rule":"R","resourceType":"todo-item"}}]}`, 500, ""},
		"a missing parameter":      {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":{"rule":"IS_OWNER","resourceType":"todo-item"}}]}`, 400, "owners is missing"},
		"a parameter of no rule":   {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":{"rule":"IS_DONE","resourceType":"todo-item","params":{"x":1}}}]}`, 400, "x is not a parameter"},
		"a parameter of null":      {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":{"rule":"IS_OWNER","resourceType":"todo-item","params":{"owners":null}}}]}`, 400, "owners is null"},
		"a null in a parameter":    {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":{"rule":"IS_OWNER","resourceType":"todo-item","params":{"owners":[null]}}}]}`, 400, "null in it"},
		"a parameter of no type":   {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":{"rule":"IS_OWNER","resourceType":"todo-item","params":{"owners":[1]}}}]}`, 400, "is a number, not a string"},
		"no items":                 {`{}`, 400, "items"},
		"no JSON":                  {`{`, 400, "Malformed"},
		"more than JSON":           {`{"items":[]}x`, 400, "Malformed"},
		"no refs":                  {`{"items":[{"id":"a","resourceRef":[],"resourceType":"todo-item","conditions":{"rule":"IS_DONE","resourceType":"todo-item"}}]}`, 400, "resourceRef"},
		"no conditions":            {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item"}]}`, 400, "conditions"},
		"an empty list":            {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":{"anyOf":[]}}]}`, 400, "anyOf"},
		"conditions of two kinds":  {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":{"anyOf":[{"rule":"IS_DONE","resourceType":"todo-item"}],"rule":"IS_DONE","resourceType":"todo-item"}}]}`, 400, "one of"},
		"conditions without an id": {`{"items":[{"resourceRef":"1","resourceType":"todo-item","conditions":{"rule":"IS_DONE","resourceType":"todo-item"}}]}`, 400, "id"},
		"conditions nested deeply": {`{"items":[{"id":"a","resourceRef":"1","resourceType":"todo-item","conditions":` +
			strings.Repeat(`{"not":`, 5000) + `{"rule":"IS_DONE","resourceType":"todo-item"}` + strings.Repeat(`}`, 5000) + `}]}`, 400, "deep"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := b.AsService(t, "plugin:permission").Post(applyConditions, strings.NewReader(tt.body))
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
				t.Errorf("status %d: %s", res.StatusCode, body)
			}
		})
	}
}

func TestUsersCannotApplyConditions(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, todo(janesItem()))
	res := b.As(t, jane).Post(applyConditions, map[string]any{"items": []any{}})
	body := backendtest.JSON[map[string]map[string]any](t, res)
	if res.StatusCode != http.StatusForbidden || body["error"]["name"] != "NotAllowedError" || body["error"]["message"] != "" {
		t.Errorf("status %d: %v", res.StatusCode, body)
	}
	if got := b.Anonymous(t).Post(applyConditions, map[string]any{"items": []any{}}).StatusCode; got != http.StatusUnauthorized {
		t.Errorf("without credentials: status %d", got)
	}
}

// A plugin that acts for a user may ask.
func TestPluginsApplyConditionsForUsers(t *testing.T) {
	t.Parallel()
	status := 0
	backendtest.Start(t, todo(janesItem()), plugin.New("permission", plugin.Init(
		func(client *http.Client, discovery service.Discovery, lifecycle fx.Lifecycle) {
			lifecycle.Append(fx.StartHook(func() error {
				ctx := service.OnBehalfOf(t.Context(), user(jane))
				base, err := discovery.BaseURL(ctx, "todo")
				if err != nil {
					return err
				}
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+strings.TrimPrefix(applyConditions, "/api/todo"), strings.NewReader(`{"items":[]}`))
				if err != nil {
					return err
				}
				res, err := client.Do(req)
				if err != nil {
					return err
				}
				status = res.StatusCode
				return res.Body.Close()
			}))
		})))
	if status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func TestMistakesInTheRegistry(t *testing.T) {
	t.Parallel()
	again := service.ResourceType[*item, where]{Name: "todo-item"}
	twice := service.ResourceType[*item, where]{Name: "other", Rules: []service.PermissionRule[*item, where]{items.Rules[0], items.Rules[0]}}
	foreign := service.ResourceType[*item, where]{Name: "other", Permissions: []service.Permission{readItem}}
	unloadable := service.ResourceType[*item, where]{Name: "other", Rules: items.Rules}
	tests := map[string]struct {
		add  func(service.PermissionsRegistry) error
		want string // empty: no mistake
	}{
		"a permission again": {func(r service.PermissionsRegistry) error { return r.AddPermissions(readItem, createItem, readItem) }, ""},
		"a permission with two meanings": {func(r service.PermissionsRegistry) error {
			return r.AddPermissions(service.Permission{Name: readItem.Name})
		}, "twice"},
		"a permission without a name":       {func(r service.PermissionsRegistry) error { return r.AddPermissions(service.Permission{}) }, "name"},
		"a type again":                      {func(r service.PermissionsRegistry) error { return r.AddResourceType(again.LoadedBy(nil)) }, "twice"},
		"a rule twice":                      {func(r service.PermissionsRegistry) error { return r.AddResourceType(twice.LoadedBy(nil)) }, "two rules"},
		"a permission of another type":      {func(r service.PermissionsRegistry) error { return r.AddResourceType(foreign.LoadedBy(nil)) }, "about resources of type"},
		"a type whose things aren't loaded": {func(r service.PermissionsRegistry) error { return r.AddResourceType(unloadable.LoadedBy(nil)) }, ""},
		"a type without a name": {func(r service.PermissionsRegistry) error {
			return r.AddResourceType(service.ResourceType[int, int]{}.LoadedBy(nil))
		}, "name"},
		"something after the plugin started": {nil, "after the plugin has started"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var registry service.PermissionsRegistry
			var err error
			b := backendtest.Start(t, plugin.New("todo", plugin.Init(func(r service.PermissionsRegistry) error {
				registry = r
				if err := r.AddResourceType(items.LoadedBy(janesItem().load)); err != nil {
					return err
				}
				if tt.add != nil {
					err = tt.add(r)
				}
				return nil
			})))
			if tt.add == nil {
				err = registry.AddPermissions(createItem)
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if strings.HasPrefix(name, "a type whose") {
				res := b.AsService(t, "plugin:permission").Post(applyConditions, map[string]any{"items": []any{map[string]any{
					"id": "1", "resourceRef": "1", "resourceType": "other", "conditions": map[string]any{"rule": "IS_DONE", "resourceType": "other"}}}})
				if res.StatusCode != http.StatusNotImplemented {
					t.Errorf("status %d", res.StatusCode)
				}
			}
		})
	}
}

// The routes are there only in plugins that have a registry.
func TestNoRegistryNoRoutes(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, plugin.New("todo", plugin.Init(func(*echo.Group) {})))
	if got := b.As(t, jane).Get(metadata).StatusCode; got != http.StatusNotFound {
		t.Errorf("status %d", got)
	}
}
