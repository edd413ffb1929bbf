package openapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	// maxFiles, maxBytes and maxValues bound what is bundled.
	maxFiles  = 500
	maxBytes  = 32 << 20
	maxValues = 1_000_000
	// maxDepth is how deep values may be nested.
	maxDepth = 500
)

// files is how the bundler gets at other files.
type files struct {
	// resolve makes the path or URL of a file, as it stands in another one, absolute.
	resolve func(target, base string) (string, error)
	read    func(ctx context.Context, name string) ([]byte, error)
}

// library has the files that were read.
type library struct {
	files
	documents map[string]*document
	bytes     int
	values    int
	// parents are the arrays and objects that values are in.
	parents map[*yaml.Node]*yaml.Node
	// owners are the documents of roots, and of values that were moved to another document.
	owners map[*yaml.Node]*document
}

// document is a file.
type document struct {
	name string
	root *yaml.Node
}

// document reads a file, unless it has been read already.
func (l *library) document(ctx context.Context, name string) (*document, error) {
	if d := l.documents[name]; d != nil {
		return d, nil
	}
	if len(l.documents) >= maxFiles {
		return nil, fmt.Errorf("there are more than %d files", maxFiles)
	}
	content, err := l.read(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return l.add(name, content)
}

func (l *library) add(name string, content []byte) (*document, error) {
	if l.bytes += len(content); l.bytes > maxBytes {
		return nil, fmt.Errorf("%s: the files are larger than %d MiB", name, maxBytes>>20)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var stream yaml.Node
	if err := decoder.Decode(&stream); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty", name)
	} else if err != nil {
		return nil, fmt.Errorf("%s: malformed YAML: %w", name, err)
	}
	root, err := l.plain(stream.Content[0], nil, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := &document{name, root}
	l.documents[name], l.owners[root] = d, d
	return d, nil
}

// plain is a copy without aliases, which mean nothing in other files, that doesn't look like JSON.
func (l *library) plain(n, parent *yaml.Node, depth int) (*yaml.Node, error) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if l.values++; l.values > maxValues {
		return nil, fmt.Errorf("there are more than %d values", maxValues)
	}
	if depth > maxDepth { // an alias within what it stands for, too
		return nil, fmt.Errorf("line %d: values are nested more than %d times", n.Line, maxDepth)
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style &^ yaml.FlowStyle, Tag: n.Tag, Value: n.Value, Line: n.Line}
	if len(n.Content) == 0 {
		c.Style = n.Style // {} and []
	}
	l.parents[c] = parent
	for i, child := range n.Content {
		plain, err := l.plain(child, c, depth+1)
		if err != nil {
			return nil, err
		}
		if n.Kind == yaml.MappingNode && i%2 == 0 && plain.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key must be text, not an object or a list", child.Line)
		}
		c.Content = append(c.Content, plain)
	}
	return c, nil
}

// owner is the document that a value came in.
func (l *library) owner(n *yaml.Node) *document {
	for l.owners[n] == nil {
		n = l.parents[n]
	}
	return l.owners[n]
}

// reference is what stands after $ref, or "" if the value is no reference. It is extended if there is more beside.
func reference(n *yaml.Node) (target string, extended bool) {
	if n.Kind != yaml.MappingNode {
		return "", false
	}
	if value := field(n, "$ref"); value != nil && value.Kind == yaml.ScalarNode && value.ShortTag() == "!!str" {
		return value.Value, len(n.Content) > 2
	}
	return "", false
}

// field is a field of an object, or nil.
func field(n *yaml.Node, name string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// find is the value that a reference in a document leads to. References on the way, and at its end, are followed.
func (l *library) find(ctx context.Context, d *document, ref string) (*yaml.Node, error) {
	seen := map[*yaml.Node]bool{}
	var follow func(d *document, ref string) (*yaml.Node, error)
	through := func(n *yaml.Node) (*yaml.Node, error) {
		ref, extended := reference(n)
		if ref == "" || extended {
			return n, nil
		}
		if seen[n] {
			return nil, fmt.Errorf("%s:%d: the $ref %q leads to itself", l.owner(n).name, n.Line, ref)
		}
		seen[n] = true
		return follow(l.owner(n), ref)
	}
	follow = func(d *document, ref string) (*yaml.Node, error) {
		file, fragment, _ := strings.Cut(ref, "#")
		if file != "" {
			name, err := l.resolve(file, d.name)
			if err != nil {
				return nil, fmt.Errorf("%s: the $ref %q: %w", d.name, ref, err)
			}
			if d, err = l.document(ctx, name); err != nil {
				return nil, err
			}
		}
		steps, err := pointer(fragment)
		if err != nil {
			return nil, fmt.Errorf("%s: the $ref %q: %w", d.name, ref, err)
		}
		n := d.root
		for _, step := range steps {
			if n, err = through(n); err != nil {
				return nil, err
			}
			next := element(n, step)
			if next == nil {
				return nil, fmt.Errorf("the $ref %q leads nowhere: %s has no %q there", ref, d.name, step)
			}
			n = next
		}
		return through(n)
	}
	return follow(d, ref)
}

// element is what a step of a pointer leads to, or nil.
func element(n *yaml.Node, step string) *yaml.Node {
	if n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
		return nil
	}
	return field(n, step)
}

var (
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
	escape   = strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", `"`, "%22", " ", "%20", "{", "%7B", "}", "%7D", "^", "%5E")
)

// pointer reads a JSON pointer in the form that it has in URLs.
func pointer(fragment string) ([]string, error) {
	if fragment == "" || fragment == "/" {
		return nil, nil
	}
	path, ok := strings.CutPrefix(fragment, "/")
	if !ok {
		return nil, fmt.Errorf("%q is not a JSON pointer, like /components/schemas/Pet", fragment)
	}
	steps := strings.Split(path, "/")
	for i, step := range steps {
		decoded, err := url.PathUnescape(step)
		if err != nil {
			return nil, err
		}
		steps[i] = unescape.Replace(decoded)
	}
	return steps, nil
}
