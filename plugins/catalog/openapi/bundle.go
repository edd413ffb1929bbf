package openapi

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// bundle answers the file with all that it refers to in other files, as YAML.
func bundle(ctx context.Context, name string, content []byte, others files) (string, error) {
	l := &library{
		files: others, documents: map[string]*document{}, parents: map[*yaml.Node]*yaml.Node{}, owners: map[*yaml.Node]*document{},
	}
	root, err := l.add(name, content)
	if err != nil {
		return "", err
	}
	if root.root.Kind != yaml.MappingNode {
		return "", fmt.Errorf("%s is not an object", name)
	}
	b := &bundler{library: l, root: root, places: map[*yaml.Node]string{}, targets: map[*yaml.Node]*yaml.Node{}}
	if version := field(root.root, "asyncapi"); version != nil && strings.HasPrefix(version.Value, "3") {
		b.asyncAPI3 = true
	}
	if err := b.bundle(ctx); err != nil {
		return "", err
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(root.root); err != nil {
		return "", fmt.Errorf("writing the bundled file: %w", err)
	}
	return out.String(), encoder.Close()
}

// bundler puts what references lead to in other files into a document. Every value of every file gets one place in it at most.
type bundler struct {
	*library
	root      *document
	asyncAPI3 bool
	// places are the pointers to the values that are in the document.
	places map[*yaml.Node]string
	// targets are what references lead to, whose pointers are written in the end.
	targets map[*yaml.Node]*yaml.Node
	// queue has what is to be looked at, nearest to the root first; later is for what should not be the place of others if there is another.
	queue, later, last []spot
}

// spot is a value of the document and the pointer to it.
type spot struct {
	node  *yaml.Node
	place string
}

func (b *bundler) bundle(ctx context.Context) error {
	b.queue = []spot{{b.root.root, ""}} // the reference to it is "#"
	for len(b.queue)+len(b.later) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, step := &b.queue, b.visit
		if len(b.queue) == 0 {
			next, step = &b.later, b.extend
		}
		s := (*next)[0]
		*next = (*next)[1:]
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	for _, s := range b.last {
		if target := b.targets[s.node]; b.placed(target) == "" {
			delete(b.targets, s.node) // it stays as it was written
		}
	}
	for holder, target := range b.targets {
		field(holder, "$ref").SetString("#" + b.placed(target))
	}
	return nil
}

// visit looks at a value that has its place, and at what is in it.
func (b *bundler) visit(ctx context.Context, s spot) error {
	ref, extended := reference(s.node)
	if ref == "" {
		b.enter(s)
		return nil
	}
	owner := b.owner(s.node)
	if owner == b.root && strings.HasPrefix(ref, "#") {
		return nil // it means the same as before
	}
	target, err := b.find(ctx, owner, ref)
	if err != nil {
		return err
	}
	switch {
	case b.placed(target) != "" || target == b.root.root || b.owner(target) == b.root:
		b.targets[s.node] = target
	case b.asyncAPI3 && keepsReferences(s.place):
		b.targets[s.node] = target
		b.last = append(b.last, s)
	case extended:
		b.targets[s.node] = target
		b.later = append(b.later, s)
	default:
		b.move(s, target)
	}
	return nil
}

// move puts the target where a reference to it was.
func (b *bundler) move(s spot, target *yaml.Node) {
	b.places[target] = s.place
	b.owners[s.node] = b.owner(target)
	s.node.Kind, s.node.Style, s.node.Tag, s.node.Value, s.node.Content = target.Kind, target.Style, target.Tag, target.Value, target.Content
	if ref, _ := reference(s.node); ref != "" { // with more fields; others are not moved
		b.queue = append(b.queue, s)
		return
	}
	b.enter(s)
}

// extend puts a copy of the target where a reference with more fields was, if the target has no place by now.
func (b *bundler) extend(_ context.Context, s spot) error {
	target := b.targets[s.node]
	if b.placed(target) != "" {
		return nil
	}
	if target.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: there are fields beside the $ref %q, but what it leads to is not an object", b.owner(s.node).name, s.node.Line,
			field(s.node, "$ref").Value)
	}
	delete(b.targets, s.node)
	var fields []*yaml.Node
	for i := 0; i < len(s.node.Content); i += 2 {
		if s.node.Content[i].Value != "$ref" {
			fields = append(fields, s.node.Content[i], s.node.Content[i+1])
		}
	}
	own := &yaml.Node{Kind: yaml.MappingNode, Content: fields}
	for i := 0; i < len(target.Content); i += 2 {
		if field(own, target.Content[i].Value) == nil {
			fields = append(fields, target.Content[i], target.Content[i+1])
		}
	}
	s.node.Content = fields
	if ref, _ := reference(s.node); ref != "" {
		return fmt.Errorf("%s: the $ref %q has fields beside it, and leads to another one that has", b.owner(s.node).name, ref)
	}
	b.enter(s)
	return nil
}

// enter gives the values in a value their places. Where one has a place already, a reference to that takes its place.
func (b *bundler) enter(s spot) {
	put := func(i int, step string) {
		child := s.node.Content[i]
		if _, taken := b.places[child]; taken {
			holder := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
				{Kind: yaml.ScalarNode, Tag: "!!str", Value: "$ref"}, {Kind: yaml.ScalarNode, Tag: "!!str"},
			}}
			s.node.Content[i] = holder
			b.targets[holder] = child
			return
		}
		b.places[child] = s.place + "/" + step
		b.queue = append(b.queue, spot{child, b.places[child]})
	}
	switch s.node.Kind {
	case yaml.SequenceNode:
		for i := range s.node.Content {
			put(i, strconv.Itoa(i))
		}
	case yaml.MappingNode:
		for i := 0; i < len(s.node.Content); i += 2 {
			put(i+1, escape.Replace(s.node.Content[i].Value))
		}
	}
}

// placed is the pointer to a value, or "" if neither it nor something that it is in has a place.
func (b *bundler) placed(n *yaml.Node) string {
	if place, ok := b.places[n]; ok {
		return place
	}
	parent := b.parents[n]
	if parent == nil {
		return ""
	}
	outer := b.placed(parent)
	if outer == "" && b.owner(n) != b.root {
		return ""
	}
	for i, child := range parent.Content {
		if child == n && parent.Kind == yaml.SequenceNode {
			return outer + "/" + strconv.Itoa(i)
		}
		if child == n {
			return outer + "/" + escape.Replace(parent.Content[i-1].Value)
		}
	}
	return ""
}

// asyncAPIReferences are where AsyncAPI 3 wants references, as json-schema-ref-parser is told by Backstage.
var asyncAPIReferences = regexp.MustCompile(`^(/components)?(/channels/.*/servers|/operations/.*/(channel|messages|reply/channel|reply/messages))`)

func keepsReferences(place string) bool { return asyncAPIReferences.MatchString(place) }
