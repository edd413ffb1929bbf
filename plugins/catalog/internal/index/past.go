package index

import (
	"maps"
	"slices"
)

// Refs answers the refs of all entities, in no order.
func (x *Index) Refs() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Collect(maps.Keys(x.byRef))
}

// Clone returns an index with the same entities, which changes by itself from then on. The entities themselves are shared. Fields and orders
// are made anew when they are asked for.
func (x *Index) Clone() *Index {
	x.applying.Lock()
	defer x.applying.Unlock()
	return &Index{
		dictionary: x.dictionary, trained: x.trained, unpacked: x.unpacked,
		docs: slices.Clone(x.docs), free: slices.Clone(x.free), all: x.all.Clone(), byRef: maps.Clone(x.byRef), byUID: maps.Clone(x.byUID),
		keys: x.keys, fields: map[uint32]*field{}, orders: map[string]*order{},
	}
}
