package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver sqlite
	"pgregory.net/rapid"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service/database"
)

// open opens a new database with the catalog's tables.
func open(t *testing.T) *bun.DB {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.SetMaxOpenConns(1) // each connection would have a database of its own
	migrated := bun.NewDB(db, sqlitedialect.New())
	if err := database.Migrate(t.Context(), migrated, "catalog", os.DirFS("../../migrations"), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return migrated
}

// world is what a store should know.
type world struct {
	store     *store.Store
	now       time.Time
	followed  map[string]string                  // final entities, from the changes that were told
	brought   map[string]map[string]bool         // by provider: refs
	relations map[string]map[store.Relation]bool // by the entity whose processing led to them
	versions  map[string]int
}

var refs = []string{"component:default/a", "component:default/b", "component:default/c", "group:default/d", "group:default/e"}

// TestFinalEntities applies mutations and results in any order, and looks at the final entities afterwards.
func TestFinalEntities(t *testing.T) {
	t.Parallel()
	db := open(t)
	rapid.Check(t, func(t *rapid.T) {
		for _, table := range []string{"refresh_state", "ingested_entities", "refresh_state_references", "processed_entities", "relations", "stitch_queue",
			"final_entities", "entity_log"} {
			if _, err := db.Exec("DELETE FROM " + table); err != nil {
				t.Fatal(err)
			}
		}
		w := &world{now: time.Unix(0, 0), followed: map[string]string{}, brought: map[string]map[string]bool{"one": {}, "two": {}},
			relations: map[string]map[store.Relation]bool{}, versions: map[string]int{}}
		w.store = store.New(db, func() time.Time { return w.now }, func(_ context.Context, changes []store.Change) {
			for _, c := range changes {
				if delete(w.followed, c.Ref); c.JSON != nil {
					w.followed[c.Ref] = string(c.JSON)
				}
			}
		})
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			w.mutate(t)
			w.process(t)
			w.check(t)
		}
	})
}

func (w *world) mutate(t *rapid.T) {
	provider := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "provider")
	var entities []store.Ingested
	now := map[string]bool{}
	for _, ref := range rapid.SliceOfDistinct(rapid.SampledFrom(refs), rapid.ID).Draw(t, "brought") {
		if rapid.Bool().Draw(t, "changed") {
			w.versions[ref]++
		}
		parsed, err := catalogmodel.ParseRef(ref, catalogmodel.RefDefaults{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": parsed.Kind,
			"metadata": map[string]any{"name": parsed.Name, "version": w.versions[ref]}})
		if err != nil {
			t.Fatal(err)
		}
		entities = append(entities, store.Ingested{Entity: e}) // without a key, providers share entities
		now[ref] = true
	}
	if _, err := w.store.Replace(context.Background(), provider, slices.Values(entities)); err != nil {
		t.Fatal(err)
	}
	w.brought[provider] = now
	for _, ref := range refs {
		if !w.brought["one"][ref] && !w.brought["two"][ref] {
			delete(w.relations, ref)
		}
	}
}

// process processes everything: each entity leads to some relations of itself and of others.
func (w *world) process(t *rapid.T) {
	ctx := context.Background()
	w.now = w.now.Add(time.Second)
	work, _, err := w.store.Claim(ctx, 100, w.now.Add(time.Second/2), nil)
	if err != nil {
		t.Fatal(err)
	}
	results := make([]store.Result, len(work))
	for i, item := range work {
		set := map[store.Relation]bool{}
		for range rapid.IntRange(0, 4).Draw(t, "relations") {
			r := store.Relation{Source: item.Ref, Type: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "type"), Target: rapid.SampledFrom(refs).Draw(t, "target")}
			if rapid.Bool().Draw(t, "inverse") {
				r.Source, r.Target = r.Target, r.Source
			}
			set[r] = true
		}
		results[i] = store.Result{Work: item, JSON: item.JSON, Relations: slices.Collect(maps.Keys(set))}
		w.relations[item.Ref] = set
	}
	half := len(results) / 2
	for _, part := range [][]store.Result{results[:half], results[half:]} {
		if _, _, err := w.store.Save(ctx, part, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.Stitch(ctx, 2); err != nil {
		t.Fatal(err)
	}
}

func (w *world) check(t *rapid.T) {
	stored := map[string]string{}
	if _, err := w.store.Load(context.Background(), func(c store.Change) error {
		stored[c.Ref] = string(c.JSON)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(stored, w.followed) {
		t.Fatalf("the database has\n%v\nthe changes led to\n%v", stored, w.followed)
	}
	for _, ref := range refs {
		text, exists := stored[ref]
		if want := w.brought["one"][ref] || w.brought["two"][ref]; exists != want {
			t.Fatalf("%s: exists %t, want %t", ref, exists, want)
		}
		if !exists {
			continue
		}
		want := map[string]bool{}
		for _, set := range w.relations {
			for r := range set {
				if r.Source == ref {
					want[r.Type+" "+r.Target] = true
				}
			}
		}
		e, err := catalogmodel.ParseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range e.Get("relations").Elements() {
			got = append(got, r.Get("type").Text()+" "+r.Get("targetRef").Text())
		}
		if fmt.Sprint(got) != fmt.Sprint(slices.Sorted(maps.Keys(want))) {
			t.Fatalf("%s has the relations\n%v, want\n%v", ref, got, slices.Sorted(maps.Keys(want)))
		}
		if e.UID() == "" || e.ETag() == "" || e.Annotation(catalogmodel.AnnotationOrphan) != "" {
			t.Fatalf("%s is %s", ref, text)
		}
	}
}
