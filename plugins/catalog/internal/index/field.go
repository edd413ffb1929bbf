package index

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
)

// field holds the values of one key.
type field struct {
	has    *roaring.Bitmap  // entities that have the key, with or without a value
	values []value          // in no order; those without entities are free
	first  map[string]int32 // from the lower case of a value to the first of its spellings
	free   []int32
	used   atomic.Int64
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

func newField() *field {
	return &field{has: roaring.New(), first: map[string]int32{}}
}

func (f *field) add(ordinal uint32, t term) {
	f.has.Add(ordinal)
	if t.null {
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

func (f *field) find(t term) *value {
	i, ok := f.first[t.value]
	if !ok {
		return nil
	}
	for ; i >= 0; i = f.values[i].next {
		if f.values[i].original == t.original {
			return &f.values[i]
		}
	}
	return nil
}

func (f *field) insert(t term) *value {
	// The text belongs to an entity; the value may outlive it.
	v := value{lower: strings.Clone(t.value), next: -1}
	v.original = v.lower
	if t.original != t.value {
		v.original = strings.Clone(t.original)
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
	return &f.values[i]
}

// remove takes away one of the entity's values. All of them are removed together.
func (f *field) remove(ordinal uint32, t term) {
	f.has.Remove(ordinal)
	v := f.find(t)
	if t.null || v == nil {
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
func (f *field) drop(t term) {
	before := int32(-1)
	for i := f.first[t.value]; i >= 0; before, i = i, f.values[i].next {
		if f.values[i].original != t.original {
			continue
		}
		next := f.values[i].next
		switch {
		case before >= 0:
			f.values[before].next = next
		case next >= 0:
			f.first[f.values[next].lower] = next
		default:
			delete(f.first, t.value)
		}
		f.values[i] = value{}
		f.free = append(f.free, i)
		return
	}
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
