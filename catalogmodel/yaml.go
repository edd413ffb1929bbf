package catalogmodel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Bounds of one YAML document. A stream may hold any number of documents, and only one is in memory at a time.
const (
	maxDocumentBytes = 10 << 20
	// The parser takes up to 200 bytes for each node, so this bounds its memory.
	maxDocumentNodes = 1_000_000
	// What aliases add to a document when they are written out, in nodes and in bytes.
	maxAliasNodes = 100_000
	maxAliasBytes = maxDocumentBytes
)

// SyntaxError reports text that is not well-formed, or not within the bounds of this package.
type SyntaxError struct {
	File string // "" if not known
	Position
	Message string
}

func (e *SyntaxError) Error() string {
	return place(e.File, e.Position) + e.Message
}

// place writes a file and position as a prefix for messages, leaving out what is not known.
func place(file string, p Position) string {
	switch {
	case p.Line == 0 && file == "":
		return ""
	case p.Line == 0:
		return file + ": "
	case file == "":
		return fmt.Sprintf("%d:%d: ", p.Line, p.Column)
	}
	return fmt.Sprintf("%s:%d:%d: ", file, p.Line, p.Column)
}

// ReadYAML yields the entities of a stream of YAML documents, one by one as it reads them, each with the positions of its
// values. File names the stream in error messages.
//
// Documents are YAML 1.2 with the core schema, read as Backstage reads them: no merge keys, no timestamps, keys become strings,
// repeated keys are errors, empty documents are skipped. (.inf and .nan, which JSON lacks, become null.) A document that is
// malformed or holds no object yields a [*SyntaxError], and reading goes on with the next document. An error of r ends it.
//
// One document may have 10 MiB, about a million nodes, and 512 levels; aliases may add 100,000 nodes to it.
func ReadYAML(r io.Reader, file string) iter.Seq2[Entity, error] {
	return func(yield func(Entity, error) bool) {
		for v, err := range readDocuments(r, file) {
			e := Entity{root: v, file: file}
			switch {
			case err != nil:
				e = Entity{}
			case v.Type() == Null:
				continue
			case v.Type() != Object:
				e = Entity{}
				err = &SyntaxError{File: file, Position: v.Position(),
					Message: "a document must hold an object, not " + article(v.Type().String())}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// ParseYAML reads the value of the one YAML document in data, which may be of any type, by the rules and within the bounds of
// [ReadYAML]. File names data in error messages. Errors are of type [*SyntaxError].
func ParseYAML(data []byte, file string) (Value, error) {
	var found []Value
	for v, err := range readDocuments(bytes.NewReader(data), file) {
		if err != nil {
			return Value{}, err
		}
		found = append(found, v)
	}
	if len(found) != 1 {
		return Value{}, &SyntaxError{File: file, Message: fmt.Sprintf("there must be one document, not %d", len(found))}
	}
	return found[0], nil
}

// readDocuments yields the value of each document, or a *SyntaxError in its place. An error of r ends it.
func readDocuments(r io.Reader, file string) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		documents := newDocumentReader(r)
		for {
			text, line, err := documents.next()
			if err == io.EOF {
				return
			}
			var values []Value
			if err == nil {
				values, err = parseDocuments(text, line)
			}
			for _, v := range values {
				if !yield(v, nil) {
					return
				}
			}
			if err == nil {
				continue
			}
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				yield(Value{}, fmt.Errorf("catalogmodel: reading %s: %w", file, err))
				return
			}
			syntax.File = file
			if !yield(Value{}, err) {
				return
			}
		}
	}
}

// parseDocuments returns the values in text, which begins in the given line; normally there is one. After an error of the
// parser there is none: what it read before may be half of what its author meant.
func parseDocuments(text []byte, line int) ([]Value, error) {
	nodes, err := parseNodes(text)
	if err != nil {
		return nil, yamlError(err, text, line)
	}
	var values []Value
	for _, node := range nodes {
		c := yamlConverter{line: line - 1}
		if err := c.convert(node, 0); err != nil {
			return values, err
		}
		values = append(values, Value{string(c.out)})
	}
	return values, nil
}

func parseNodes(text []byte) ([]*yaml.Node, error) {
	nodes, err := decodeNodes(text)
	if err != nil && strings.Contains(err.Error(), "Unicode character escape") {
		return decodeNodes(joinSurrogates(text))
	}
	return nodes, err
}

func decodeNodes(text []byte) ([]*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var nodes []*yaml.Node
	for {
		node := new(yaml.Node)
		err := decoder.Decode(node)
		if err == io.EOF {
			return nodes, nil
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
}

// surrogatePair matches an escape of two parts, or an escaped backslash, so that no match begins with the latter's half.
var surrogatePair = regexp.MustCompile(`\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})`)

// joinSurrogates replaces escapes that stand for a character in two parts, as JSON has them, by the character: the
// parser, unlike Backstage's, takes them for two characters that are not allowed.
func joinSurrogates(text []byte) []byte {
	return surrogatePair.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := surrogatePair.FindSubmatch(match)
		if parts[1] == nil {
			return match
		}
		high, _ := strconv.ParseUint(string(parts[1]), 16, 16)
		low, _ := strconv.ParseUint(string(parts[2]), 16, 16)
		return utf8.AppendRune(nil, utf16.DecodeRune(rune(high), rune(low)))
	})
}

// yamlError turns an error of the parser into a SyntaxError with the position in the stream, in which the text begins in the given line. What ends
// too early ends where the text does, not behind the lines that are left empty after it.
func yamlError(err error, text []byte, first int) error {
	malformed := &SyntaxError{Position: Position{Line: first, Column: 1}, Message: "malformed YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return malformed
	}
	malformed.Message = "malformed YAML: " + load.Message
	if load.Mark.Line == 0 { // text that is not UTF-8
		return malformed
	}
	malformed.Position = Position{Line: first + load.Mark.Line - 1, Column: load.Mark.Column}
	lines := bytes.Split(bytes.TrimRight(text, " \r\n"), []byte("\n"))
	if last := len(lines); load.Mark.Line > last {
		malformed.Position = Position{Line: first + last - 1, Column: utf8.RuneCount(lines[last-1]) + 1}
	}
	if context := load.ContextMark; load.ContextMsg != "" && context.Line < load.Mark.Line {
		malformed.Message += fmt.Sprintf(" (%s that begins at %d:%d)", load.ContextMsg, first+context.Line-1, context.Column)
	}
	return malformed
}

// yamlConverter turns the YAML nodes of one document into a value.
type yamlConverter struct {
	line int // lines before the document
	out  []byte

	anchors    map[*yaml.Node]anchored
	open       map[*yaml.Node]bool // anchored nodes around the current one
	aliasNodes int
	aliasBytes int
	nodes      int // converted so far, with aliases written out
	bytes      int
}

// anchored is a value that aliases repeat, and its size when written out.
type anchored struct {
	value        []byte
	nodes, bytes int
}

func (c *yamlConverter) fail(n *yaml.Node, format string, args ...any) error {
	return &SyntaxError{Position: c.position(n), Message: fmt.Sprintf(format, args...)}
}

func (c *yamlConverter) position(n *yaml.Node) Position {
	return Position{Line: n.Line + c.line, Column: n.Column}
}

func (c *yamlConverter) convert(n *yaml.Node, depth int) error {
	if depth > maxDepth {
		return c.fail(n, "nested more than %d levels deep", maxDepth)
	}
	if n.Anchor == "" {
		return c.convertPlain(n, depth)
	}
	if c.open == nil {
		c.open, c.anchors = map[*yaml.Node]bool{}, map[*yaml.Node]anchored{}
	}
	start, nodes, bytes := len(c.out), c.nodes, c.bytes
	c.open[n] = true
	err := c.convertPlain(n, depth)
	delete(c.open, n)
	value := c.out[start:] // which stays as it is
	if n.Kind == yaml.ScalarNode {
		value = slices.Clone(value) // unless it is a key
	}
	c.anchors[n] = anchored{value, c.nodes - nodes, c.bytes - bytes}
	return err
}

func (c *yamlConverter) convertPlain(n *yaml.Node, depth int) error {
	c.nodes++
	switch n.Kind {
	case yaml.DocumentNode:
		return c.convert(n.Content[0], depth)
	case yaml.AliasNode:
		return c.alias(n)
	case yaml.ScalarNode:
		c.bytes += len(n.Value)
		tag, text, err := scalar(n)
		if err != nil {
			return c.fail(n, "%v", err)
		}
		c.out = appendScalar(c.out, tag, c.position(n), strings.ToValidUTF8(text, "\uFFFD"))
		return nil
	case yaml.SequenceNode:
		return c.sequence(n, depth)
	case yaml.MappingNode:
		return c.mapping(n, depth)
	}
	return c.fail(n, "unexpected node")
}

func (c *yamlConverter) alias(n *yaml.Node) error {
	if c.open[n.Alias] {
		return c.fail(n, "alias *%s stands inside of what it refers to", n.Value)
	}
	a := c.anchors[n.Alias]
	c.nodes += a.nodes
	c.bytes += a.bytes
	c.aliasNodes += a.nodes
	c.aliasBytes += a.bytes
	if c.aliasNodes > maxAliasNodes || c.aliasBytes > maxAliasBytes {
		return c.fail(n, "aliases make the document too large: they may add %d nodes and %d bytes", maxAliasNodes, maxAliasBytes)
	}
	c.out = append(c.out, a.value...)
	return nil
}

func (c *yamlConverter) sequence(n *yaml.Node, depth int) error {
	if err := collectionTag(n, "!!seq"); err != nil {
		return c.fail(n, "%v", err)
	}
	var begin int
	c.out, begin = beginMembers(c.out, Array, c.position(n))
	for _, child := range n.Content {
		if err := c.convert(child, depth+1); err != nil {
			return err
		}
	}
	c.out = endMembers(c.out, begin)
	return nil
}

func (c *yamlConverter) mapping(n *yaml.Node, depth int) error {
	if err := collectionTag(n, "!!map"); err != nil {
		return c.fail(n, "%v", err)
	}
	var begin int
	c.out, begin = beginMembers(c.out, Object, c.position(n))
	keys := make([][]byte, 0, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key, err := c.key(n.Content[i], depth)
		if err != nil {
			return err
		}
		c.out = appendText(c.out, key)
		keys = append(keys, c.out[len(c.out)-len(key):])
		c.out = appendPosition(c.out, c.position(n.Content[i]))
		if err := c.convert(n.Content[i+1], depth+1); err != nil {
			return err
		}
	}
	if i := firstDuplicate(keys); i >= 0 {
		return c.fail(n.Content[2*i], "the key %q is there already", keys[i])
	}
	c.out = endMembers(c.out, begin)
	return nil
}

// key converts a key to the string that it becomes in JSON.
func (c *yamlConverter) key(n *yaml.Node, depth int) (string, error) {
	start := len(c.out)
	err := c.convert(n, depth+1)
	v := Value{string(c.out[start:])}
	c.out = c.out[:start]
	if err != nil {
		return "", err
	}
	switch v.Type() {
	case Array, Object:
		return "", c.fail(n, "a key must be a scalar, not %s", v.Type())
	case Null:
		return "", nil
	case Number:
		return numberKey(v.content()), nil
	}
	return v.String(), nil
}

// numberKey writes a number as JavaScript does, to which all numbers are float64 (ECMAScript, Number::toString).
func numberKey(literal string) string {
	f, err := strconv.ParseFloat(literal, 64)
	switch {
	case err != nil:
		return literal
	case f == 0:
		return "0"
	case math.Abs(f) >= 1e-6 && math.Abs(f) < 1e21:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	return strings.NewReplacer("e+0", "e+", "e-0", "e-").Replace(text)
}

func collectionTag(n *yaml.Node, own string) error {
	if n.Style&yaml.TaggedStyle == 0 || n.Tag == own || !strings.HasPrefix(n.Tag, "!!") {
		return nil
	}
	return fmt.Errorf("the tag %s has no place here", n.Tag)
}
