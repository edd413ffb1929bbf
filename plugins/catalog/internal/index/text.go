package index

import (
	"encoding/binary"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// grams tell which values of a field have three bytes in a row, so that few must be looked at to find a longer text. They may also name values
// that were dropped, and places where there is another one now.
type grams struct {
	lists map[gram]places
	stale int // values that were dropped
}

type gram [3]byte

// places are the places of values, each as the distance from the one before.
type places struct {
	last      int32
	distances []byte
}

func (g *grams) add(place int32, text string) {
	for i := range len(text) - 2 {
		three := gram([]byte(text[i : i+3]))
		list, ok := g.lists[three]
		if ok && list.last == place {
			continue
		}
		list.distances = binary.AppendVarint(list.distances, int64(place-list.last))
		list.last = place
		g.lists[three] = list
	}
}

// rarest is the shortest list of those for parts of a text, which is at least as long as a gram.
func (g *grams) rarest(text string) places {
	var least places
	for i := range len(text) - 2 {
		list, ok := g.lists[gram([]byte(text[i:i+3]))]
		if !ok {
			return places{}
		}
		if i == 0 || len(list.distances) < len(least.distances) {
			least = list
		}
	}
	return least
}

// searchable makes the grams when the field is first searched. From then on, they follow the values.
func (f *field) searchable() *grams {
	f.searching.Lock()
	defer f.searching.Unlock()
	if f.grams == nil {
		f.grams = &grams{lists: map[gram]places{}}
		for i := range f.values {
			f.grams.add(int32(i), f.values[i].lower)
		}
	}
	return f.grams
}

// containing is the set of entities with a value in which the needle is found.
func (f *field) containing(needle query.Needle) *roaring.Bitmap {
	literal := needle.Literal()
	if len(literal) < len(gram{}) {
		return f.matching(needle.In)
	}
	var u union
	place := int64(0)
	for rest := f.searchable().rarest(literal).distances; len(rest) > 0; {
		distance, n := binary.Varint(rest)
		rest = rest[n:]
		place += distance
		if v := &f.values[place]; needle.In(v.lower) {
			v.collect(&u)
		}
	}
	return u.bitmap()
}
