package index

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// Entity is a final entity, in a form that takes little memory. The zero Entity is none.
type Entity struct {
	dictionary *dictionary // with which the JSON is compressed
	packed     []byte      // the terms, and then the JSON
	terms      uint32      // the length of the former
	size       uint32      // of the JSON before it was compressed
}

// Of each term, its code and the number of its key are kept. A code from codeText on is that plus twice the length of a text. If it is even, the
// text is a part of the JSON, and its distance from the part before follows: terms are in the order of the JSON, so most are near. If it
// is odd, the text itself follows.
const (
	codeNull = iota // there is no value
	codeTrue        // the value is "true", which elements of lists have
	codeText
)

// Exists tells whether this is an entity.
func (e Entity) Exists() bool { return e.packed != nil }

// Size is the number of bytes of the JSON.
func (e Entity) Size() int { return int(e.size) }

// JSON is the entity as JSON, or nil if it is none.
func (e Entity) JSON() []byte {
	if !e.Exists() {
		return nil
	}
	return e.AppendJSON(nil)
}

// JSON is the JSON of each of the entities, nil for none.
func JSON(entities []Entity) [][]byte {
	all := make([][]byte, len(entities))
	for i, e := range entities {
		all[i] = e.JSON()
	}
	return all
}

// AppendJSON appends the JSON of an entity that exists. It is fast where there is room for Size bytes.
func (e Entity) AppendJSON(to []byte) []byte {
	from, end := len(to), len(to)+e.Size()
	to = slices.Grow(to, e.Size())[:end]
	if _, err := e.dictionary.words.Decode(to[from:end:end], e.packed[e.terms:]); err != nil {
		panic("index: a packed entity can't be unpacked: " + err.Error()) // nothing but pack makes them
	}
	return to
}

// AppendLikely is AppendJSON for an entity that others are likely to ask for soon, as those on one page are and those of a whole catalog are not.
func (e Entity) AppendLikely(to []byte) []byte {
	if json := e.dictionary.unpacked.of(e); json != nil {
		return append(to, json...)
	}
	from := len(to)
	to = e.AppendJSON(to)
	e.dictionary.unpacked.offer(e, to[from:])
	return to
}

// termsOf are the terms with keys that are wanted, and the numbers of these. The room is what entities are unpacked to, one after the other.
func (e Entity) termsOf(room *[]byte, wanted func(key uint32) bool) iter.Seq2[uint32, query.Term] {
	return func(yield func(uint32, query.Term) bool) {
		var json []byte
		at := 0 // the end of the last part of the JSON
		rest := e.packed[:e.terms]
		number := func() uint64 {
			n, size := binary.Uvarint(rest)
			rest = rest[size:]
			return n
		}
		for len(rest) > 0 {
			code, key := number(), uint32(number())
			length := max(0, int(code)-codeText) / 2
			inline := code >= codeText && code%2 != codeText%2
			var literal []byte
			switch {
			case inline:
				literal, rest = rest[:length], rest[length:]
			case code >= codeText:
				distance, size := binary.Varint(rest)
				rest = rest[size:]
				at += int(distance) + length
			}
			if !wanted(key) {
				continue
			}
			t := query.Term{Null: code == codeNull}
			switch {
			case code == codeTrue:
				t.Original = "true"
			case inline:
				t.Original = string(literal)
			case code >= codeText:
				if json == nil {
					json = e.AppendJSON((*room)[:0])
					*room = json
				}
				t.Original = string(json[at-length : at])
			}
			t.Value = strings.ToLower(t.Original)
			if !yield(key, t) {
				return
			}
		}
	}
}

// packer packs entities. It is for one goroutine.
type packer struct {
	dictionary   *dictionary
	terms, block []byte // room
}

// pack packs JSON and its terms, of which keys are the numbers of the keys.
func (p *packer) pack(json []byte, terms []query.Term, keys []uint32) Entity {
	text := string(json)
	packed := p.terms[:0]
	last := 0 // the end of the last part of the text
	for i, t := range terms {
		at, code := -1, codeText+2*len(t.Original)
		if t.Null {
			code = codeNull
		} else if t.Original == "true" {
			code = codeTrue
		} else if at = place(text, t.Original, last); at < 0 {
			code++
		}
		packed = binary.AppendUvarint(packed, uint64(code))
		packed = binary.AppendUvarint(packed, uint64(keys[i]))
		switch {
		case at >= 0:
			packed = binary.AppendVarint(packed, int64(at-last))
			last = at + len(t.Original)
		case code >= codeText:
			packed = append(packed, t.Original...)
		}
	}
	p.terms = packed
	p.block = slices.Grow(p.block[:0], s2.MaxEncodedLen(len(json)))
	return Entity{
		dictionary: p.dictionary,
		packed:     slices.Concat(packed, p.dictionary.words.Encode(p.block, json)),
		terms:      uint32(len(packed)),
		size:       uint32(len(json)),
	}
}

// place is where a part of the text is, or -1. Most parts are sought in the order in which they stand there.
func place(text, part string, from int) int {
	if at := strings.Index(text[from:], part); at >= 0 {
		return from + at
	}
	return strings.Index(text[:min(from+len(part), len(text))], part)
}

// dictionary is what entities look like.
type dictionary struct {
	words    *s2.Dict
	unpacked *unpacked
}

// newDictionary makes a dictionary of samples.
func newDictionary(samples iter.Seq[[]byte]) *s2.Dict {
	// The beginning and the end of a long sample: in between, it is most likely unlike others.
	const most = 1 << 10
	data := []byte(`{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{`)
	for sample := range samples {
		if len(sample) > 2*most {
			data = append(data, sample[:most]...)
			sample = sample[len(sample)-most:]
		}
		data = append(data, sample...)
		if len(data) >= s2.MaxDictSize {
			break
		}
	}
	return s2.MakeDict(data[:min(len(data), s2.MaxDictSize)], nil)
}
