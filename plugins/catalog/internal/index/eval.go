package index

import (
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// appendKeys appends the keys that a predicate asks for.
func appendKeys(keys []string, p query.Predicate) []string {
	switch p := p.(type) {
	case query.All:
		for _, part := range p {
			keys = appendKeys(keys, part)
		}
	case query.Any:
		for _, part := range p {
			keys = appendKeys(keys, part)
		}
	case query.Not:
		keys = appendKeys(keys, p.Predicate)
	case query.Exists:
		keys = append(keys, p.Key)
	case query.In:
		keys = append(keys, p.Key)
	case query.HasPrefix:
		keys = append(keys, p.Key)
	}
	return keys
}

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
	size := set.GetCardinality()
	found := roaring.New()
	for _, key := range keys {
		f := x.field(key)
		if f == nil {
			continue
		}
		// Looking through the few entities that are left is less than looking through all values.
		if size*16 < uint64(len(f.values)) {
			n := x.keys[key]
			set.Iterate(func(ordinal uint32) bool {
				d := &x.docs[ordinal]
				for i, e := range d.entries {
					if e.key == n && e.original != noValue && needle.In(d.term(i).value) {
						found.Add(ordinal)
						break
					}
				}
				return true
			})
			continue
		}
		found.Or(roaring.And(set, f.matching(needle.In)))
	}
	return found
}
