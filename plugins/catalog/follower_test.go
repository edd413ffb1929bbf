package catalog

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"pgregory.net/rapid"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	servicedatabase "github.com/portico-dev/portico/service/database"
)

// replica is what of a catalog follows the log.
type replica struct {
	*follower
	store *store.Store
}

func newReplica(ctx context.Context, db *bun.DB, now func() time.Time) (*replica, error) {
	f := &follower{index: index.New(), log: slog.New(slog.DiscardHandler), advanced: func(int64) {}}
	f.store = store.New(db, now, f.committed)
	return &replica{f, f.store}, f.load(ctx)
}

// step is something that a replica does.
type step struct {
	what     string
	provider string
	entities []store.Ingested
	removed  []string
	limit    int
}

func (s step) String() string {
	return fmt.Sprintf("%s by %s of %d, without %v", s.what, s.provider, len(s.entities), s.removed)
}

func genStep(t *rapid.T) step {
	s := step{
		what:     rapid.SampledFrom([]string{"replace", "update", "process", "process", "process", "stitch", "orphans", "follow", "forget"}).Draw(t, "what"),
		provider: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "provider"),
		limit:    rapid.IntRange(1, 6).Draw(t, "limit"),
	}
	name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
	for _, n := range rapid.SliceOfNDistinct(name, 0, 4, rapid.ID).Draw(t, "brought") {
		e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": "Component", "metadata": map[string]any{"name": n},
			"spec": map[string]any{"version": rapid.IntRange(0, 5).Draw(t, "version")}})
		if err != nil {
			t.Fatal(err)
		}
		s.entities = append(s.entities, store.Ingested{Entity: e})
	}
	for _, n := range rapid.SliceOfNDistinct(name, 0, 2, rapid.ID).Draw(t, "removed") {
		s.removed = append(s.removed, "component:default/"+n)
	}
	return s
}

func (r *replica) do(ctx context.Context, s step, now func() time.Time) (err error) {
	switch s.what {
	case "replace":
		_, err = r.store.Replace(ctx, s.provider, slices.Values(s.entities))
	case "update":
		_, err = r.store.Update(ctx, s.provider, slices.Values(s.entities), s.removed)
	case "process":
		var work []store.Work
		if work, _, err = r.store.Claim(ctx, s.limit, now().Add(time.Millisecond), nil); err == nil {
			_, _, err = r.store.Save(ctx, processed(work), now().Add(time.Hour))
		}
	case "stitch":
		err = r.store.Stitch(ctx, s.limit)
	case "orphans":
		err = r.store.DeleteOrphans(ctx)
	case "forget":
		err = r.store.ForgetLog(ctx, now())
	case "follow":
		r.mu.Lock()
		err = r.catchUp(ctx)
		r.mu.Unlock()
	}
	return err
}

// processed makes relations, and sometimes an entity more, of what entities say.
func processed(work []store.Work) []store.Result {
	results := make([]store.Result, len(work))
	for i, item := range work {
		sum := fnv.New32a()
		_, _ = sum.Write(item.JSON)
		n := sum.Sum32()
		target := "component:default/" + string(rune('a'+n%6))
		results[i] = store.Result{Work: item, JSON: item.JSON, Relations: []store.Relation{
			{Source: item.Ref, Type: "dependsOn", Target: target}, {Source: target, Type: "dependencyOf", Target: item.Ref}}}
		if name := strings.TrimPrefix(item.Ref, "component:default/"); n%3 == 0 && len(name) == 1 {
			e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": "Component", "metadata": map[string]any{"name": "of-" + name}})
			if err == nil {
				results[i].Emitted = []store.Ingested{{Entity: e}}
			}
		}
		if n%5 == 0 {
			results[i].Errors = []store.Error{{Name: "Error", Message: "wrong"}}
		}
	}
	return results
}

// TestReplicasAgree has several replicas work on one database at the same time, and compares the index of each with one that is built
// afresh.
func TestReplicasAgree(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		if err := servicedatabase.Migrate(t.Context(), db, "catalog", migrations, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		var clock atomic.Int64
		now := func() time.Time { return time.UnixMilli(clock.Add(1)) }
		runs, changes := 0, int64(0)
		rapid.Check(t, func(rt *rapid.T) {
			if runs++; runs > 25 { // each goes on where the one before has ended
				return
			}
			ctx := t.Context()
			replicas := make([]*replica, 3)
			for i := range replicas {
				var err error
				if replicas[i], err = newReplica(ctx, db, now); err != nil {
					rt.Fatal(err)
				}
			}
			plans := make([][]step, len(replicas))
			for i := range plans {
				plans[i] = rapid.SliceOfN(rapid.Custom(genStep), 4, 12).Draw(rt, fmt.Sprint("plan ", i))
			}
			var running sync.WaitGroup
			failures := make([]error, len(replicas))
			for i, r := range replicas {
				running.Go(func() {
					for _, s := range plans[i] {
						if err := r.do(ctx, s, now); err != nil {
							failures[i] = fmt.Errorf("%s: %w", s, err)
							return
						}
					}
				})
			}
			running.Wait()
			fresh, err := newReplica(ctx, db, now)
			if err != nil {
				rt.Fatal(err)
			}
			want := contents(fresh.index)
			for i, r := range replicas {
				if failures[i] != nil {
					rt.Fatal(failures[i])
				}
				if err := r.do(ctx, step{what: "follow"}, now); err != nil {
					rt.Fatal(err)
				}
				if got := contents(r.index); !slices.Equal(got, want) {
					rt.Fatalf("replica %d has\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			changes = fresh.seq
		})
		if changes < 50 {
			t.Errorf("only %d changes have happened", changes)
		}
	})
}

// contents is what an index answers to some questions.
func contents(x *index.Index) []string {
	var all []string
	entities, _ := x.List(nil, nil, 0, -1)
	for _, e := range index.JSON(entities) {
		all = append(all, string(e))
	}
	page := x.Find(index.Query{Limit: -1, Order: &query.Order{Field: "spec.version", Direction: "desc"}})
	for _, e := range index.JSON(page.Entities) {
		all = append(all, string(e))
	}
	facets := x.Facets(nil, []string{"relations.dependson", "relations.dependencyof", "spec.version", "metadata.annotations.backstage.io/orphan"})
	return append(all, fmt.Sprint(facets))
}
