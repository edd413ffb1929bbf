package index_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/synthetic"
)

// finals are n synthetic entities in their final form.
func finals(b *testing.B, n int) []index.Entry {
	b.Helper()
	entities, err := synthetic.Entities(n)
	if err != nil {
		b.Fatal(err)
	}
	type relation struct {
		Type   string `json:"type"`
		Target string `json:"targetRef"`
	}
	relations := map[string][]any{}
	for _, e := range entities {
		all, err := catalogmodel.Default().Relations(e)
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range all {
			source := r.Source.String()
			relations[source] = append(relations[source], relation{r.Type, r.Target.String()})
		}
	}
	entries := make([]index.Entry, n)
	for i, e := range entities {
		ref := e.Ref().String()
		uid := fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(i)*2654435761, i)
		v, err := catalogmodel.ValueOf(relations[ref])
		if err != nil {
			b.Fatal(err)
		}
		e = e.WithDefaultNamespace("default").With(catalogmodel.StringValue(uid), "metadata", "uid").With(v, "relations")
		entries[i] = index.Entry{Ref: ref, UID: uid, JSON: e.AppendJSON(nil)}
	}
	return entries
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmark(b, finals(b, n)) })
	}
}

// loaded is an index of the entries.
func loaded(b *testing.B, entries []index.Entry) *index.Index {
	b.Helper()
	x := index.New()
	for chunk := range slices.Chunk(entries, 500) {
		if err := x.Apply(chunk); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

func benchmark(b *testing.B, entries []index.Entry) {
	before := heap()
	x := loaded(b, entries)
	size := heap() - before
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			loaded(b, entries)
		}
		b.ReportMetric(float64(len(entries))*float64(b.N)/b.Elapsed().Seconds(), "entities/s")
		b.ReportMetric(float64(size)/float64(len(entries)), "B/entity")
	})
	component := query.In{Key: "kind", Values: []string{"component"}}
	name := &query.Order{Field: "metadata.name", Direction: "asc"}
	for _, q := range []struct {
		name string
		q    index.Query
	}{
		{"ordered page of 20 with total", index.Query{Where: component, Order: name, Limit: 20}},
		{"three filters", index.Query{Where: query.All{component, query.In{Key: "spec.type", Values: []string{"service"}},
			query.In{Key: "metadata.labels.tier", Values: []string{"1"}}}, Order: name, Limit: 20}},
		{"text in all names", index.Query{Order: name, Limit: 20, Text: &query.Text{Term: "nent-12"}}},
		{"page in the middle", index.Query{Where: component, Order: name, Limit: 20, After: []string{"component-5", ""}}},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				if page := x.Find(q.q); len(page.Entities) != 20 {
					b.Fatalf("%d entities", len(page.Entities))
				}
			}
		})
	}
	b.Run("three facets of components", func(b *testing.B) {
		for b.Loop() {
			x.Facets(component, []string{"spec.type", "spec.lifecycle", "relations.ownedBy"})
		}
	})
	b.Run("by-refs of 50", func(b *testing.B) {
		refs := make([]string, 50)
		for i := range refs {
			refs[i] = fmt.Sprint("component:default/component-", i)
		}
		var body []byte
		for b.Loop() {
			body = body[:0]
			for _, e := range x.ByRef(refs, nil) {
				body = e.AppendJSON(body)
			}
		}
		b.SetBytes(int64(len(body)))
	})
	b.Run("change of 100 entities", func(b *testing.B) {
		for b.Loop() {
			if err := x.Apply(entries[:100]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
