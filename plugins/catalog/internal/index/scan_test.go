package index_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// scan answers what an Index does by looking at every entity: it is what the documentation says, without any cleverness.
type scan struct {
	byRef map[string]*doc
	byUID map[string]*doc
}

type doc struct {
	index.Entry
	terms []query.Term
}

func newScan() *scan { return &scan{byRef: map[string]*doc{}, byUID: map[string]*doc{}} }

func (x *scan) Apply(entries []index.Entry) error {
	docs := make([]*doc, 0, len(entries))
	var failures []string
	for _, entry := range entries {
		d := &doc{Entry: entry}
		if entry.JSON != nil {
			e, err := catalogmodel.ParseJSON(entry.JSON)
			if err == nil {
				d.terms, err = query.Terms(e)
			}
			if err != nil {
				failures = append(failures, entry.Ref+": "+err.Error())
				continue
			}
		}
		docs = append(docs, d)
	}
	for _, d := range docs {
		if old := x.byRef[d.Ref]; old != nil {
			delete(x.byRef, old.Ref)
			delete(x.byUID, old.UID)
		}
		if d.JSON != nil {
			x.byRef[d.Ref], x.byUID[d.UID] = d, d
		}
	}
	if len(failures) > 0 {
		return fmt.Errorf("entities that can't be searched: %s", strings.Join(failures, "; "))
	}
	return nil
}

func (x *scan) ByRef(refs []string, where query.Predicate) [][]byte {
	found := make([][]byte, len(refs))
	for i, ref := range refs {
		if d := x.byRef[ref]; d != nil && query.Match(where, d.terms) {
			found[i] = d.JSON
		}
	}
	return found
}

func (x *scan) ByUID(uid string, where query.Predicate) []byte {
	if d := x.byUID[uid]; d != nil && query.Match(where, d.terms) {
		return d.JSON
	}
	return nil
}

// hit is an entity with the value that it is ordered by.
type hit struct {
	doc   *doc
	value string
}

func (x *scan) Find(q index.Query) page {
	var hits []hit
	for _, d := range x.byRef {
		if !query.Match(q.Where, d.terms) || !contains(q.Text, q.Order, d.terms) {
			continue
		}
		h := hit{doc: d}
		if q.Order != nil {
			var ok bool
			if h.value, ok = value(d.terms, q.Order.Field); !ok {
				continue
			}
		}
		hits = append(hits, h)
	}
	compare := func(a, b hit) int {
		c := cmp.Or(strings.Compare(a.value, b.value), strings.Compare(a.doc.UID, b.doc.UID))
		if q.Order != nil && q.Order.Descending() {
			return -c
		}
		return c
	}
	slices.SortFunc(hits, compare)
	page := page{Page: index.Page{Total: len(hits)}}
	if q.After != nil {
		at := hit{doc: &doc{Entry: index.Entry{UID: q.After[len(q.After)-1]}}}
		if q.Order != nil {
			at.value = q.After[0]
		}
		i, found := slices.BinarySearchFunc(hits, at, compare)
		if q.Backward {
			hits = hits[max(0, i-max(q.Limit, 0)):i]
			page.More = true
		} else {
			if found {
				i++
			}
			hits = hits[i:]
		}
	}
	hits = hits[min(q.Skip, len(hits)):]
	if q.Limit >= 0 && len(hits) > q.Limit {
		hits, page.More = hits[:q.Limit], true
	}
	page.More = page.More && q.Limit != 0
	for _, h := range hits {
		page.Entities = append(page.Entities, h.doc.JSON)
	}
	if len(hits) > 0 {
		page.First, page.Last = position(q.Order, hits[0]), position(q.Order, hits[len(hits)-1])
	}
	return page
}

func position(order *query.Order, h hit) []string {
	if order == nil {
		return []string{h.doc.UID}
	}
	return []string{h.value, h.doc.UID}
}

// contains tells whether one of the fields contains the text.
func contains(text *query.Text, order *query.Order, terms []query.Term) bool {
	if text == nil {
		return true
	}
	if strings.TrimSpace(text.Term) == "" {
		return true
	}
	needle := query.NewNeedle(text.Term)
	fields := text.Fields
	if len(fields) == 0 {
		fields = []string{"metadata.uid"}
		if order != nil {
			fields = []string{order.Field}
		}
	}
	for _, t := range terms {
		if !t.Null && needle.In(t.Value) && slices.ContainsFunc(fields, func(f string) bool { return strings.ToLower(f) == t.Key }) {
			return true
		}
	}
	return false
}

// value is the least value of the field.
func value(terms []query.Term, field string) (least string, ok bool) {
	field = strings.ToLower(field)
	for _, t := range terms {
		if t.Key == field && !t.Null && (!ok || t.Value < least) {
			least, ok = t.Value, true
		}
	}
	return least, ok
}

func (x *scan) List(where query.Predicate, orders []query.Order, skip, limit int) (entities [][]byte, more bool) {
	var docs []*doc
	for _, d := range x.byRef {
		if query.Match(where, d.terms) {
			docs = append(docs, d)
		}
	}
	slices.SortFunc(docs, func(a, b *doc) int {
		if len(orders) == 0 {
			return strings.Compare(a.Ref, b.Ref)
		}
		for _, order := range orders {
			v, hasV := value(a.terms, order.Field)
			w, hasW := value(b.terms, order.Field)
			switch {
			case hasV && !hasW:
				return -1
			case hasW && !hasV:
				return 1
			case v != w && order.Descending():
				return strings.Compare(w, v)
			case v != w:
				return strings.Compare(v, w)
			}
		}
		return strings.Compare(a.UID, b.UID)
	})
	docs = docs[min(skip, len(docs)):]
	if limit >= 0 && len(docs) > limit {
		docs, more = docs[:limit], true
	}
	for _, d := range docs {
		entities = append(entities, d.JSON)
	}
	return entities, more
}

func (x *scan) Facets(where query.Predicate, fields []string) map[string][]index.Count {
	facets := map[string][]index.Count{}
	for _, field := range fields {
		counts := map[string]int{}
		for _, d := range x.byRef {
			if !query.Match(where, d.terms) {
				continue
			}
			for _, t := range d.terms {
				if t.Key == strings.ToLower(field) && !t.Null {
					counts[t.Original]++
				}
			}
		}
		facets[field] = make([]index.Count, 0, len(counts))
		for value, count := range counts {
			facets[field] = append(facets[field], index.Count{value, count})
		}
		slices.SortFunc(facets[field], func(a, b index.Count) int { return strings.Compare(a.Value, b.Value) })
	}
	return facets
}
