package query

import (
	"strings"
	"unicode/utf8"
)

// Needle is what a text filter looks for in values. As in SQL's LIKE, which Backstage hands it to, % stands for any text and _ for any
// character.
type Needle struct{ segments []string }

// NewNeedle makes a needle of a term, whose case and outer white space do not count. It is empty, and found everywhere, if the term is.
func NewNeedle(term string) Needle {
	var n Needle
	for segment := range strings.SplitSeq(strings.ToLower(strings.TrimSpace(term)), "%") {
		if segment != "" {
			n.segments = append(n.segments, segment)
		}
	}
	return n
}

// Literal is the longest text that every value has in which the needle is found.
func (n Needle) Literal() string {
	longest := ""
	for _, segment := range n.segments {
		for piece := range strings.SplitSeq(segment, "_") {
			if len(piece) > len(longest) {
				longest = piece
			}
		}
	}
	return longest
}

// In tells whether the needle is found in a value, which must be in lower case.
func (n Needle) In(value string) bool {
	for _, segment := range n.segments {
		if !strings.Contains(segment, "_") {
			_, after, found := strings.Cut(value, segment)
			if !found {
				return false
			}
			value = after
			continue
		}
		length := -1
		for value != "" && length < 0 {
			if length = prefix(value, segment); length < 0 {
				_, size := utf8.DecodeRuneInString(value)
				value = value[size:]
			}
		}
		if length < 0 {
			return false
		}
		value = value[length:]
	}
	return true
}

// prefix is the length of what the segment matches at the beginning of the value, or -1.
func prefix(value, segment string) int {
	rest := value
	for _, want := range segment {
		got, size := utf8.DecodeRuneInString(rest)
		if size == 0 || want != '_' && got != want {
			return -1
		}
		rest = rest[size:]
	}
	return len(value) - len(rest)
}
