package catalogmodel

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deeply objects and arrays may be nested, in JSON and in YAML.
const maxDepth = 512

// ParseValue reads one JSON text. Of fields that repeat a key, the last counts, as in JavaScript. Nesting is limited to 512
// levels. The value holds on to one copy of data, and takes up to thirty times its size if data consists of nothing but
// the smallest values: bound what comes from outside.
func ParseValue(data []byte) (Value, error) {
	text := string(data)
	if !utf8.ValidString(text) {
		text = string([]rune(text)) // U+FFFD for each byte that is no part of a character
	}
	p := jsonParser{text: text}
	v, err := p.document()
	if err != nil {
		line, column := lineAndColumn(text, p.at)
		return Value{}, &SyntaxError{Position: Position{line, column}, Message: err.Error()}
	}
	return v, nil
}

func lineAndColumn(text string, at int) (line, column int) {
	before := text[:min(at, len(text))]
	return strings.Count(before, "\n") + 1, at - strings.LastIndexByte(before, '\n')
}

// jsonParser builds values whose strings are parts of text. encoding/json would copy each of them, and box it: reading
// entities is the catalog's hottest path, and this is several times as fast.
type jsonParser struct {
	text  string
	at    int
	depth int
	stack []member // members of the containers that are still open
}

func (p *jsonParser) document() (Value, error) {
	p.stack = make([]member, 0, 32)
	v, err := p.value()
	if err != nil {
		return Value{}, err
	}
	if c, ok := p.next(); ok {
		return Value{}, fmt.Errorf("unexpected %q after the value", c)
	}
	return v, nil
}

// next skips white space and returns the byte that follows it, without consuming it.
func (p *jsonParser) next() (byte, bool) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return c, true
		}
	}
	return 0, false
}

func (p *jsonParser) value() (Value, error) {
	c, ok := p.next()
	switch {
	case !ok:
		return Value{}, errEnd
	case c == '"':
		s, err := p.string()
		return stringValue(s), err
	case c == '{':
		return p.container(Object, '}')
	case c == '[':
		return p.container(Array, ']')
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case strings.HasPrefix(p.text[p.at:], "true"):
		p.at += 4
		return boolValue(true), nil
	case strings.HasPrefix(p.text[p.at:], "false"):
		p.at += 5
		return boolValue(false), nil
	case strings.HasPrefix(p.text[p.at:], "null"):
		p.at += 4
		return Value{head: head(Null)}, nil
	}
	return Value{}, p.unexpected("a value")
}

var errEnd = fmt.Errorf("the text ends before the value does")

func (p *jsonParser) unexpected(want string) error {
	if p.at >= len(p.text) {
		return errEnd
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return fmt.Errorf("unexpected %q where %s should be", r, want)
}

func (p *jsonParser) container(t Type, end byte) (Value, error) {
	if p.depth++; p.depth > maxDepth {
		return Value{}, fmt.Errorf("nested more than %d levels deep", maxDepth)
	}
	p.at++
	base := len(p.stack)
	if c, ok := p.next(); ok && c == end {
		p.at++
		p.depth--
		return container(t, nil), nil
	}
	for {
		var m member
		if t == Object {
			if c, _ := p.next(); c != '"' {
				return Value{}, p.unexpected("a key")
			}
			var err error
			if m.key, err = p.string(); err != nil {
				return Value{}, err
			}
			if c, _ := p.next(); c != ':' {
				return Value{}, p.unexpected("a colon")
			}
			p.at++
		}
		var err error
		if m.value, err = p.value(); err != nil {
			return Value{}, err
		}
		p.stack = append(p.stack, m)
		switch c, _ := p.next(); c {
		case ',':
			p.at++
		case end:
			p.at++
			p.depth--
			members := slices.Clone(p.stack[base:])
			clear(p.stack[base:])
			p.stack = p.stack[:base]
			if t == Object {
				members = lastOfEach(members)
			}
			return container(t, members), nil
		default:
			return Value{}, p.unexpected("a comma or " + string(rune(end)))
		}
	}
}

// lastOfEach merges members with the same key: the first one's place, the last one's value.
func lastOfEach(members []member) []member {
	if firstDuplicate(members) < 0 {
		return members
	}
	places := make(map[string]int, len(members))
	out := members[:0]
	for _, m := range members {
		if i, ok := places[m.key]; ok {
			out[i].value = m.value
			continue
		}
		places[m.key] = len(out)
		out = append(out, m)
	}
	return out
}

// firstDuplicate returns the index of the first member whose key an earlier one has, or -1.
func firstDuplicate(members []member) int {
	if len(members) <= 16 {
		for i := range members {
			for j := range i {
				if members[i].key == members[j].key {
					return i
				}
			}
		}
		return -1
	}
	seen := make(map[string]struct{}, len(members))
	for i, m := range members {
		if _, ok := seen[m.key]; ok {
			return i
		}
		seen[m.key] = struct{}{}
	}
	return -1
}

func (p *jsonParser) string() (string, error) {
	start := p.at
	escaped := false
	for i := start + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			p.at = i + 1
			if !escaped {
				return p.text[start+1 : i], nil
			}
			var s string
			if err := json.Unmarshal([]byte(p.text[start:p.at]), &s); err != nil {
				p.at = start
				return "", fmt.Errorf("malformed string: %w", err)
			}
			return s, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			p.at = i
			return "", fmt.Errorf("control character %q in a string", c)
		}
	}
	p.at = len(p.text)
	return "", errEnd
}

func (p *jsonParser) number() (Value, error) {
	end := p.at
	for end < len(p.text) && strings.IndexByte("0123456789+-.eE", p.text[end]) >= 0 {
		end++
	}
	literal := p.text[p.at:end]
	if !isJSONNumber(literal) {
		return Value{}, fmt.Errorf("malformed number %q", literal)
	}
	p.at = end
	return Value{head: head(Number), text: literal}, nil
}

// isJSONNumber reports whether s has the form of a number in RFC 8259, section 6.
func isJSONNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, rest := cutDigits(s)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if after, ok := strings.CutPrefix(rest, "."); ok {
		var fraction string
		if fraction, rest = cutDigits(after); fraction == "" {
			return false
		}
	}
	if rest == "" {
		return true
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return false
	}
	rest = rest[1:]
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		rest = rest[1:]
	}
	exponent, rest := cutDigits(rest)
	return exponent != "" && rest == ""
}

func cutDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

// AppendJSON appends the JSON text of v to dst, without any white space, and escaping only what RFC 8259 asks for, as
// JavaScript does. Absent becomes null.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.Type() {
	case Boolean:
		if v.Bool() {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case Number:
		return append(dst, v.text...)
	case String:
		return appendString(dst, v.text)
	case Array:
		dst = append(dst, '[')
		for i, m := range v.members() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = m.value.AppendJSON(dst)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i, m := range v.members() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, m.key)
			dst = append(dst, ':')
			dst = m.value.AppendJSON(dst)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// MarshalJSON implements [json.Marshaler].
func (v Value) MarshalJSON() ([]byte, error) {
	return v.AppendJSON(make([]byte, 0, 64)), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (v *Value) UnmarshalJSON(data []byte) error {
	parsed, err := ParseValue(data)
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
