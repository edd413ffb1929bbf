package catalog_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
)

// source is an entity provider that a test feeds.
type source struct {
	name string
	conn catalog.EntityProviderConnection
}

func (s *source) Name() string { return s.name }

func (s *source) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	s.conn = conn
	return nil
}

// module adds the sources to the catalog.
func module(sources ...*source) plugin.Module {
	return plugin.NewModule("catalog", "sources", plugin.Init(func(providers catalog.EntityProviders) {
		for _, s := range sources {
			providers.AddEntityProvider(s)
		}
	}))
}

func (s *source) full(t *testing.T, entities ...catalogmodel.Entity) {
	t.Helper()
	if err := s.conn.ApplyMutation(t.Context(), catalog.FullMutation(entities...)); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, text string) catalogmodel.Entity {
	t.Helper()
	for e, err := range catalogmodel.ReadYAML(strings.NewReader(text), "test") {
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	t.Fatal("no entity")
	return catalogmodel.Entity{}
}

func exists(c *backendtest.Client, path string) bool {
	return c.Get("/api/catalog/entities/by-name/"+path).StatusCode == http.StatusOK
}

func ExampleFullMutation() {
	e, err := catalogmodel.Component.New("todo", catalogmodel.ComponentSpec{Type: "service", Lifecycle: "production", Owner: "team-a"})
	if err != nil {
		panic(err)
	}
	m := catalog.FullMutation(e)
	fmt.Println(m.Full(), m.Added()[0].Entity.Ref())
	// Output: true component:default/todo
}

func TestProviders(t *testing.T) {
	t.Parallel()
	one, two := &source{name: "one"}, &source{name: "two"}
	b := backendtest.Start(t, catalog.Plugin(), module(one, two))
	c := b.As(t, "user:default/guest")

	one.full(t, parse(t, component("a", "team")), parse(t, component("b", "team")))
	settle(t, b, 2)
	two.full(t, parse(t, "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: { name: team }\nspec: { type: team, children: [] }"),
		parse(t, component("a", "thief")))
	settle(t, b, 3)
	if owner := entity(t, c, "component/default/a")["spec"].(map[string]any)["owner"]; owner != "team" {
		t.Errorf("the owner of a is %v: a second provider took the entity over", owner)
	}
	await(t, "the conflict to be logged", func() bool { return strings.Contains(b.Log.String(), "brought by somebody else") })
	if relations := entity(t, c, "group/default/team")["relations"].([]any); len(relations) != 2 {
		t.Errorf("the group has the relations %v, want two", relations)
	}

	one.full(t, parse(t, component("b", "team")))
	await(t, "a to go", func() bool { return !exists(c, "component/default/a") })
	await(t, "the relation of a to go", func() bool { return len(entity(t, c, "group/default/team")["relations"].([]any)) == 1 })

	delta := catalog.DeltaMutation([]catalogmodel.Entity{parse(t, component("d", "team"))}, []catalogmodel.Ref{{Kind: "component", Name: "B"}})
	if err := one.conn.ApplyMutation(t.Context(), delta); err != nil {
		t.Fatal(err)
	}
	await(t, "d to come and b to go", func() bool { return exists(c, "component/default/d") && !exists(c, "component/default/b") })

	bad := parse(t, "kind: Component\nmetadata: { name: x }\n")
	if err := one.conn.ApplyMutation(t.Context(), catalog.FullMutation(bad)); err == nil || !strings.Contains(err.Error(), "apiVersion") {
		t.Errorf("error is %v, want one about the missing apiVersion", err)
	}
}

func TestProvidersNeedNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, sources := range [][]*source{{{name: "one"}, {name: "one"}}, {{}}} {
		if _, err := backendtest.TryStart(t, catalog.Plugin(), module(sources...)); err == nil || !strings.Contains(fmt.Sprint(err), "catalog") {
			t.Errorf("%v: error is %v", sources, err)
		}
	}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	var got catalog.EntityProviderRecorder
	backendtest.Start(t, module(&source{name: "one"}), backendtest.ExtensionPoint(catalog.EntityProvidersPoint, &got))
	if len(got.Providers) != 1 || got.Providers[0].Name() != "one" {
		t.Errorf("recorded %v", got.Providers)
	}
}

func TestProvidersThatAreNotThereAnyMore(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		if config["connection"] == ":memory:" {
			t.Skip("nothing of it is left after a restart")
		}
		start := func(t *testing.T, strategy string, sources ...*source) *backendtest.Backend {
			t.Helper()
			return backendtest.Start(t, catalog.Plugin(), module(sources...), backendtest.Config(map[string]any{
				"backend": map[string]any{"database": config},
				"catalog": map[string]any{"orphanProviderStrategy": strategy},
			}))
		}
		one, two := &source{name: "one"}, &source{name: "Two"}
		t.Run("both", func(t *testing.T) {
			b := start(t, "delete", one, two)
			one.full(t, parse(t, component("a", "team")))
			two.full(t, parse(t, component("b", "team")))
			settle(t, b, 2)
		})
		t.Run("keep", func(t *testing.T) { settle(t, start(t, "keep", one), 2) })
		t.Run("delete", func(t *testing.T) {
			if c := settle(t, start(t, "delete", one), 1); !exists(c, "component/default/a") {
				t.Error("the entity of the provider that is there went")
			}
		})
	})
}

func TestKeysThatDifferInCase(t *testing.T) {
	t.Parallel()
	one := &source{name: "one"}
	b := backendtest.Start(t, catalog.Plugin(), module(one))
	one.full(t, parse(t, component("a", "team")))
	c := settle(t, b, 1)
	one.full(t, parse(t, component("a", "other")).WithAnnotation("x", "1").WithAnnotation("X", "2"))
	await(t, "the error to show", func() bool { return entity(t, c, "component/default/a")["status"] != nil })
	if owner := entity(t, c, "component/default/a")["spec"].(map[string]any)["owner"]; owner != "team" {
		t.Errorf("the owner is %v: an entity that can't be searched has replaced one that can", owner)
	}
}

// TestRestart starts the catalog again and again on each database.
func TestRestart(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		if config["connection"] == ":memory:" {
			t.Skip("nothing of it is left after a restart")
		}
		dir := t.TempDir()
		file := write(t, dir, "all.yaml", component("a", "team")+component("b", `"\\'\"; --😀"`)+
			"---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: more }\nspec: { target: ./more.yaml }\n")
		write(t, dir, "more.yaml", component("c", "team"))
		var db *bun.DB
		probe := plugin.NewModule("catalog", "probe", plugin.Init(func(d *bun.DB) { db = d }))
		start := func(t *testing.T) *backendtest.Backend {
			t.Helper()
			return backendtest.Start(t, catalog.Plugin(), located(file), probe,
				backendtest.Config(map[string]any{"backend": map[string]any{"database": config}}))
		}
		var uid any
		var seq int
		for run := range 3 {
			t.Run(fmt.Sprint("run ", run), func(t *testing.T) {
				b := start(t)
				c := settle(t, b, 5)
				e := entity(t, c, "component/default/a")["metadata"].(map[string]any)["uid"]
				if run > 0 && e != uid {
					t.Errorf("the uid is %v after a restart, it was %v", e, uid)
				}
				uid = e
				// The files are read again, and nothing has changed.
				b.Clock.Advance(time.Duration(run) * time.Hour) // the clock begins anew with each backend
				await(t, "all to be processed again", func() bool { return due(t, db) > b.Clock.Now().UnixMilli() })
				if now := head(t, db); run > 0 && now != seq {
					t.Errorf("the log has grown from %d to %d entries, though nothing has changed", seq, now)
				} else {
					seq = now
				}
			})
		}
		t.Run("changed", func(t *testing.T) {
			write(t, dir, "more.yaml", component("d", "team"))
			b := start(t)
			c := settle(t, b, 5)
			b.Clock.Advance(3 * time.Hour)
			await(t, "d to come, and the orphan c to go", func() bool {
				b.Clock.Advance(time.Second)
				return exists(c, "component/default/d") && !exists(c, "component/default/c")
			})
		})
	})
}

// due is the earliest time at which an entity is processed next.
func due(t *testing.T, db *bun.DB) (ms int64) {
	t.Helper()
	if err := db.NewRaw("SELECT MIN(next_update_at) FROM refresh_state").Scan(t.Context(), &ms); err != nil {
		t.Fatal(err)
	}
	return ms
}

// head is the number of entries in the log.
func head(t *testing.T, db *bun.DB) (seq int) {
	t.Helper()
	if err := db.NewRaw("SELECT seq FROM entity_log_head").Scan(t.Context(), &seq); err != nil {
		t.Fatal(err)
	}
	return seq
}

// TestReplicas has two backends work on one database.
func TestReplicas(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		if config["connection"] == ":memory:" {
			t.Skip("each backend has a database of its own")
		}
		section := backendtest.Config(map[string]any{
			"backend": map[string]any{"database": config},
			"catalog": map[string]any{"orphanProviderStrategy": "keep"}, // each has a provider that the other one lacks
		})
		one, two := &source{name: "one"}, &source{name: "two"}
		a := backendtest.Start(t, catalog.Plugin(), module(one), section)
		b := backendtest.Start(t, catalog.Plugin(), module(two), section)
		everywhere := func(what string, holds func(c *backendtest.Client) bool) {
			t.Helper()
			for _, replica := range []*backendtest.Backend{a, b} {
				c := replica.As(t, "user:default/guest")
				await(t, what, func() bool {
					a.Clock.Advance(time.Second)
					b.Clock.Advance(time.Second)
					return holds(c)
				})
			}
		}
		for n := range 5 {
			one.full(t, parse(t, component(fmt.Sprint("one-", n), "team")), parse(t, component("both", "first")))
			two.full(t, parse(t, component(fmt.Sprint("two-", n), "team")), parse(t, component("both", "second")))
		}
		everywhere("the last mutation of each to arrive", func(c *backendtest.Client) bool {
			return total(t, c) == 3 && exists(c, "component/default/one-4") && exists(c, "component/default/two-4")
		})
		everywhere("both to belong to the first one", func(c *backendtest.Client) bool {
			return entity(t, c, "component/default/both")["spec"].(map[string]any)["owner"] == "first"
		})
		one.full(t)
		everywhere("the entities of the first one to go", func(c *backendtest.Client) bool { return !exists(c, "component/default/one-4") })
	})
}

func ExampleLocationEntity() {
	e, err := catalog.LocationEntity(catalogmodel.LocationSpec{
		Type: "url", Target: "https://github.com/acme/shop/blob/main/catalog-info.yaml", Presence: "optional"})
	if err != nil {
		panic(err)
	}
	fmt.Println(e.Ref())
	// Output: location:default/generated-cb0a02ed7418408f2f9d82b7e212853b3889fc3c
}
