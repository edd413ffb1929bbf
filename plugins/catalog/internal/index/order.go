package index

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
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
	values []string // by ordinal
	used   atomic.Int64
}

func newOrder(key string) *order { return &order{key: key, has: roaring.New()} }

// update puts the changed entities to their places.
func (o *order) update(x *Index, changed *roaring.Bitmap) {
	number, known := x.keys[o.key]
	o.values = append(o.values, make([]string, len(x.docs)-len(o.values))...)
	moved := make([]uint32, 0, changed.GetCardinality())
	kept := make([]uint32, 0, len(o.sorted)+cap(moved))
	for _, ordinal := range o.sorted {
		if !changed.Contains(ordinal) {
			kept = append(kept, ordinal)
		}
	}
	changed.Iterate(func(ordinal uint32) bool {
		value, ok := "", false
		if d := &x.docs[ordinal]; d.json != nil {
			switch {
			case o.key == refOrder:
				value, ok = d.ref, true
			case o.key == uidOrder:
				value, ok = d.uid, true
			case known:
				value, ok = d.least(number)
			}
		}
		o.values[ordinal] = value
		if ok {
			o.has.Add(ordinal)
			moved = append(moved, ordinal)
		} else {
			o.has.Remove(ordinal)
		}
		return true
	})
	compare := func(a, b uint32) int {
		return cmp.Or(strings.Compare(o.values[a], o.values[b]), strings.Compare(x.docs[a].uid, x.docs[b].uid))
	}
	slices.SortFunc(moved, compare)
	o.sorted = merge(kept, moved, compare)
	o.rank = append(o.rank, make([]uint32, len(x.docs)-len(o.rank))...)
	for i, ordinal := range o.sorted {
		o.rank[ordinal] = uint32(i)
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
