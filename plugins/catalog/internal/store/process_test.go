package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// TestDueWhileProcessed has an entity become due once more while it is processed. Storing the result must not take that back, even if it has been
// claimed again at the same moment: who has may be killed before anything comes of it.
func TestDueWhileProcessed(t *testing.T) {
	t.Parallel()
	const ref = "component:default/a"
	for _, test := range []struct {
		name string
		ask  func(ctx context.Context, s *store.Store) error
		kept bool
	}{
		{"nothing", func(context.Context, *store.Store) error { return nil }, false},
		{"refreshed", func(ctx context.Context, s *store.Store) error { return s.Refresh(ctx, ref) }, true},
		{"brought otherwise", func(ctx context.Context, s *store.Store) error { return bring(ctx, s, "new") }, true},
		{"brought as it was", func(ctx context.Context, s *store.Store) error { return bring(ctx, s, "old") }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onEachDatabase(t, func(t *testing.T, db *bun.DB) {
				ctx := t.Context()
				now := time.UnixMilli(1_000_000)
				lease, never := now.Add(time.Minute), now.AddDate(1000, 0, 0)
				s := store.New(db, func() time.Time { return now }, func(context.Context, []store.Change) {})
				must := func(err error) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
				}
				claim := func() []store.Work {
					t.Helper()
					work, _, err := s.Claim(ctx, 10, lease, nil)
					must(err)
					return work
				}
				must(bring(ctx, s, "old"))
				work := claim()
				must(test.ask(ctx, s))
				claim() // by somebody who is killed
				_, _, err := s.Save(ctx, []store.Result{{Work: work[0], JSON: work[0].JSON}}, never)
				must(err)
				now = lease
				if kept := len(claim()) == 1; kept != test.kept {
					t.Errorf("the entity is due: %t, want %t", kept, test.kept)
				}
			})
		})
	}
}

// TestBroughtTwiceAtOnce has two entities lead to the same one at the same time, by the same location key but not quite alike: a file that is
// registered and also a target of a Location. Both have brought it then, so that it stays, in the form of the other, when
// one of them goes.
func TestBroughtTwiceAtOnce(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, db *bun.DB) {
		ctx := t.Context()
		now := time.UnixMilli(1_000_000)
		s := store.New(db, func() time.Time { return now }, func(context.Context, []store.Change) {})
		made := func(name, title string) catalogmodel.Entity {
			e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": "Component", "metadata": map[string]any{"name": name, "title": title}})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		if _, err := s.Replace(ctx, "p", slices.Values([]store.Ingested{{Entity: made("a", "")}, {Entity: made("b", "")}})); err != nil {
			t.Fatal(err)
		}
		work, _, err := s.Claim(ctx, 10, now.Add(time.Minute), nil)
		if err != nil || len(work) != 2 {
			t.Fatal(len(work), err)
		}
		var results []store.Result
		for _, w := range work {
			results = append(results, store.Result{Work: w, JSON: w.JSON, Emitted: []store.Ingested{{Entity: made("c", "of "+w.Ref), LocationKey: "file"}}})
		}
		_, conflicts, err := s.Save(ctx, results, time.Time{})
		if err != nil || len(conflicts) > 0 {
			t.Errorf("%d conflicts, %v", len(conflicts), err)
		}
		var sources []string
		if err := db.NewRaw("SELECT source FROM refresh_state_references WHERE target_entity_ref = 'component:default/c' ORDER BY source").Scan(ctx, &sources); err != nil {
			t.Fatal(err)
		}
		if want := []string{"component:default/a", "component:default/b"}; !slices.Equal(sources, want) {
			t.Errorf("it is brought by %q, want %q", sources, want)
		}

		// The other one is asked for its form of it.
		if _, _, err := s.Claim(ctx, 10, now.Add(time.Minute), nil); err != nil { // what is due already
			t.Fatal(err)
		}
		i := slices.IndexFunc(results, func(r store.Result) bool { return r.Work.Ref == "component:default/a" })
		left := results[i]
		left.Emitted = nil
		if _, _, err := s.Save(ctx, []store.Result{left}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		work, _, err = s.Claim(ctx, 10, now.Add(time.Minute), nil)
		if err != nil || len(work) != 1 || work[0].Ref != "component:default/b" || work[0].Hash != "" {
			t.Errorf("due are %+v, %v", work, err)
		}
	})
}

// bring has a provider bring one entity.
func bring(ctx context.Context, s *store.Store, title string) error {
	e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": "Component", "metadata": map[string]any{"name": "a", "title": title}})
	if err == nil {
		_, err = s.Replace(ctx, "p", slices.Values([]store.Ingested{{Entity: e}}))
	}
	return err
}
