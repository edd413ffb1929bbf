package index_test

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// Small pools of everything, so that entities share and queries meet.
var (
	names  = []string{"a", "b", "c", "D", "e", "æ", "long-name", "x_1", "x%2", "z"}
	values = []any{"", "A", "a", "b", "ab", "Ab", "group:default/a", "say \"ab\"\n", 7, 7.5, 1e21, true, nil,
		[]any{"a", "A", "b"}, []any{}, map[string]any{"a": "b"}}
	keys = []string{"kind", "metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels.a", "metadata.labels.a.b", "spec.type", "spec.owner",
		"spec.type.a", "relations.ownedby", "relations.partof", "nope"}
	searched = []string{"", "a", "b", "ab", "7", "7.5", "true", "d", "component", "group:default/a", "default", "x_1", "æ", "say \"ab\"", "1e+21"}
)

func genEntity(t *rapid.T) index.Entry {
	kind := rapid.SampledFrom([]string{"Component", "API", "System"}).Draw(t, "kind")
	name := rapid.SampledFrom(names).Draw(t, "name")
	metadata := map[string]any{"name": name}
	if rapid.Bool().Draw(t, "has labels") {
		metadata["labels"] = map[string]any{"a": rapid.SampledFrom(values).Draw(t, "label")}
	}
	spec := map[string]any{}
	for _, field := range []string{"type", "owner"} {
		if rapid.Bool().Draw(t, "has "+field) {
			spec[field] = rapid.SampledFrom(values).Draw(t, field)
		}
	}
	relations := []any{}
	for _, typ := range []string{"ownedBy", "partOf"} {
		if rapid.Bool().Draw(t, "is "+typ) {
			relations = append(relations, map[string]any{"type": typ, "targetRef": "group:default/" + rapid.SampledFrom(names).Draw(t, "target")})
		}
	}
	// The uid stays when an entity changes, mostly.
	uid := fmt.Sprintf("%s-%s-%d", kind, name, rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "generation"))
	metadata["uid"] = uid
	e, err := catalogmodel.EntityOf(map[string]any{"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec, "relations": relations})
	if err != nil {
		t.Fatal(err)
	}
	return index.Entry{Ref: e.Ref().String(), UID: uid, JSON: e.AppendJSON(nil)}
}

func genEntries(t *rapid.T) []index.Entry {
	entries := rapid.SliceOfN(rapid.Custom(genEntity), 0, 12).Draw(t, "entries")
	for i := range entries {
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			entries[i].JSON = nil
		}
	}
	return entries
}

func genPredicate(t *rapid.T, depth int) query.Predicate {
	kind := rapid.IntRange(0, 6).Draw(t, "predicate")
	if depth == 0 {
		kind = kind % 4
	}
	key := rapid.SampledFrom(keys).Draw(t, "key")
	switch kind {
	case 0:
		return query.Exists{Key: key}
	case 1, 2:
		return query.In{Key: key, Values: rapid.SliceOfN(rapid.SampledFrom(searched), 0, 3).Draw(t, "values")}
	case 3:
		return query.HasPrefix{Key: key, Prefix: rapid.SampledFrom(searched).Draw(t, "prefix")}
	case 4:
		return query.Not{Predicate: genPredicate(t, depth-1)}
	}
	parts := make([]query.Predicate, rapid.IntRange(0, 3).Draw(t, "parts"))
	for i := range parts {
		parts[i] = genPredicate(t, depth-1)
	}
	if kind == 5 {
		return query.All(parts)
	}
	return query.Any(parts)
}

func genOrder(t *rapid.T) query.Order {
	return query.Order{Field: rapid.SampledFrom(append(keys, "Metadata.Name")).Draw(t, "field"), Direction: rapid.SampledFrom([]string{"asc", "desc"}).Draw(t, "direction")}
}

func genQuery(t *rapid.T) index.Query {
	q := index.Query{Limit: rapid.IntRange(-1, 5).Draw(t, "limit"), Skip: rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "skip")}
	if rapid.Bool().Draw(t, "has condition") {
		q.Where = genPredicate(t, 3)
	}
	if rapid.Bool().Draw(t, "has order") {
		order := genOrder(t)
		q.Order = &order
	}
	if rapid.IntRange(0, 2).Draw(t, "has text") == 0 {
		q.Text = &query.Text{Term: rapid.SampledFrom(append(searched, "%", "x_", " A ")).Draw(t, "term"),
			Fields: rapid.SliceOfN(rapid.SampledFrom(keys), 0, 2).Draw(t, "fields")}
	}
	return q
}

// TestIndexAnswersAsAScanDoes compares the index with plain looks at every entity, after any changes, for any query.
func TestIndexAnswersAsAScanDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x, s := index.New(), newScan()
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			entries := genEntries(t)
			if got, want := x.Apply(entries), s.Apply(entries); (got == nil) != (want == nil) {
				t.Fatalf("applying: got %v, want %v", got, want)
			}
			for range rapid.IntRange(1, 4).Draw(t, "queries") {
				compareAnswers(t, x, s)
			}
		}
	})
}

func compareAnswers(t *rapid.T, x *index.Index, s *scan) {
	q := genQuery(t)
	same(t, q, answered(x.Find(q)), s.Find(q))
	pages(t, q, x, s)

	orders := make([]query.Order, rapid.IntRange(0, 2).Draw(t, "orders"))
	for i := range orders {
		orders[i] = genOrder(t)
	}
	gotList, gotMore := x.List(q.Where, orders, q.Skip, q.Limit)
	wantList, wantMore := s.List(q.Where, orders, q.Skip, q.Limit)
	same(t, orders, index.JSON(gotList), wantList)
	same(t, orders, gotMore, wantMore)

	facets := rapid.SliceOfN(rapid.SampledFrom(append(keys, "Spec.Type")), 1, 3).Draw(t, "facets")
	for range 2 {
		same(t, facets, x.Facets(q.Where, facets), s.Facets(q.Where, facets))
	}

	refs := []string{"component:default/a", "api:default/d", "component:default/nope", "system:default/æ"}
	same(t, q.Where, index.JSON(x.ByRef(refs, q.Where)), s.ByRef(refs, q.Where))
	for _, uid := range []string{"Component-a-0", "API-b-1"} {
		for range 10 {
			same(t, uid, likely(x.ByUID(uid, nil)), s.ByUID(uid, nil))
		}
		same(t, q.Where, x.ByUID(uid, q.Where).JSON(), s.ByUID(uid, q.Where))
	}
}

// likely is the JSON of an entity that is likely to be asked for again, which may be kept.
func likely(e index.Entity) []byte {
	if !e.Exists() {
		return nil
	}
	return e.AppendLikely([]byte("before"))[len("before"):]
}

// page is an index.Page with the JSON of its entities.
type page struct {
	index.Page
	Entities [][]byte
}

func answered(p index.Page) page {
	all := index.JSON(p.Entities)
	p.Entities = nil
	return page{p, all}
}

// pages turns pages forward to the end, and back.
func pages(t *rapid.T, q index.Query, x *index.Index, s *scan) {
	if q.Limit < 1 {
		return
	}
	for forward := range 30 {
		page := answered(x.Find(q))
		same(t, q, page, s.Find(q))
		if !page.More || forward == 29 {
			q.After = page.First
			break
		}
		q.After, q.Skip = page.Last, 0
	}
	q.Backward, q.Skip = true, 0
	for q.After != nil {
		page := answered(x.Find(q))
		same(t, q, page, s.Find(q))
		q.After = page.First
	}
}

func same(t *rapid.T, asked, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(normal(got), normal(want)) {
		t.Fatalf("asked %+v\ngot  %s\nwant %s", asked, show(got), show(want))
	}
}

// normal makes no difference between no list and an empty one.
func normal(v any) any {
	switch v := v.(type) {
	case page:
		if len(v.Entities) == 0 {
			v.Entities = nil
		}
		return v
	case [][]byte:
		if len(v) == 0 {
			return [][]byte(nil)
		}
	}
	return v
}

func show(v any) string {
	switch v := v.(type) {
	case page:
		return fmt.Sprintf("%s first %q last %q more %t total %d", v.Entities, v.First, v.Last, v.More, v.Total)
	case [][]byte:
		return fmt.Sprintf("%s", v)
	}
	return fmt.Sprintf("%+v", v)
}
