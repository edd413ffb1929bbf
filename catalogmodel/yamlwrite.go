package catalogmodel

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// WriteYAML writes entities as YAML documents, from which [ReadYAML] reads the same. Errors are those of w.
func WriteYAML(w io.Writer, entities ...Entity) error {
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	for _, e := range entities {
		if err := encoder.Encode(yamlNode(e.root)); err != nil {
			return fmt.Errorf("catalogmodel: writing %s as YAML: %w", e.Ref(), err)
		}
	}
	if err := encoder.Close(); err != nil {
		return fmt.Errorf("catalogmodel: writing YAML: %w", err)
	}
	return nil
}

func yamlNode(v Value) *yaml.Node {
	switch v.Type() {
	case String:
		return yamlString(v.content())
	case Array:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for m := v.members(); m.next(); {
			n.Content = append(n.Content, yamlNode(m.value))
		}
		return n
	case Object:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for m := v.members(); m.next(); {
			n.Content = append(n.Content, yamlString(m.key), yamlNode(m.value))
		}
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: string(v.AppendJSON(nil))}
}

func yamlString(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch {
	case !isPlainString(s) || isOldBoolean(s):
		n.Style = yaml.DoubleQuotedStyle
	case strings.Contains(s, "\n") && !isBlockText(s):
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func isPlainString(s string) bool {
	tag, _ := plainScalar(s)
	return Type(tag) == String
}

// isOldBoolean reports whether readers of YAML 1.1, which abound, take a plain s for a boolean.
func isOldBoolean(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off":
		return true
	}
	return false
}

// isBlockText reports whether a block scalar shows s as it is: white space at its beginning or at the end of its lines
// needs quotes to survive people and their editors.
func isBlockText(s string) bool {
	return !strings.ContainsFunc(s[:1], unicode.IsSpace) && !strings.Contains(s, " \n") && !strings.HasSuffix(s, " ") &&
		!strings.HasSuffix(s, "\n\n") && !strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}
