package index

import (
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// eval is the set of entities for which the predicate holds. It must not be changed, for it may be part of the index.
func (x *Index) eval(p query.Predicate) *roaring.Bitmap {
	switch p := p.(type) {
	case query.All:
		set := x.all
		for _, part := range p {
			if set == x.all {
				set = x.eval(part)
			} else {
				set = roaring.And(set, x.eval(part))
			}
		}
		return set
	case query.Any:
		sets := make([]*roaring.Bitmap, len(p))
		for i, part := range p {
			sets[i] = x.eval(part)
		}
		return roaring.FastOr(sets...)
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
