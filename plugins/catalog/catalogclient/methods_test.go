package catalogclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
)

// start starts a catalog that may read from a site whose file <name>.yaml is a component of that name.
func start(t *testing.T, locations ...string) (client *catalogclient.Client, site string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".yaml")
		fmt.Fprintf(w, "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: %s }\nspec: { type: service, lifecycle: production, owner: me }\n", name)
	}))
	t.Cleanup(s.Close)
	backendtest.Start(t, catalog.Plugin(), plugin.New("todo", plugin.Init(func(c *catalogclient.Client) { client = c })),
		backendtest.Config(map[string]any{"backend": map[string]any{"reading": map[string]any{"allow": []any{
			map[string]any{"host": strings.TrimPrefix(s.URL, "http://")},
		}}}}))
	for _, name := range locations {
		register(t, client, s.URL, name)
	}
	return client, s.URL
}

func component(name string) catalogmodel.Ref {
	return catalogmodel.Ref{Kind: "component", Namespace: "default", Name: name}
}

func at(site, name string) catalogmodel.LocationRef {
	return catalogmodel.LocationRef{Type: "url", Target: site + "/" + name + ".yaml"}
}

// register registers a location and waits for its entity.
func register(t *testing.T, client *catalogclient.Client, site, name string) catalogclient.Location {
	t.Helper()
	r, err := client.Register(t.Context(), at(site, name), catalogclient.RegisterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	await(t, client, name, true)
	return r.Location
}

func await(t *testing.T, client *catalogclient.Client, name string, there bool) catalogmodel.Entity {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		e, err := client.EntityByRef(t.Context(), component(name))
		if err != nil && !errors.Is(err, service.NotFoundError) {
			t.Fatal(err)
		}
		if (err == nil) == there {
			return e
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func names(entities []catalogmodel.Entity) []string {
	all := make([]string, len(entities))
	for i, e := range entities {
		all[i] = e.Name()
	}
	return all
}

func TestQueries(t *testing.T) {
	t.Parallel()
	client, _ := start(t, "a", "b", "c", "d", "e")
	ctx := t.Context()
	components := catalogclient.Query{Filter: []string{"kind=component"}, Order: []string{"desc:metadata.name"}, Limit: 2}
	byPredicate := catalogclient.Query{Where: map[string]any{"kind": "component"}, Order: []string{"desc:metadata.name"}, Limit: 2}
	for name, q := range map[string]catalogclient.Query{"by filter": components, "by predicate": byPredicate} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, err := client.Query(ctx, q)
			if err != nil || first.Total != 5 || !slices.Equal(names(first.Items), []string{"e", "d"}) || first.PageInfo.Previous != "" {
				t.Fatalf("%+v, %v", first, err)
			}
			second, err := client.Page(ctx, first.PageInfo.Next, q)
			if err != nil || !slices.Equal(names(second.Items), []string{"c", "b"}) {
				t.Fatalf("%+v, %v", second, err)
			}
			if back, err := client.Page(ctx, second.PageInfo.Previous, q); err != nil || !slices.Equal(names(back.Items), []string{"e", "d"}) {
				t.Errorf("%+v, %v", back, err)
			}
			var all []string
			for e, err := range client.All(ctx, q) {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, e.Name())
			}
			if !slices.Equal(all, []string{"e", "d", "c", "b", "a"}) {
				t.Errorf("all are %v", all)
			}
			for e := range client.All(ctx, q) {
				if e.Name() != "e" {
					t.Errorf("the first is %s", e.Name())
				}
				break
			}
			facets, err := client.Facets(ctx, q, "kind", "metadata.name")
			if err != nil || len(facets["metadata.name"]) != 5 || !slices.Equal(facets["kind"], []catalogclient.FacetCount{{Value: "Component", Count: 5}}) {
				t.Errorf("%v, %v", facets, err)
			}
			refs := []catalogmodel.Ref{component("b"), component("nope"), component("a")}
			found, err := client.EntitiesByRefs(ctx, refs, catalogclient.Query{Filter: q.Filter, Where: q.Where, Fields: []string{"metadata.name"}})
			if err != nil || !slices.Equal(names(found), []string{"b", "", "a"}) || !found[1].IsZero() || found[0].Kind() != "" {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
	text, err := client.Query(ctx, catalogclient.Query{Filter: components.Filter, Text: "c", TextFields: []string{"metadata.name"}, Order: components.Order})
	if err != nil || !slices.Equal(names(text.Items), []string{"c"}) {
		t.Errorf("%v, %v", names(text.Items), err)
	}
	skipped, err := client.Query(ctx, catalogclient.Query{Filter: components.Filter, Order: components.Order, Offset: 3})
	if err != nil || !slices.Equal(names(skipped.Items), []string{"b", "a"}) {
		t.Errorf("%v, %v", names(skipped.Items), err)
	}
	both := catalogclient.Query{Filter: components.Filter, Where: byPredicate.Where}
	if _, err := client.Query(ctx, both); err == nil {
		t.Error("a filter and a predicate are taken")
	}
	for _, err := range client.All(ctx, both) {
		if err == nil {
			t.Error("a filter and a predicate are taken")
		}
	}
	if _, err := client.Entities(ctx, byPredicate); err == nil {
		t.Error("a predicate is taken where it isn't known")
	}
	if _, err := client.Query(ctx, catalogclient.Query{Where: map[string]any{"$nope": 1}}); !errors.Is(err, service.InputError) {
		t.Error(err)
	}
}

func TestEntitiesComeAndGo(t *testing.T) {
	t.Parallel()
	client, site := start(t)
	ctx := t.Context()
	dry, err := client.Register(ctx, at(site, "a"), catalogclient.RegisterOptions{DryRun: true})
	if err != nil || dry.Exists || !slices.Contains(names(dry.Entities), "a") {
		t.Errorf("%+v, %v", dry, err)
	}
	l := register(t, client, site, "a")
	if _, err := client.Register(ctx, at(site, "a"), catalogclient.RegisterOptions{OnConflict: "reject"}); !errors.Is(err, service.ConflictError) {
		t.Error(err)
	}
	if again, err := client.Register(ctx, at(site, "a"), catalogclient.RegisterOptions{OnConflict: "refresh"}); err != nil || again.Location != l {
		t.Errorf("%+v, %v", again, err)
	}
	e := await(t, client, "a", true)
	if same, err := client.EntityByUID(ctx, e.UID()); err != nil || same.Name() != "a" {
		t.Errorf("%v, %v", same, err)
	}
	if a, err := client.Ancestry(ctx, component("a")); err != nil || a.Root != "component:default/a" || len(a.Items) != 2 ||
		!slices.ContainsFunc(a.Items, func(i catalogclient.Ancestor) bool { return slices.Equal(i.Parents, []string{l.EntityRef}) }) {
		t.Errorf("%+v, %v", a, err)
	}
	if err := client.Refresh(ctx, component("a")); err != nil {
		t.Error(err)
	}
	if err := client.Refresh(ctx, component("nope")); !errors.Is(err, service.NotFoundError) {
		t.Error(err)
	}
	moved, err := client.MoveLocation(ctx, l.ID, at(site, "b"))
	if err != nil || moved.ID != l.ID || moved.Target != site+"/b.yaml" {
		t.Errorf("%+v, %v", moved, err)
	}
	await(t, client, "b", true)
	if err := client.RemoveEntity(ctx, e.UID()); err != nil {
		t.Error(err)
	}
	if err := client.RemoveEntity(ctx, e.UID()); err != nil { // it is gone, as was wanted
		t.Error(err)
	}
	if err := client.RemoveLocation(ctx, l.ID); err != nil {
		t.Error(err)
	}
	await(t, client, "b", false)
	if err := client.RemoveLocation(ctx, l.ID); !errors.Is(err, service.NotFoundError) {
		t.Error(err)
	}
}

func TestLocations(t *testing.T) {
	t.Parallel()
	client, site := start(t, "a", "b", "c")
	ctx := t.Context()
	all, err := client.Locations(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %v", all, err)
	}
	l, err := client.LocationByRef(ctx, at(site, "b"))
	if err != nil || !slices.Contains(all, l) {
		t.Errorf("%v, %v", l, err)
	}
	if _, err := client.LocationByRef(ctx, at(site, "B")); !errors.Is(err, service.NotFoundError) {
		t.Error(err)
	}
	if same, err := client.Location(ctx, l.ID); err != nil || same != l {
		t.Errorf("%v, %v", same, err)
	}
	if _, err := client.Location(ctx, "a/b"); !errors.Is(err, service.NotFoundError) {
		t.Error(err)
	}
	if same, err := client.LocationByEntity(ctx, component("b")); err != nil || same != l {
		t.Errorf("%v, %v", same, err)
	}
	first, err := client.QueryLocations(ctx, map[string]any{"type": "url"}, 2)
	if err != nil || first.Total != 3 || len(first.Items) != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	if second, err := client.LocationPage(ctx, first.PageInfo.Next); err != nil || len(second.Items) != 1 || second.PageInfo.Next != "" {
		t.Errorf("%+v, %v", second, err)
	}
	var streamed []catalogclient.Location
	for l, err := range client.AllLocations(ctx, nil) {
		if err != nil {
			t.Fatal(err)
		}
		streamed = append(streamed, l)
	}
	if len(streamed) != 3 {
		t.Errorf("%v", streamed)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	client, site := start(t)
	good, err := catalogmodel.Component.New("shop", catalogmodel.ComponentSpec{Type: "service", Lifecycle: "production", Owner: "team-a"})
	if err != nil {
		t.Fatal(err)
	}
	if mistakes, err := client.Validate(t.Context(), good, at(site, "a")); err != nil || mistakes != nil {
		t.Errorf("%v, %v", mistakes, err)
	}
	bad := good.With(catalogmodel.StringValue("no name"), "metadata", "name")
	if mistakes, err := client.Validate(t.Context(), bad, at(site, "a")); err != nil || len(mistakes) == 0 || mistakes[0].Message == "" {
		t.Errorf("%v, %v", mistakes, err)
	}
	analysis, err := client.Analyze(t.Context(), catalogmodel.LocationRef{Type: "url", Target: "https://github.com/acme/shop"}, "")
	if err != nil || len(analysis.Generated) != 1 || analysis.Generated[0].Entity.Name() != "shop" {
		t.Errorf("%+v, %v", analysis, err)
	}
}
