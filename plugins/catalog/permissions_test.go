package catalog_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/service"
)

// decides decides about users: everything is allowed but what decisions has.
func decides(decisions map[string]service.Decision) backend.Feature {
	return backendtest.Permissions(func(_ service.Credentials, p service.Permission) service.Decision {
		if d, ok := decisions[p.Name]; ok {
			return d
		}
		return service.Decision{Result: service.ResultAllow}
	})
}

var deny = service.Decision{Result: service.ResultDeny}

// owned are some entities of two teams.
const owned = `
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: shop, annotations: {example.com/Tier: Gold}, labels: {a: b}}
spec: {type: website, lifecycle: production, owner: team-a}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: jobs, tags: [batch]}
spec: {type: service, lifecycle: experimental, owner: team-b}
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: orders}
spec: {type: openapi, lifecycle: production, owner: team-a, definition: x}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: team-a}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: team-b}
spec: {type: team, children: []}
`

func startOwned(t *testing.T, decisions map[string]service.Decision) *backendtest.Backend {
	t.Helper()
	b := backendtest.Start(t, catalog.Plugin(), located(write(t, t.TempDir(), "owned.yaml", owned)), decides(decisions))
	everything := b.AsService(t, "plugin:test")
	await(t, "the catalog to settle", func() bool { return total(t, everything) == 6 })
	return b
}

// names are the refs of entities, in order.
func names(entities []struct {
	Kind     string
	Metadata struct{ Name string }
}) []string {
	refs := []string{}
	for _, e := range entities {
		if e.Kind != "" {
			refs = append(refs, strings.ToLower(e.Kind)+":"+e.Metadata.Name)
		}
	}
	slices.Sort(refs)
	return refs
}

type list = []struct {
	Kind     string
	Metadata struct{ Name string }
}

// Every rule means the same wherever it is applied: in queries, and by the route that applies conditions.
func TestRules(t *testing.T) {
	t.Parallel()
	all := []string{"api:default/orders", "component:default/jobs", "component:default/shop", "group:default/team-a"}
	for name, tt := range map[string]struct {
		conditions service.Criteria
		want       []string
	}{
		"owner":            {catalogpermission.IsEntityOwner("group:default/Team-A"), []string{"api:orders", "component:shop"}},
		"owners":           {catalogpermission.IsEntityOwner("group:default/team-a", "group:default/team-b"), []string{"api:orders", "component:jobs", "component:shop"}},
		"no owner":         {catalogpermission.IsEntityOwner(), []string{}},
		"kind":             {catalogpermission.IsEntityKind("Component"), []string{"component:jobs", "component:shop"}},
		"annotation":       {catalogpermission.HasAnnotation("example.com/tier"), []string{"component:shop"}},
		"annotation value": {catalogpermission.HasAnnotation("example.com/Tier", "gold"), []string{"component:shop"}},
		"other value":      {catalogpermission.HasAnnotation("example.com/tier", "silver"), []string{}},
		"label":            {catalogpermission.HasLabel("a", "c", "b"), []string{"component:shop"}},
		"metadata":         {catalogpermission.HasMetadata("tags", "batch"), []string{"component:jobs"}},
		"spec":             {catalogpermission.HasSpec("lifecycle", "Production"), []string{"api:orders", "component:shop"}},
		"all, any and not": {service.Criteria{AllOf: []service.Criteria{
			{Not: &service.Criteria{AnyOf: []service.Criteria{catalogpermission.IsEntityKind("api"), catalogpermission.HasSpec("type", "team")}}},
			catalogpermission.HasSpec("owner"),
		}}, []string{"component:jobs", "component:shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startOwned(t, map[string]service.Decision{"catalog.entity.read": catalogpermission.If(tt.conditions)})
			expect(t, "GET /entities", names(backendtest.JSON[list](t, b.As(t, "user:default/jane").Get("/api/catalog/entities"))), tt.want...)

			res := b.AsService(t, "plugin:permission").Post("/api/catalog/.well-known/backstage/permissions/apply-conditions", map[string]any{"items": []any{
				map[string]any{"id": "1", "resourceRef": append(slices.Clone(all), "no:ref:at/all"), "resourceType": "catalog-entity", "conditions": tt.conditions}}})
			answer := backendtest.JSON[struct{ Items []struct{ Result []string } }](t, res)
			if len(answer.Items) != 1 || len(answer.Items[0].Result) != 5 {
				t.Fatalf("status %d: %v", res.StatusCode, answer)
			}
			met := []string{}
			for i, result := range answer.Items[0].Result {
				if result == "ALLOW" {
					met = append(met, strings.ReplaceAll(all[i], "default/", ""))
				}
			}
			expect(t, "apply-conditions", met, tt.want...)
		})
	}
}

// What may not be seen is not there, whichever way somebody looks.
func TestReading(t *testing.T) {
	t.Parallel()
	b := startOwned(t, map[string]service.Decision{"catalog.entity.read": catalogpermission.If(catalogpermission.IsEntityOwner("group:default/team-a"))})
	jane, everything := b.As(t, "user:default/jane"), b.AsService(t, "plugin:test")
	uid := func(path string) string {
		return entity(t, everything, path)["metadata"].(map[string]any)["uid"].(string)
	}
	now := "?at=" + b.Clock.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for path, want := range map[string]int{
		"/entities/by-name/component/default/shop" + now:    200,
		"/entities/by-name/component/default/jobs" + now:    404,
		"/entities/by-name/component/default/shop/history":  200,
		"/entities/by-name/component/default/shop":          200,
		"/entities/by-name/component/default/jobs":          404,
		"/entities/by-uid/" + uid("component/default/shop"): 200,
		"/entities/by-uid/" + uid("component/default/jobs"): 404,
		"/entities/by-name/component/default/shop/ancestry": 200,
		"/entities/by-name/component/default/jobs/ancestry": 403,
		"/entities/by-name/component/default/nope/ancestry": 403,
	} {
		if got := jane.Get("/api/catalog" + path).StatusCode; got != want {
			t.Errorf("%s: status %d, want %d", path, got, want)
		}
	}
	visible := []string{"api:orders", "component:shop"}
	expect(t, "a filter", names(backendtest.JSON[list](t, jane.Get("/api/catalog/entities?filter=kind=component"))), "component:shop")
	expect(t, "what was", names(backendtest.JSON[list](t, jane.Get("/api/catalog/entities"+now))), visible...)
	history := backendtest.JSON[struct{ Items []any }](t, jane.Get("/api/catalog/entities/by-name/component/default/jobs/history"))
	if len(history.Items) != 0 {
		t.Errorf("the history of what is hidden is %v", history.Items)
	}
	expect(t, "a page", names(backendtest.JSON[list](t, jane.Get("/api/catalog/entities?limit=10&order=asc:kind"))), visible...)
	for name, res := range map[string]*http.Response{
		"by-query":           jane.Get("/api/catalog/entities/by-query?orderField=metadata.name,asc"),
		"POST by-query":      jane.Post("/api/catalog/entities/by-query", map[string]any{"query": map[string]any{"$not": map[string]any{"kind": "group"}}}),
		"a text":             jane.Get("/api/catalog/entities/by-query?fullTextFilterTerm=o&fullTextFilterFields=metadata.name"),
		"a filter on others": jane.Get("/api/catalog/entities/by-query?filter=kind=component&filter=kind=api"),
	} {
		page := backendtest.JSON[struct {
			Items      list
			TotalItems int
		}](t, res)
		expect(t, name, names(page.Items), visible...)
		if page.TotalItems != 2 {
			t.Errorf("%s: the total is %d", name, page.TotalItems)
		}
	}
	refs := map[string]any{"entityRefs": []string{"component:default/jobs", "component:default/shop", "component:default/nope"}}
	expect(t, "by-refs", names(backendtest.JSON[struct{ Items list }](t, jane.Post("/api/catalog/entities/by-refs", refs)).Items), "component:shop")
	for name, res := range map[string]*http.Response{
		"facets":      jane.Get("/api/catalog/entity-facets?facet=metadata.name"),
		"POST facets": jane.Post("/api/catalog/entity-facets", map[string]any{"facets": []string{"metadata.name"}}),
	} {
		body, err := io.ReadAll(res.Body)
		if err != nil || strings.TrimSpace(string(body)) != `{"facets":{"metadata.name":[{"value":"orders","count":1},{"value":"shop","count":1}]}}` {
			t.Errorf("%s: %s, %v", name, body, err)
		}
	}
	changes := backendtest.JSON[struct{ Items []struct{ EntityRef string } }](t, jane.Get("/api/catalog/changes?cursor=earliest"))
	for _, c := range changes.Items {
		if !slices.Contains([]string{"component:default/shop", "api:default/orders"}, c.EntityRef) {
			t.Errorf("a change of %s is told", c.EntityRef)
		}
	}
	// The location that the others are from may not be seen, so that the way up ends there.
	ancestry := backendtest.JSON[struct{ Items []any }](t, jane.Get("/api/catalog/entities/by-name/component/default/shop/ancestry"))
	if len(ancestry.Items) != 1 {
		t.Errorf("the ancestry is %v", ancestry.Items)
	}
	if got := total(t, everything); got != 6 {
		t.Errorf("a service sees %d entities", got)
	}
}

func TestReadingDenied(t *testing.T) {
	t.Parallel()
	b := startOwned(t, map[string]service.Decision{"catalog.entity.read": deny})
	jane := b.As(t, "user:default/jane")
	for path, want := range map[string]string{
		"/entities":                        `[]`,
		"/entities/by-query":               `{"items":[],"totalItems":0,"pageInfo":{}}`,
		"/entity-facets?facet=kind":        `{"facets":{"kind":[]}}`,
		"/changes?cursor=earliest&limit=1": `"items":[]`,
	} {
		body, err := io.ReadAll(jane.Get("/api/catalog" + path).Body)
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v", path, body, err)
		}
	}
}

func TestChanging(t *testing.T) {
	t.Parallel()
	own := catalogpermission.If(catalogpermission.IsEntityOwner("group:default/team-a"))
	some := startOwned(t, map[string]service.Decision{"catalog.entity.refresh": own, "catalog.entity.delete": own})
	none := startOwned(t, map[string]service.Decision{
		"catalog.entity.refresh": deny, "catalog.entity.delete": deny, "catalog.entity.validate": deny, "catalog.location.read": deny,
		"catalog.location.create": deny, "catalog.location.delete": deny, "catalog.location.analyze": deny,
	})
	refresh := func(b *backendtest.Backend, ref string) int {
		return b.As(t, "user:default/jane").Post("/api/catalog/refresh", map[string]any{"entityRef": ref}).StatusCode
	}
	remove := func(b *backendtest.Backend, path string) int {
		uid := entity(t, b.AsService(t, "plugin:test"), path)["metadata"].(map[string]any)["uid"]
		return b.As(t, "user:default/jane").Do(http.MethodDelete, fmt.Sprintf("/api/catalog/entities/by-uid/%s", uid), nil).StatusCode
	}
	jane := none.As(t, "user:default/jane")
	location := map[string]any{"type": "url", "target": "https://example.com/x.yaml"}
	for name, tt := range map[string]struct{ got, want int }{
		"refreshing one's own":         {refresh(some, "component:default/shop"), 200},
		"refreshing that of others":    {refresh(some, "component:default/jobs"), 403},
		"refreshing nothing":           {refresh(some, "component:default/nope"), 403},
		"refreshing":                   {refresh(none, "component:default/shop"), 403},
		"deleting one's own":           {remove(some, "component/default/shop"), 204},
		"deleting that of others":      {remove(some, "component/default/jobs"), 403},
		"deleting":                     {remove(none, "component/default/shop"), 403},
		"validating":                   {jane.Post("/api/catalog/validate-entity", map[string]any{"entity": map[string]any{}, "location": "url:https://x"}).StatusCode, 403},
		"analyzing":                    {jane.Post("/api/catalog/analyze-location", map[string]any{"location": location}).StatusCode, 403},
		"registering":                  {jane.Post("/api/catalog/locations", location).StatusCode, 403},
		"trying to register":           {jane.Post("/api/catalog/locations?dryRun=true", location).StatusCode, 403},
		"changing a location":          {jane.Do(http.MethodPut, "/api/catalog/locations/x", location).StatusCode, 403},
		"taking a location away":       {jane.Do(http.MethodDelete, "/api/catalog/locations/x", nil).StatusCode, 403},
		"seeing a location":            {jane.Get("/api/catalog/locations/x").StatusCode, 404},
		"seeing that of an entity":     {jane.Get("/api/catalog/locations/by-entity/component/default/shop").StatusCode, 404},
		"seeing locations, all hidden": {jane.Get("/api/catalog/locations").StatusCode, 200},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: status %d, want %d", name, tt.got, tt.want)
		}
	}
	for path, want := range map[string]string{"/locations": `[]`} {
		if body, err := io.ReadAll(jane.Get("/api/catalog" + path).Body); err != nil || strings.TrimSpace(string(body)) != want {
			t.Errorf("%s: %s, %v", path, body, err)
		}
	}
}

// With the permission plugin in the same backend, all the way.
func TestWithThePermissionPlugin(t *testing.T) {
	t.Parallel()
	policy := plugin.NewModule("permission", "policy", plugin.Init(func(p permission.Policies) error {
		return p.SetPolicy(permission.PolicyFunc(ownedByUser))
	}))
	b := backendtest.Start(t, catalog.Plugin(), permission.Plugin(), policy, located(write(t, t.TempDir(), "owned.yaml", owned)),
		backendtest.Config(map[string]any{"permission": map[string]any{"enabled": true}}))
	everything := b.AsService(t, "plugin:test")
	await(t, "the catalog to settle", func() bool { return total(t, everything) == 6 })
	team := b.As(t, "group:default/team-b") // in tests, users own what is theirs
	expect(t, "entities", names(backendtest.JSON[list](t, team.Get("/api/catalog/entities"))), "component:jobs")
	for ref, want := range map[string]int{"component:default/jobs": 200, "component:default/shop": 403} {
		if got := team.Post("/api/catalog/refresh", map[string]any{"entityRef": ref}).StatusCode; got != want {
			t.Errorf("refreshing %s: status %d, want %d", ref, got, want)
		}
	}
}

func ownedByUser(_ context.Context, _ service.Permission, user *permission.User) (service.Decision, error) {
	return catalogpermission.If(catalogpermission.IsEntityOwner(user.OwnershipEntityRefs...)), nil
}

// inTier is a rule of a module.
var inTier = catalogpermission.NewRule("IS_IN_TIER", "Allow entities of one of the tiers, and groups",
	func(p struct {
		Tiers []string `json:"tiers" doc:"Tiers to match at least one of"`
	}) catalogpermission.Query {
		return catalogpermission.AnyOf(
			catalogpermission.AllOf(catalogpermission.Exists("spec.lifecycle"), catalogpermission.In("metadata.annotations.example.com/Tier", p.Tiers...)),
			catalogpermission.AllOf(catalogpermission.HasPrefix("metadata.name", "Team-"), catalogpermission.Not(catalogpermission.In("kind", "Location"))),
		)
	})

func ruling(rules ...catalogpermission.Rule) plugin.Module {
	return plugin.NewModule("catalog", "ruling", plugin.Init(func(permissions catalog.Permissions, registry service.PermissionsRegistry) error {
		permissions.AddPermissionRules(rules...)
		return registry.AddPermissions(service.Permission{Name: "catalog.tier.change", Action: service.ActionUpdate})
	}))
}

// TestRulesOfModules has a module add a rule: it is a part of queries, of the route that applies conditions, and of what the plugin tells of itself.
func TestRulesOfModules(t *testing.T) {
	t.Parallel()
	conditions := service.Criteria{AllOf: []service.Criteria{
		catalogpermission.Condition("IS_IN_TIER", map[string]any{"tiers": []any{"gold"}}),
		{Not: &service.Criteria{AllOf: []service.Criteria{catalogpermission.HasMetadata("name", "team-b")}}},
	}}
	b := backendtest.Start(t, catalog.Plugin(), ruling(inTier), located(write(t, t.TempDir(), "owned.yaml", owned)),
		decides(map[string]service.Decision{"catalog.entity.read": catalogpermission.If(conditions)}))
	everything := b.AsService(t, "plugin:test")
	await(t, "the catalog to settle", func() bool { return total(t, everything) == 6 })
	jane := b.As(t, "user:default/jane")
	expect(t, "GET /entities", names(backendtest.JSON[list](t, jane.Get("/api/catalog/entities"))), "component:shop", "group:team-a")
	if got := total(t, jane); got != 2 {
		t.Errorf("%d entities are counted", got)
	}
	res := b.AsService(t, "plugin:permission").Post("/api/catalog/.well-known/backstage/permissions/apply-conditions", map[string]any{"items": []any{
		map[string]any{"id": "1", "resourceRef": []string{"component:default/shop", "component:default/jobs"}, "resourceType": "catalog-entity", "conditions": conditions}}})
	applied := backendtest.JSON[struct{ Items []struct{ Result []string } }](t, res)
	if len(applied.Items) != 1 || !slices.Equal(applied.Items[0].Result, []string{"ALLOW", "DENY"}) {
		t.Errorf("applied: %s, %+v", res.Status, applied)
	}
	told := backendtest.JSON[struct {
		Permissions []struct{ Name string }
		Rules       []struct{ Name, ResourceType string }
	}](t, everything.Get("/api/catalog/.well-known/backstage/permissions/metadata"))
	if !slices.ContainsFunc(told.Rules, func(r struct{ Name, ResourceType string }) bool {
		return r.Name == "IS_IN_TIER" && r.ResourceType == "catalog-entity"
	}) || !slices.ContainsFunc(told.Permissions, func(p struct{ Name string }) bool { return p.Name == "catalog.tier.change" }) {
		t.Errorf("the metadata is %+v", told)
	}

	if _, err := backendtest.TryStart(t, catalog.Plugin(), ruling(inTier, inTier)); err == nil || !strings.Contains(err.Error(), "IS_IN_TIER") {
		t.Errorf("a rule twice: %v", err)
	}
}
