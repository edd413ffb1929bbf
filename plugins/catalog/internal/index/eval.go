package index

import (
	"cmp"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// eval is the set of entities for which the predicate holds. It must not be changed, for it may be part of the index.
func (x *Index) eval(p query.Predicate) *roaring.Bitmap {
	switch p := p.(type) {
	case query.All:
		return intersection(x.all, x.evalEach(p))
	case query.Any:
		return roaring.FastOr(x.evalEach(p)...)
	case query.Not:
		return roaring.AndNot(x.all, x.eval(p.Predicate))
	case query.Exists:
		if f := x.field(p.Key); f != nil {
			return f.has
		}
	case query.In:
		if f := x.field(p.Key); f != nil {
			return f.in(p.Values)
		}
	case query.HasPrefix:
		if f := x.field(p.Key); f != nil {
			return f.matching(func(v string) bool { return strings.HasPrefix(v, p.Prefix) })
		}
	default:
		return x.all
	}
	return roaring.New()
}

func (x *Index) evalEach(parts []query.Predicate) []*roaring.Bitmap {
	sets := make([]*roaring.Bitmap, len(parts))
	for i, part := range parts {
		sets[i] = x.eval(part)
	}
	return sets
}

// intersection is the set of what is in all sets: everything, without any set. It begins with the smallest ones, which leave little to look at.
func intersection(everything *roaring.Bitmap, sets []*roaring.Bitmap) *roaring.Bitmap {
	switch len(sets) {
	case 0:
		return everything
	case 1:
		return sets[0]
	}
	slices.SortFunc(sets, func(a, b *roaring.Bitmap) int { return cmp.Compare(a.GetCardinality(), b.GetCardinality()) })
	set := roaring.And(sets[0], sets[1])
	for _, other := range sets[2:] {
		set.And(other)
	}
	return set
}

// in is the set of entities that have one of the values.
func (f *field) in(values []string) *roaring.Bitmap {
	var u union
	for _, text := range values {
		i, ok := f.first[text]
		if !ok {
			continue
		}
		for ; i >= 0; i = f.values[i].next {
			f.values[i].collect(&u)
		}
	}
	return u.bitmap()
}

// matching is the set of entities with a value that passes the test.
func (f *field) matching(test func(string) bool) *roaring.Bitmap {
	var u union
	for i := range f.values {
		if v := &f.values[i]; (v.few != nil || v.many != nil) && test(v.lower) {
			v.collect(&u)
		}
	}
	return u.bitmap()
}

// textFields are the keys that a text filter looks into.
func textFields(text *query.Text, order *query.Order) []string {
	switch {
	case text == nil || strings.TrimSpace(text.Term) == "":
		return nil
	case len(text.Fields) > 0:
		keys := make([]string, len(text.Fields))
		for i, field := range text.Fields {
			keys[i] = strings.ToLower(field)
		}
		return keys
	case order != nil:
		return []string{strings.ToLower(order.Field)}
	}
	return []string{"metadata.uid"}
}

// containing is the part of the set with a value that contains the term.
func (x *Index) containing(set *roaring.Bitmap, term string, keys []string) *roaring.Bitmap {
	needle := query.NewNeedle(term)
	found := roaring.New()
	for _, key := range keys {
		if f := x.field(key); f != nil {
			found.Or(roaring.And(set, f.containing(needle)))
		}
	}
	return found
}
