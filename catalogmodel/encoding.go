package catalogmodel

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// A value is encoded as one string, so that an entity takes about as much memory as its JSON does, in one piece, which the garbage collector
// need not look into. It consists of
//
//   - a tag: the type, and two flags;
//   - if it is placed, its line and its column, as varints;
//   - if it is a string or a number, the length of its text as a varint, and the text;
//   - if it is an array or an object, the length of its members in lengthSize bytes, and the members.
//
// A member of an array is a value. A member of an object is a key, in the form of a text; then, if the object is placed, the line and the column
// of the key; and a value.
const (
	typeMask   = 0x07
	trueFlag   = 0x08 // of booleans
	placedFlag = 0x10
)

// lengthSize is that of the lengths of arrays and objects, which are filled in when all members are there. That they don't move then lets
// what was written be found again, and bounds the time that deep nesting takes.
const lengthSize = 4

// emptyObject is the encoding of {}.
const emptyObject = "\x06\x00\x00\x00\x00"

// varint reads the number at a place in s, and returns the place after it.
func varint(s string, at int) (n, next int) {
	if c := s[at]; c < 0x80 {
		return int(c), at + 1
	}
	return longVarint(s, at)
}

func longVarint(s string, at int) (n, next int) {
	for shift := 0; ; shift += 7 {
		c := s[at]
		at++
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			return n, at
		}
	}
}

func positionAt(s string, at int) (p Position, next int) {
	p.Line, at = varint(s, at)
	p.Column, at = varint(s, at)
	return p, at
}

// content returns where the text or the members begin of the value at a place in s, and where they end, as does the value.
func content(s string, at int) (begin, end int) {
	tag := s[at]
	at++
	if tag&placedFlag != 0 {
		_, at = positionAt(s, at)
	}
	switch Type(tag & typeMask) {
	case Number, String:
		n, at := varint(s, at)
		return at, at + n
	case Array, Object:
		n := int(uint32(s[at]) | uint32(s[at+1])<<8 | uint32(s[at+2])<<16 | uint32(s[at+3])<<24)
		return at + lengthSize, at + lengthSize + n
	}
	return at, at
}

// content is the text of a string or a number, the members of an array or an object, and "" for any other value.
func (v Value) content() string {
	if v.text == "" {
		return ""
	}
	begin, _ := content(v.text, 0)
	return v.text[begin:]
}

// member is a field of an object, or an element of an array (then without a key).
type member struct {
	key   string
	at    Position // where the key stood
	value Value
}

// members goes through the members of a value:
//
//	for m := v.members(); m.next(); {
type members struct {
	member
	text          string // of the value
	read          int    // the end of the current member
	keyed, placed bool
}

func (v Value) members() members {
	switch v.Type() {
	case Array, Object:
		begin, _ := content(v.text, 0)
		return members{text: v.text, read: begin, keyed: v.Type() == Object, placed: v.text[0]&placedFlag != 0}
	}
	return members{}
}

func (m *members) next() bool {
	at := m.read
	if at == len(m.text) {
		return false
	}
	if m.keyed {
		var n int
		n, at = varint(m.text, at)
		m.key = m.text[at : at+n]
		if at += n; m.placed {
			m.at, at = positionAt(m.text, at)
		}
	}
	_, m.read = content(m.text, at)
	m.value = Value{m.text[at:m.read]}
	return true
}

// seek goes on to the member with a key, or, in an array, with an index, and reports whether there is one.
func (m *members) seek(step string) bool {
	if m.keyed {
		for m.next() {
			if m.key == step {
				return true
			}
		}
		return false
	}
	i, err := strconv.Atoi(step)
	for ; err == nil && i >= 0 && m.next(); i-- {
		if i == 0 {
			return true
		}
	}
	return false
}

// list returns the members of v.
func (v Value) list() []member {
	var all []member
	for m := v.members(); m.next(); {
		all = append(all, m.member)
	}
	return all
}

// appendTag appends the tag of a value and, if it is known, its place.
func appendTag(dst []byte, tag byte, p Position) []byte {
	if p == (Position{}) {
		return append(dst, tag)
	}
	return appendPosition(append(dst, tag|placedFlag), p)
}

func appendPosition(dst []byte, p Position) []byte {
	dst = binary.AppendUvarint(dst, uint64(max(0, p.Line)))
	return binary.AppendUvarint(dst, uint64(max(0, p.Column)))
}

func appendText[T string | []byte](dst []byte, text T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// appendValue appends v, as it is.
func appendValue(dst []byte, v Value) []byte {
	if v.text == "" {
		return append(dst, byte(Absent))
	}
	return append(dst, v.text...)
}

// appendScalar appends a value that has no members, of which text is "" if it is neither a string nor a number.
func appendScalar(dst []byte, tag byte, p Position, text string) []byte {
	dst = appendTag(dst, tag, p)
	if t := Type(tag & typeMask); t == String || t == Number {
		dst = appendText(dst, text)
	}
	return dst
}

// beginMembers appends the beginning of an array or an object; the members follow, and then endMembers with the number it returned.
func beginMembers(dst []byte, t Type, p Position) (_ []byte, begin int) {
	dst = append(appendTag(dst, byte(t), p), make([]byte, lengthSize)...)
	return dst, len(dst)
}

func endMembers(dst []byte, begin int) []byte {
	length := len(dst) - begin
	if uint64(length) > math.MaxUint32 {
		panic("catalogmodel: a value takes more than 4 GiB")
	}
	binary.LittleEndian.PutUint32(dst[begin-lengthSize:], uint32(length))
	return dst
}

// appendKey appends the key of a member of an object, which is placed or not.
func appendKey(dst []byte, key string, placed bool, at Position) []byte {
	dst = appendText(dst, key)
	if placed {
		dst = appendPosition(dst, at)
	}
	return dst
}

// appendMembers appends what is like v, an array or an object, but has these members.
func appendMembers(dst []byte, v Value, all []member) []byte {
	placed := v.text[0]&placedFlag != 0
	dst, begin := beginMembers(dst, v.Type(), v.Position())
	for _, m := range all {
		if v.Type() == Object {
			dst = appendKey(dst, m.key, placed, m.at)
		}
		dst = appendValue(dst, m.value)
	}
	return endMembers(dst, begin)
}

// split returns the encoded members of v, an object, that stand before and after the one with a key, and that: the key with its place, and
// its value. If there is none, all members stand before.
func (v Value) split(key string) (before, name, after string, value Value) {
	m := v.members()
	first := m.read
	for begin := first; m.next(); begin = m.read {
		if m.key == key {
			return v.text[first:begin], v.text[begin : m.read-len(m.value.text)], v.text[m.read:], m.value
		}
	}
	return v.text[first:], "", "", Value{}
}

// appendWith appends v with the value at path replaced or added. It reports false where something on the way exists but is not an object.
func appendWith(dst []byte, v, x Value, path []string) ([]byte, bool) {
	if len(path) == 0 {
		return appendValue(dst, x), true
	}
	if !v.Exists() {
		v = Value{emptyObject}
	}
	if v.Type() != Object {
		return dst, false
	}
	before, name, after, child := v.split(path[0])
	dst, begin := beginMembers(dst, Object, v.Position())
	dst = append(dst, before...)
	if name == "" {
		dst = appendKey(dst, path[0], v.text[0]&placedFlag != 0, Position{})
	}
	dst, ok := appendWith(append(dst, name...), child, x, path[1:])
	return endMembers(append(dst, after...), begin), ok
}

// appendWithout appends v without the field at path.
func appendWithout(dst []byte, v Value, path []string) []byte {
	if len(path) == 0 || v.Type() != Object {
		return appendValue(dst, v)
	}
	before, name, after, child := v.split(path[0])
	dst, begin := beginMembers(dst, Object, v.Position())
	dst = append(dst, before...)
	if name != "" && len(path) > 1 {
		dst = appendWithout(append(dst, name...), child, path[1:])
	}
	return endMembers(append(dst, after...), begin)
}

// lastOfEach merges members with the same key: the first one's place, the last one's value.
func lastOfEach(all []member) []member {
	places := make(map[string]int, len(all))
	out := all[:0]
	for _, m := range all {
		if i, ok := places[m.key]; ok {
			out[i].value = m.value
			continue
		}
		places[m.key] = len(out)
		out = append(out, m)
	}
	return out
}

// firstDuplicate returns the index of the first key that stands there before, or -1.
func firstDuplicate(keys [][]byte) int {
	if len(keys) <= 16 {
		for i, key := range keys {
			for _, earlier := range keys[:i] {
				if bytes.Equal(earlier, key) {
					return i
				}
			}
		}
		return -1
	}
	seen := make(map[string]struct{}, len(keys))
	for i, key := range keys {
		if _, ok := seen[string(key)]; ok {
			return i
		}
		seen[string(key)] = struct{}{}
	}
	return -1
}
