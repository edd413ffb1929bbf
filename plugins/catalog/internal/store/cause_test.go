package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// TestCauses looks at what the log says of why entities changed.
func TestCauses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	now := time.UnixMilli(0)
	s := store.New(open(t), func() time.Time { return now }, func(context.Context, []store.Change) {})
	entity := func(name, title string) catalogmodel.Entity {
		e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": "Component", "metadata": map[string]any{"name": name, "title": title}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	ref := func(name string) string { return "component:default/" + name }
	const parent, child = "parent", "child"
	// The parent emits the child; what else becomes of the parent, a step says.
	step := func(title string, emitted []store.Ingested, relations []store.Relation, errs ...store.Error) {
		t.Helper()
		now = now.Add(time.Minute)
		if _, err := s.Update(ctx, "p", slices.Values([]store.Ingested{{Entity: entity(parent, title)}}), nil); err != nil {
			t.Fatal(err)
		}
		for range 2 { // what is emitted is processed too
			work, _, err := s.Claim(ctx, 10, now.Add(time.Second), nil)
			if err != nil {
				t.Fatal(err)
			}
			var results []store.Result
			for _, item := range work {
				result := store.Result{Work: item, JSON: item.JSON}
				if item.Ref == ref(parent) {
					result.Emitted, result.Relations, result.Errors = emitted, relations, errs
				}
				results = append(results, result)
			}
			if _, _, err := s.Save(ctx, results, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Stitch(ctx, 10); err != nil {
			t.Fatal(err)
		}
	}
	emitted := []store.Ingested{{Entity: entity(child, "a")}}
	step("a", emitted, nil)
	step("a", emitted, []store.Relation{{Source: ref(child), Type: "x", Target: ref(parent)}})
	step("a", emitted, []store.Relation{{Source: ref(child), Type: "x", Target: ref(parent)}}, store.Error{Name: "Error", Message: "wrong"})
	step("a", nil, nil)
	step("b", emitted, nil)
	step("b", nil, nil)
	if err := s.DeleteOrphans(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replace(ctx, "p", slices.Values([]store.Ingested(nil))); err != nil {
		t.Fatal(err)
	}
	causes := map[string][]store.Cause{}
	entries, err := s.Entries(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		causes[e.Ref] = append(causes[e.Ref], e.Cause)
	}
	for name, want := range map[string][]store.Cause{
		parent: {{Reason: store.Content, Provider: "p"}, {Reason: store.Status, Provider: "p"}, {Reason: store.Status, Provider: "p"},
			{Reason: store.Content, Provider: "p"}, {Reason: store.Withdrawn, Provider: "p"}},
		child: {{Reason: store.Content, Parent: ref(parent)}, {Reason: store.Relations, Parent: ref(parent)}, {Reason: store.Orphaned},
			{Reason: store.Adopted, Parent: ref(parent)}, {Reason: store.Orphaned}, {Reason: store.Orphaned}},
	} {
		got := causes[ref(name)]
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s, change %d: %v, want %v", name, i+1, got[i], want[i])
			}
		}
	}
}
