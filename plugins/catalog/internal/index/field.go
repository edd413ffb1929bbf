package index

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// field holds the values of one key.
type field struct {
	has    *roaring.Bitmap  // entities that have the key, with or without a value
	values []value          // in no order; those without entities are free
	first  map[string]int32 // from the lower case of a value to the first of its spellings
	free   []int32
	sorted atomic.Pointer[[]int32] // places of the values in their order, once it is asked for; nil after a change of values
	used   atomic.Int64

	searching sync.Mutex // held by a reader that makes grams
	grams     *grams     // nil until the field is searched
}

// value is a spelling of a value, with the entities that have it.
type value struct {
	lower, original string
	next            int32           // the next spelling of the same, or -1
	few             []uint32        // the entities, as long as they are few
	many            *roaring.Bitmap // the entities, from then on
}

// mostFew is the number of entities up to which a list of them is better than a bitmap.
const mostFew = 32

// count is the number of entities that have the value.
func (v *value) count() int {
	if v.many != nil {
		return int(v.many.GetCardinality())
	}
	return len(v.few)
}

// each calls do with the entities.
func (v *value) each(do func(ordinal uint32)) {
	for _, ordinal := range v.few {
		do(ordinal)
	}
	if v.many != nil {
		v.many.Iterate(func(ordinal uint32) bool {
			do(ordinal)
			return true
		})
	}
}

func newField() *field {
	return &field{has: roaring.New(), first: map[string]int32{}}
}

func (f *field) add(ordinal uint32, t query.Term) {
	f.has.Add(ordinal)
	if t.Null {
		return
	}
	v := f.find(t)
	if v == nil {
		v = f.insert(t)
	}
	switch {
	case v.many != nil:
		v.many.Add(ordinal)
	case len(v.few) < mostFew:
		v.few = append(v.few, ordinal)
	default:
		v.many = roaring.BitmapOf(append(v.few, ordinal)...)
		v.few = nil
	}
}

func (f *field) find(t query.Term) *value {
	i, ok := f.first[t.Value]
	if !ok {
		return nil
	}
	for ; i >= 0; i = f.values[i].next {
		if f.values[i].original == t.Original {
			return &f.values[i]
		}
	}
	return nil
}

// least is the least value that an entity of the field with these terms has for the key.
func (f *field) least(terms []query.Term, key string) (value string, ok bool) {
	for _, t := range terms {
		if t.Key == key && !t.Null && (!ok || t.Value < value) {
			value, ok = t.Value, true
		}
	}
	if ok {
		value = f.values[f.first[value]].lower // which is kept anyway
	}
	return value, ok
}

func (f *field) insert(t query.Term) *value {
	// The text belongs to an entity; the value may outlive it.
	v := value{lower: strings.Clone(t.Value), next: -1}
	v.original = v.lower
	if t.Original != t.Value {
		v.original = strings.Clone(t.Original)
	}
	i := int32(len(f.values))
	if n := len(f.free); n > 0 {
		i, f.free = f.free[n-1], f.free[:n-1]
	} else {
		f.values = append(f.values, value{})
	}
	if next, ok := f.first[v.lower]; ok {
		v.next = next
	}
	f.values[i] = v
	f.first[v.lower] = i
	f.sorted.Store(nil)
	if f.grams != nil {
		f.grams.add(i, v.lower)
	}
	return &f.values[i]
}

// remove takes away one of the entity's values. All of them are removed together.
func (f *field) remove(ordinal uint32, t query.Term) {
	f.has.Remove(ordinal)
	v := f.find(t)
	if t.Null || v == nil {
		return
	}
	if v.many != nil {
		v.many.Remove(ordinal)
	} else if i := slices.Index(v.few, ordinal); i >= 0 {
		v.few[i] = v.few[len(v.few)-1]
		v.few = v.few[:len(v.few)-1]
	}
	if v.count() == 0 {
		f.drop(t)
	}
}

// drop frees a value that no entity has any more.
func (f *field) drop(t query.Term) {
	before := int32(-1)
	for i := f.first[t.Value]; i >= 0; before, i = i, f.values[i].next {
		if f.values[i].original != t.Original {
			continue
		}
		next := f.values[i].next
		switch {
		case before >= 0:
			f.values[before].next = next
		case next >= 0:
			f.first[f.values[next].lower] = next
		default:
			delete(f.first, t.Value)
		}
		f.values[i] = value{}
		f.free = append(f.free, i)
		f.sorted.Store(nil)
		if f.grams != nil {
			if f.grams.stale++; f.grams.stale > len(f.values) {
				f.grams = nil // those to come have none that are stale
			}
		}
		return
	}
}

// inOrder are the places of the values, in the order of their spellings.
func (f *field) inOrder() []int32 {
	if sorted := f.sorted.Load(); sorted != nil {
		return *sorted
	}
	sorted := make([]int32, 0, len(f.values)-len(f.free))
	for i := range f.values {
		if f.values[i].count() > 0 {
			sorted = append(sorted, int32(i))
		}
	}
	slices.SortFunc(sorted, func(a, b int32) int { return strings.Compare(f.values[a].original, f.values[b].original) })
	f.sorted.Store(&sorted)
	return sorted
}

// collect adds the entities that have the value to those of a union.
func (v *value) collect(u *union) {
	if v.many != nil {
		u.sets = append(u.sets, v.many)
	} else {
		u.single = append(u.single, v.few...)
	}
}

// union is a set of entities in the making.
type union struct {
	sets   []*roaring.Bitmap
	single []uint32
}

// bitmap is the union. It must not be changed, for it may be one of its parts.
func (u *union) bitmap() *roaring.Bitmap {
	if len(u.single) == 0 && len(u.sets) == 1 {
		return u.sets[0]
	}
	set := roaring.FastOr(u.sets...)
	set.AddMany(u.single)
	return set
}
