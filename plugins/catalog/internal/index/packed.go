package index

import (
	"math"
	"strings"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// packed are the terms of an entity in a form that takes little memory.
type packed struct {
	text    string // the values, one behind the other, each followed by its original spelling if that differs
	entries []entry
}

// entry is a term of which the text is elsewhere.
type entry struct {
	key      uint32
	start    uint32 // of the value in the text
	length   uint16 // of the value
	original uint16 // length of the original spelling, or one of the marks
}

// Marks in the place of the length of an original spelling.
const (
	sameSpelling = math.MaxUint16
	noValue      = math.MaxUint16 - 1
)

// term is a value of a field.
type term struct {
	value, original string
	null            bool
}

func pack(terms []query.Term, number func(key string) uint32) packed {
	var text strings.Builder
	p := packed{entries: make([]entry, len(terms))}
	for i, t := range terms {
		e := entry{key: number(t.Key), start: uint32(text.Len()), length: uint16(len(t.Value)), original: sameSpelling}
		text.WriteString(t.Value)
		switch {
		case t.Null:
			e.original = noValue
		case t.Original != t.Value:
			e.original = uint16(len(t.Original))
			text.WriteString(t.Original)
		}
		p.entries[i] = e
	}
	p.text = text.String()
	return p
}

// term is the term that an entry stands for.
func (p *packed) term(i int) term {
	e := p.entries[i]
	end := e.start + uint32(e.length)
	t := term{value: p.text[e.start:end]}
	switch e.original {
	case noValue:
		t.null = true
	case sameSpelling:
		t.original = t.value
	default:
		t.original = p.text[end : end+uint32(e.original)]
	}
	return t
}

// least is the least value that the entity has for the key.
func (p *packed) least(key uint32) (value string, ok bool) {
	for i, e := range p.entries {
		if e.key == key && e.original != noValue {
			if v := p.term(i).value; !ok || v < value {
				value, ok = v, true
			}
		}
	}
	return value, ok
}
