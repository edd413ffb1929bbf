package index

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// Keys of orders that are none of terms.
const (
	uidOrder = "\x00uid"
	refOrder = "\x00ref"
)

// order has the entities that have a key, in the order of the least of its values in each, and then of uids.
type order struct {
	key    string
	has    *roaring.Bitmap
	sorted []uint32
	rank   []uint32 // by ordinal: the place in sorted
	values []string // by ordinal; they are those of the field
	used   atomic.Int64
}

// newOrder makes the order of a key of the index. If the key is one of terms, there must be a field for it.
func newOrder(x *Index, key string) *order {
	o := &order{key: key, has: roaring.New()}
	o.grow(len(x.docs))
	if isPseudo(key) {
		x.all.Iterate(func(ordinal uint32) bool {
			o.values[ordinal] = x.docs[ordinal].value(key)
			return true
		})
		o.has.Or(x.all)
	} else {
		f := x.field(key)
		for i := range f.values {
			v := &f.values[i]
			v.each(func(ordinal uint32) {
				if o.has.CheckedAdd(ordinal) || v.lower < o.values[ordinal] {
					o.values[ordinal] = v.lower
				}
			})
		}
	}
	o.sorted = o.has.ToArray()
	slices.SortFunc(o.sorted, o.compare(x))
	o.number()
	return o
}

// update puts the changed entities to their places.
func (o *order) update(x *Index, changed map[uint32][]query.Term) {
	o.grow(len(x.docs))
	kept := make([]uint32, 0, len(o.sorted)+len(changed))
	for _, ordinal := range o.sorted {
		if _, ok := changed[ordinal]; !ok {
			kept = append(kept, ordinal)
		}
	}
	moved := make([]uint32, 0, len(changed))
	for ordinal, terms := range changed {
		value, ok := "", false
		if d := &x.docs[ordinal]; !d.Exists() {
			ok = false
		} else if isPseudo(o.key) {
			value, ok = d.value(o.key), true
		} else {
			value, ok = x.field(o.key).least(terms, o.key)
		}
		o.values[ordinal] = value
		if ok {
			o.has.Add(ordinal)
			moved = append(moved, ordinal)
		} else {
			o.has.Remove(ordinal)
		}
	}
	compare := o.compare(x)
	slices.SortFunc(moved, compare)
	o.sorted = merge(kept, moved, compare)
	o.number()
}

// value is that by which the entity is ordered in an order that is none of terms.
func (d *doc) value(key string) string {
	if key == refOrder {
		return d.ref
	}
	return d.uid
}

// grow makes room for ordinals below n.
func (o *order) grow(n int) {
	o.values = append(o.values, make([]string, n-len(o.values))...)
	o.rank = append(o.rank, make([]uint32, n-len(o.rank))...)
}

func (o *order) number() {
	for i, ordinal := range o.sorted {
		o.rank[ordinal] = uint32(i)
	}
}

func (o *order) compare(x *Index) func(a, b uint32) int {
	return func(a, b uint32) int {
		return cmp.Or(strings.Compare(o.values[a], o.values[b]), strings.Compare(x.docs[a].uid, x.docs[b].uid))
	}
}

// merge merges two sorted lists, of which the second one is mostly short.
func merge(long, short []uint32, compare func(a, b uint32) int) []uint32 {
	if len(long) == 0 {
		return short
	}
	if len(short) == 0 {
		return long
	}
	out := make([]uint32, 0, len(long)+len(short))
	for _, s := range short {
		i, _ := slices.BinarySearchFunc(long, s, compare)
		out = append(append(out, long[:i]...), s)
		long = long[i:]
	}
	return append(out, long...)
}

// place is the number of entities before the position, and whether one is exactly there.
func (o *order) place(x *Index, value, uid string) (int, bool) {
	return slices.BinarySearchFunc(o.sorted, 0, func(ordinal uint32, _ int) int {
		return cmp.Or(strings.Compare(o.values[ordinal], value), strings.Compare(x.docs[ordinal].uid, uid))
	})
}

// value is the value that the entity is ordered by, or empty.
func (o *order) value(ordinal uint32) string {
	if int(ordinal) >= len(o.values) {
		return ""
	}
	return o.values[ordinal]
}
