package index

import (
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

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
	// Entities are the entities.
	Entities []Entity
	// First and Last are the positions of the first and the last of them.
	First, Last []string
	// More tells that there are more behind the last one.
	More bool
	// Total is the number of entities on all pages.
	Total int
}

// Find answers a page.
func (x *Index) Find(q Query) Page {
	key, descending := uidOrder, false
	if q.Order != nil {
		key, descending = strings.ToLower(q.Order.Field), q.Order.Descending()
	}
	texts := textFields(q.Text, q.Order)
	defer x.read(q.Where, texts, key)()
	o := x.order(key)
	set := x.eval(q.Where)
	if o.has.GetCardinality() < x.all.GetCardinality() {
		set = roaring.And(set, o.has)
	}
	if texts != nil {
		set = x.containing(set, q.Text.Term, texts)
	}
	page := Page{Total: int(set.GetCardinality())}
	if q.Limit == 0 {
		return page
	}
	first, found := 0, false // the place of the first entity in the direction of the walk
	backward := descending != q.Backward
	if q.After != nil {
		if first, found = o.place(x, q.After[0], q.After[len(q.After)-1]); found && !backward {
			first++
		}
		first-- // of the last one before, walking backward
	} else if backward {
		first = len(o.sorted) - 1
	}
	if !backward && q.After != nil {
		first++
	}
	most := -1
	if q.Limit > 0 {
		most = q.Limit + 1
	}
	hits := o.walk(set, first, backward, q.Skip, most)
	page.More = q.Backward
	if q.Limit > 0 && len(hits) > q.Limit {
		hits, page.More = hits[:q.Limit], true
	}
	if q.Backward {
		slices.Reverse(hits)
	}
	page.Entities = make([]Entity, len(hits))
	for i, ordinal := range hits {
		page.Entities[i] = x.docs[ordinal].Entity
	}
	if len(hits) > 0 {
		page.First, page.Last = x.position(q, o, hits[0]), x.position(q, o, hits[len(hits)-1])
	}
	return page
}

func (x *Index) position(q Query, o *order, ordinal uint32) []string {
	if q.Order == nil {
		return []string{x.docs[ordinal].uid}
	}
	return []string{o.values[ordinal], x.docs[ordinal].uid}
}

// walk answers up to most entities of the set, which all have a place in the order, from the place first on, after passing over skip of them. A
// negative most is no limit.
func (o *order) walk(set *roaring.Bitmap, first int, backward bool, skip, most int) []uint32 {
	if size := int(set.GetCardinality()); most >= 0 && size < len(o.sorted) {
		// A walk may go a long way before it meets one of the set, but takes little for each step.
		if size < len(o.sorted)/64 {
			return o.pick(set, first, backward, skip, most)
		}
	}
	var hits []uint32
	members := newDense(set)
	step := 1
	if backward {
		step = -1
	}
	for i := first; i >= 0 && i < len(o.sorted) && (most < 0 || len(hits) < most); i += step {
		if ordinal := o.sorted[i]; members.has(ordinal) {
			if skip > 0 {
				skip--
				continue
			}
			hits = append(hits, ordinal)
		}
	}
	return hits
}

// dense is a set of ordinals in which looking one up takes next to nothing.
type dense []uint64

func newDense(set *roaring.Bitmap) dense { return set.ToDense() }

func (d dense) has(ordinal uint32) bool {
	i := ordinal / 64
	return int(i) < len(d) && d[i]&(1<<(ordinal%64)) != 0
}

// pick is walk for a small set.
func (o *order) pick(set *roaring.Bitmap, first int, backward bool, skip, most int) []uint32 {
	ranks := make([]uint32, 0, set.GetCardinality())
	set.Iterate(func(ordinal uint32) bool {
		rank := int(o.rank[ordinal])
		if backward && rank <= first || !backward && rank >= first {
			ranks = append(ranks, uint32(rank))
		}
		return true
	})
	slices.Sort(ranks)
	if backward {
		slices.Reverse(ranks)
	}
	ranks = ranks[min(skip, len(ranks)):]
	ranks = ranks[:min(most, len(ranks))]
	for i, rank := range ranks {
		ranks[i] = o.sorted[rank]
	}
	return ranks
}

// List answers entities in the order of several fields, each with those that lack it last, and then by uid; without a field, in the order
// of their refs. A negative limit is none.
func (x *Index) List(where query.Predicate, by []query.Order, skip, limit int) (entities []Entity, more bool) {
	keys := []string{refOrder}
	if len(by) > 0 {
		keys = make([]string, len(by))
		for i, o := range by {
			keys[i] = strings.ToLower(o.Field)
		}
	}
	defer x.read(where, nil, keys...)()
	set := x.eval(where)
	most := -1
	if limit >= 0 {
		most = limit + 1
	}
	var hits []uint32
	if len(by) == 0 {
		hits = x.order(refOrder).walk(set, 0, false, skip, most)
	} else {
		orders := make([]*order, len(keys))
		for i, key := range keys {
			orders[i] = x.order(key)
		}
		hits = set.ToArray()
		slices.SortFunc(hits, func(a, b uint32) int { return x.compare(by, orders, a, b) })
		hits = hits[min(skip, len(hits)):]
	}
	if limit >= 0 && len(hits) > limit {
		hits, more = hits[:limit], true
	}
	entities = make([]Entity, len(hits))
	for i, ordinal := range hits {
		entities[i] = x.docs[ordinal].Entity
	}
	return entities, more
}

func (x *Index) compare(by []query.Order, orders []*order, a, b uint32) int {
	for i, direction := range by {
		o := orders[i]
		hasA, hasB := o.has.Contains(a), o.has.Contains(b)
		switch {
		case hasA && !hasB:
			return -1
		case hasB && !hasA:
			return 1
		}
		if c := strings.Compare(o.value(a), o.value(b)); c != 0 && direction.Descending() {
			return -c
		} else if c != 0 {
			return c
		}
	}
	return strings.Compare(x.docs[a].uid, x.docs[b].uid)
}

// Count is a value of a field and the number of entities that have it.
type Count struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Facets counts the values of each field among the entities for which the predicate holds, in the order of the values, which keep
// their spelling. The counts must not be changed: others may get the same.
func (x *Index) Facets(where query.Predicate, fields []string) map[string][]Count {
	keys := make([]string, len(fields))
	for i, field := range fields {
		keys[i] = strings.ToLower(field)
	}
	defer x.read(where, keys)()
	var set *roaring.Bitmap
	var members dense
	condition := string(query.AppendJSON(nil, where))
	facets := make(map[string][]Count, len(fields))
	for i, field := range fields {
		facets[field] = x.counts.get(counted{condition, keys[i]}, func() []Count {
			if set == nil {
				set = x.eval(where)
				members = newDense(set)
			}
			return x.facet(set, members, keys[i])
		})
	}
	return facets
}

func (x *Index) facet(set *roaring.Bitmap, members dense, key string) []Count {
	f := x.field(key)
	if f == nil {
		return []Count{}
	}
	places := f.inOrder()
	counts := make([]Count, 0, len(places))
	for _, i := range places {
		v := &f.values[i]
		n := 0
		switch {
		case set == x.all:
			n = v.count()
		case v.many != nil:
			n = int(v.many.AndCardinality(set))
		default:
			for _, ordinal := range v.few {
				if members.has(ordinal) {
					n++
				}
			}
		}
		if n > 0 {
			counts = append(counts, Count{v.original, n})
		}
	}
	return counts
}
