package catalogmodel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deeply objects and arrays may be nested, in JSON and in YAML.
const maxDepth = 512

// maxJSON keeps the encoding of what is read within its bounds, whatever it is.
const maxJSON = 1 << 30

// ParseValue reads one JSON text, of up to 1 GiB. Of fields that repeat a key, the last counts, as in JavaScript. Nesting is limited to 512
// levels. The value takes about as much memory as data, and up to three times as much if data consists of nothing but the smallest values.
func ParseValue(data []byte) (Value, error) {
	text, err := appendParsed(make([]byte, 0, len(data)), data)
	if err != nil {
		return Value{}, err
	}
	return Value{string(text)}, nil
}

// appendParsed appends the value that ParseValue returns.
func appendParsed(dst, data []byte) ([]byte, error) {
	if len(data) > maxJSON {
		return nil, &SyntaxError{Message: fmt.Sprintf("the text is longer than %d bytes", maxJSON)}
	}
	if !utf8.Valid(data) {
		data = []byte(string([]rune(string(data)))) // U+FFFD for each byte that is no part of a character
	}
	p := jsonParser{text: data, out: dst}
	if err := p.document(); err != nil {
		line, column := lineAndColumn(data, p.at)
		return nil, &SyntaxError{Position: Position{line, column}, Message: err.Error()}
	}
	return p.out, nil
}

func lineAndColumn(text []byte, at int) (line, column int) {
	before := text[:min(at, len(text))]
	return bytes.Count(before, []byte("\n")) + 1, at - bytes.LastIndexByte(before, '\n')
}

// jsonParser encodes values as it reads them. encoding/json would copy each string, and box it: reading entities is the catalog's hottest path,
// and this is several times as fast.
type jsonParser struct {
	text  []byte
	at    int
	out   []byte
	depth int
	keys  [][]byte // of the objects that are still open
}

func (p *jsonParser) document() error {
	if err := p.value(); err != nil {
		return err
	}
	if c, ok := p.next(); ok {
		return fmt.Errorf("unexpected %q after the value", c)
	}
	return nil
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

func (p *jsonParser) value() error {
	c, ok := p.next()
	switch {
	case !ok:
		return errEnd
	case c == '"':
		s, err := p.string()
		p.out = appendText(append(p.out, byte(String)), s)
		return err
	case c == '{':
		return p.members(Object, '}')
	case c == '[':
		return p.members(Array, ']')
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case p.skip("true"):
		p.out = append(p.out, boolTag(true))
	case p.skip("false"):
		p.out = append(p.out, boolTag(false))
	case p.skip("null"):
		p.out = append(p.out, byte(Null))
	default:
		return p.unexpected("a value")
	}
	return nil
}

// skip consumes a word, if it comes next.
func (p *jsonParser) skip(word string) bool {
	found := len(p.text)-p.at >= len(word) && string(p.text[p.at:p.at+len(word)]) == word
	if found {
		p.at += len(word)
	}
	return found
}

var errEnd = fmt.Errorf("the text ends before the value does")

func (p *jsonParser) unexpected(want string) error {
	if p.at >= len(p.text) {
		return errEnd
	}
	r, _ := utf8.DecodeRune(p.text[p.at:])
	return fmt.Errorf("unexpected %q where %s should be", r, want)
}

func (p *jsonParser) members(t Type, end byte) error {
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("nested more than %d levels deep", maxDepth)
	}
	p.at++
	start, keys := len(p.out), len(p.keys)
	var begin int
	p.out, begin = beginMembers(p.out, t, Position{})
	for more := !p.ends(end); more; {
		if t == Object {
			if err := p.key(); err != nil {
				return err
			}
		}
		if err := p.value(); err != nil {
			return err
		}
		if more = !p.ends(end); more && !p.ends(',') {
			return p.unexpected("a comma or " + string(rune(end)))
		}
	}
	p.depth--
	p.out = endMembers(p.out, begin)
	if firstDuplicate(p.keys[keys:]) >= 0 {
		v := Value{string(p.out[start:])}
		p.out = appendMembers(p.out[:start], v, lastOfEach(v.list()))
	}
	p.keys = p.keys[:keys]
	return nil
}

// ends consumes c, if it comes next.
func (p *jsonParser) ends(c byte) bool {
	next, ok := p.next()
	if ok = ok && next == c; ok {
		p.at++
	}
	return ok
}

func (p *jsonParser) key() error {
	if c, _ := p.next(); c != '"' {
		return p.unexpected("a key")
	}
	key, err := p.string()
	if err != nil {
		return err
	}
	if !p.ends(':') {
		return p.unexpected("a colon")
	}
	p.keys = append(p.keys, key)
	p.out = appendText(p.out, key)
	return nil
}

// string reads a string; what it returns is a part of the text, or was made of one.
func (p *jsonParser) string() ([]byte, error) {
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
			if err := json.Unmarshal(p.text[start:p.at], &s); err != nil {
				p.at = start
				return nil, fmt.Errorf("malformed string: %w", err)
			}
			return []byte(s), nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			p.at = i
			return nil, fmt.Errorf("control character %q in a string", c)
		}
	}
	p.at = len(p.text)
	return nil, errEnd
}

func (p *jsonParser) number() error {
	end := p.at
	for end < len(p.text) && strings.IndexByte("0123456789+-.eE", p.text[end]) >= 0 {
		end++
	}
	literal := string(p.text[p.at:end])
	if !isJSONNumber(literal) {
		return fmt.Errorf("malformed number %q", literal)
	}
	p.at = end
	p.out = appendText(append(p.out, byte(Number)), literal)
	return nil
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
		return strconv.AppendBool(dst, v.Bool())
	case Number:
		return append(dst, v.content()...)
	case String:
		return appendString(dst, v.content())
	case Array:
		dst = append(dst, '[')
		for m := v.members(); m.next(); {
			dst = append(m.value.AppendJSON(dst), ',')
		}
		return end(dst, ']')
	case Object:
		dst = append(dst, '{')
		for m := v.members(); m.next(); {
			dst = append(appendString(dst, m.key), ':')
			dst = append(m.value.AppendJSON(dst), ',')
		}
		return end(dst, '}')
	}
	return append(dst, "null"...)
}

// end replaces the comma after the last member, if there is one, by c.
func end(dst []byte, c byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, c)
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
