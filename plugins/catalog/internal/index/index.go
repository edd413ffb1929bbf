package index

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// Entry is an entity, or the news that there is none any more.
type Entry struct {
	Ref string
	UID string
	// JSON is the final entity, or nil if it was deleted.
	JSON []byte
}

// Index holds entities. It is safe for concurrent use; the JSON that it answers must not be changed.
type Index struct {
	mu    sync.RWMutex
	byRef map[string]*doc
	byUID map[string]*doc
}

type doc struct {
	Entry
	terms []query.Term
}

// New returns an empty index.
func New() *Index { return &Index{byRef: map[string]*doc{}, byUID: map[string]*doc{}} }

// Apply brings the index up to date. An entity that can't be searched is left as it was, and named in the error.
func (x *Index) Apply(entries []Entry) error {
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
	x.mu.Lock()
	defer x.mu.Unlock()
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

// ByRef answers the JSON of the entities with these refs, nil for those that there are none of or for which the predicate does not hold.
func (x *Index) ByRef(refs []string, where query.Predicate) [][]byte {
	x.mu.RLock()
	defer x.mu.RUnlock()
	found := make([][]byte, len(refs))
	for i, ref := range refs {
		if d := x.byRef[ref]; d != nil && query.Match(where, d.terms) {
			found[i] = d.JSON
		}
	}
	return found
}

// ByUID answers the JSON of the entity with this uid, or nil.
func (x *Index) ByUID(uid string) []byte {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if d := x.byUID[uid]; d != nil {
		return d.JSON
	}
	return nil
}

// Query asks for entities.
type Query struct {
	// Where is the condition, or nil.
	Where query.Predicate
	// Text is a text to be found, or nil.
	Text *query.Text
	// Order is the order, or nil for that of uids. Entities without the field are left out.
	Order *query.Order
	// After is the position next to which the page begins: the value of the order field, if there is an order, and the uid. Nil is the
	// beginning.
	After []string
	// Backward asks for the page that ends before the position.
	Backward bool
	// Skip is the number of entities to pass over, and Limit the most to answer. A negative limit is none.
	Skip, Limit int
}

// Page is a part of what a query answers.
type Page struct {
	// Entities are the JSON of the entities.
	Entities [][]byte
	// First and Last are the positions of the first and the last of them.
	First, Last []string
	// More tells that there are more behind the last one.
	More bool
	// Total is the number of entities on all pages.
	Total int
}

// hit is an entity with the value that it is ordered by.
type hit struct {
	doc   *doc
	value string
}

// Find answers a page.
func (x *Index) Find(q Query) Page {
	x.mu.RLock()
	defer x.mu.RUnlock()
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
	page := Page{Total: len(hits)}
	if q.After != nil {
		at := hit{doc: &doc{Entry: Entry{UID: q.After[len(q.After)-1]}}}
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

// List answers entities in the order of several fields, each with those that lack it last, and then by uid; without a field, in the order
// of their refs. A negative limit is none.
func (x *Index) List(where query.Predicate, orders []query.Order, skip, limit int) (entities [][]byte, more bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
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

// Count is a value of a field and the number of entities that have it.
type Count struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Facets counts the values of each field among the entities for which the predicate holds, in the order of the values, which keep
// their spelling.
func (x *Index) Facets(where query.Predicate, fields []string) map[string][]Count {
	x.mu.RLock()
	defer x.mu.RUnlock()
	facets := map[string][]Count{}
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
		facets[field] = make([]Count, 0, len(counts))
		for value, count := range counts {
			facets[field] = append(facets[field], Count{value, count})
		}
		slices.SortFunc(facets[field], func(a, b Count) int { return strings.Compare(a.Value, b.Value) })
	}
	return facets
}
