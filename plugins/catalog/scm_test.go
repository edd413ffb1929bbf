package catalog_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// forge is a module that tells the catalog what events of the topic forge say.
func forge() plugin.Module {
	return plugin.NewModule("catalog", "forge", plugin.Init(func(scm catalog.SCMEvents) {
		scm.AddSCMEventSource(catalog.SCMEventSource{ID: "forge", Topics: []string{"forge"},
			Translate: func(_ context.Context, e service.Event) (told []catalog.SCMEvent, err error) {
				return told, e.Decode(&told)
			}})
	}))
}

func follows(what any) backend.Feature {
	return backendtest.Config(map[string]any{"catalog": map[string]any{"scmEvents": what}})
}

// targets are those of the registered locations, without the server.
func targets(t *testing.T, c *backendtest.Client, s *site) []string {
	t.Helper()
	all := []string{}
	for _, l := range backendtest.JSON[[]struct{ Data location }](t, c.Get("/api/catalog/locations")) {
		all = append(all, strings.TrimPrefix(l.Data.Target, s.URL))
	}
	slices.Sort(all)
	return all
}

// TestSCMEvents moves, changes and removes what locations are registered for.
func TestSCMEvents(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		s := newSite(t)
		b := backendtest.Start(t, catalog.Plugin(), forge(), readable(s.URL), database, follows(true), measured())
		c := b.As(t, "user:default/guest")
		tell := func(events ...catalog.SCMEvent) { b.Publish(t, "forge", events) }
		want := func(paths ...string) {
			t.Helper()
			slices.Sort(paths)
			await(t, fmt.Sprint(paths), func() bool { return slices.Equal(targets(t, c, s), paths) })
		}
		uid := func(path string) any { return entity(t, c, path)["metadata"].(map[string]any)["uid"] }
		owner := func(path string) any { return entity(t, c, path)["spec"].(map[string]any)["owner"] }

		const nested = "---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: more }\nspec: { target: ./more.yaml }\n"
		shop := s.put("/acme/shop/blob/main/a.yaml", component("a", "one")+nested)
		s.put("/acme/shop/blob/main/more.yaml", component("b", "one"))
		shops := s.put("/acme/shops/blob/main/a.yaml", component("c", "one"))
		l := register(t, c, shop)
		register(t, c, shops)
		settle(t, b, 6)
		a, nestedUID := uid("component/default/a"), uid("component/default/b")

		// What a file has led to is made anew, that of others isn't asked for.
		s.put("/acme/shop/blob/main/more.yaml", component("b", "two"))
		tell(catalog.SCMEvent{Type: catalog.LocationUpdated, URL: s.URL + "/acme/shop/blob/main/more.yaml"})
		await(t, "the change", func() bool { return owner("component/default/b") == "two" })

		s.put("/acme/shop/blob/main/more.yaml", component("b", "three"))
		tell(catalog.SCMEvent{Type: catalog.RepositoryUpdated, URL: s.URL + "/acme/shop"})
		await(t, "the repository to be read", func() bool { return owner("component/default/b") == "three" })

		// The file has another name, then the branch, then the repository.
		for _, move := range []struct{ what, from, to, root string }{
			{"file", "/acme/shop/blob/main/a.yaml", "/acme/shop/blob/main/catalog.yaml", "/acme/shop/blob/main"},
			{"branch", "/acme/shop/blob/main", "/acme/shop/blob/trunk", "/acme/shop/blob/trunk"},
			{"repository", "/acme/shop", "/acme/store", "/acme/store/blob/trunk"},
		} {
			typ := catalog.RepositoryMoved
			if strings.HasSuffix(move.from, ".yaml") {
				typ = catalog.LocationMoved
			}
			s.put(move.root+"/catalog.yaml", component("a", move.what)+nested)
			s.put(move.root+"/more.yaml", component("b", "four"))
			tell(catalog.SCMEvent{Type: typ, URL: s.URL + move.from, MovedTo: s.URL + move.to})
			want(move.root+"/catalog.yaml", "/acme/shops/blob/main/a.yaml")
			await(t, "the entities of the moved "+move.what, func() bool {
				return owner("component/default/a") == move.what &&
					strings.Contains(fmt.Sprint(entity(t, c, "component/default/b")["metadata"]), s.URL+move.root+"/more.yaml")
			})
			if uid("component/default/a") != a || uid("component/default/b") != nestedUID {
				t.Error("the entities were deleted in between")
			}
		}
		if moved := backendtest.JSON[location](t, c.Get("/api/catalog/locations/"+l.ID)); moved.EntityRef != l.EntityRef {
			t.Errorf("the location is %+v, and was %+v", moved, l)
		}

		// What is not registered, and what is said twice, is no matter.
		gone := catalog.SCMEvent{Type: catalog.LocationDeleted, URL: s.URL + "/acme/store/blob/trunk/more.yaml"}
		tell(gone, gone, catalog.SCMEvent{Type: catalog.LocationMoved, URL: s.URL + "/acme/other/blob/main/x.yaml", MovedTo: s.URL + "/acme/other/blob/main/y.yaml"})
		// A location that moves to where another one is isn't needed any more.
		tell(catalog.SCMEvent{Type: catalog.LocationMoved, URL: s.URL + "/acme/shops/blob/main/a.yaml", MovedTo: s.URL + "/acme/store/blob/trunk/catalog.yaml"})
		want("/acme/store/blob/trunk/catalog.yaml")
		tell(catalog.SCMEvent{Type: catalog.RepositoryDeleted, URL: s.URL + "/acme/store/"})
		want()
		settle(t, b, 0)
		if n := sum(t, scrape(t, b), "catalog_events_scm_messages_total"); n != 10 {
			t.Errorf("%d messages are counted, not 10", n)
		}
	})
}

// TestSCMEventsAsConfigured has some of the reactions, and none.
func TestSCMEventsAsConfigured(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config             any
		moved, gone, fresh bool
	}{
		"all":           {true, true, true, true},
		"an empty one":  {map[string]any{}, true, true, true},
		"no refresh":    {map[string]any{"refresh": false}, true, true, false},
		"no unregister": {map[string]any{"unregister": false}, true, false, true},
		"no move":       {map[string]any{"move": false}, false, true, true},
		"none":          {false, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := backendtest.Start(t, catalog.Plugin(), forge(), readable(s.URL), follows(test.config))
			c := b.As(t, "user:default/guest")
			for _, file := range []string{"moving", "going", "changing"} {
				register(t, c, s.put("/acme/shop/blob/main/"+file+".yaml", component(file, "one")))
			}
			settle(t, b, 6)
			at := s.URL + "/acme/shop/blob/main/"
			s.put("/acme/shop/blob/main/changing.yaml", component("changing", "two"))
			b.Publish(t, "forge", []catalog.SCMEvent{
				{Type: catalog.LocationMoved, URL: at + "moving.yaml", MovedTo: at + "moved.yaml"},
				{Type: catalog.LocationDeleted, URL: at + "going.yaml"},
				{Type: catalog.LocationUpdated, URL: at + "changing.yaml"},
			})
			var want []string
			for file, there := range map[string]bool{"moving": !test.moved, "moved": test.moved, "going": !test.gone, "changing": true} {
				if there {
					want = append(want, "/acme/shop/blob/main/"+file+".yaml")
				}
			}
			slices.Sort(want)
			await(t, "the locations", func() bool { return slices.Equal(targets(t, c, s), want) })
			changed := func() bool {
				return entity(t, c, "component/default/changing")["spec"].(map[string]any)["owner"] == "two"
			}
			if test.fresh {
				await(t, "the change", changed)
			} else if changed() {
				t.Error("it was processed anew")
			}
		})
	}
}
