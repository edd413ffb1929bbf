package index

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// unpacked has the JSON of entities that were asked for lately: what many people look at is unpacked once. It is safe for concurrent use. What is
// packed never changes, so that nothing in here is ever wrong: an entity that has changed is another one.
type unpacked struct {
	seed  maphash.Seed
	slots [2048]atomic.Pointer[kept]
}

// mostKept is the size up to which an entity is kept. With it, all take 8 MB at most, and about 3 MB if they are as entities mostly are.
const mostKept = 4 << 10

// kept is an entity. That it holds what is packed keeps another entity from being at the same place.
type kept struct {
	packed *byte
	json   []byte
}

func (u *unpacked) slot(packed *byte) *atomic.Pointer[kept] {
	return &u.slots[maphash.Comparable(u.seed, packed)%uint64(len(u.slots))]
}

// of is the JSON of an entity, or nil if it is not here.
func (u *unpacked) of(e Entity) []byte {
	if k := u.slot(&e.packed[0]).Load(); k != nil && k.packed == &e.packed[0] {
		return k.json
	}
	return nil
}

// offer takes one of a few that are offered: what is asked for again and again is here soon, and what is not seldom drives that away.
func (u *unpacked) offer(e Entity, json []byte) {
	if len(json) <= mostKept && rand.N(4) == 0 {
		u.slot(&e.packed[0]).Store(&kept{&e.packed[0], slices.Clone(json)})
	}
}
