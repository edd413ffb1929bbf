package openapi

import (
	"context"
	"errors"
	"path"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// FuzzBundle has files that refer to each other in any way: what comes out is YAML whose references lead somewhere within it.
func FuzzBundle(f *testing.F) {
	f.Add("a: {$ref: b.yaml}", "c: {$ref: 'b.yaml#/d'}\nd: {$ref: a.yaml}")
	f.Add("a: {$ref: 'b.yaml#/c', x: 1}\nb: {$ref: 'b.yaml'}", "c: {d: [{$ref: '#/c'}]}")
	f.Add("a: {$ref: 'b.yaml#/x/y/0'}\nb: {$ref: 'b.yaml#/x'}", "x: &x {y: [{$ref: '#/z', k: 1}]}\nz: {$ref: '#/x'}\nw: *x")
	f.Add(": {$ref: b.yaml}", "  {$ref: 0000A}:")
	f.Fuzz(func(t *testing.T, a, b string) {
		files := files{
			resolve: func(target, base string) (string, error) { return path.Join(path.Dir(base), target), nil },
			read: func(_ context.Context, name string) ([]byte, error) {
				switch name {
				case "a.yaml":
					return []byte(a), nil
				case "b.yaml":
					return []byte(b), nil
				}
				return nil, errors.New("no such file")
			},
		}
		bundled, err := bundle(t.Context(), "a.yaml", []byte(a), files)
		if err != nil {
			return
		}
		var root yaml.Node
		if err := yaml.Unmarshal([]byte(bundled), &root); err != nil {
			t.Fatalf("%v in\n%s", err, bundled)
		}
		if len(root.Content) > 0 {
			checkReferences(t, root.Content[0], root.Content[0], bundled, a)
		}
	})
}

// checkReferences checks that references lead somewhere, unless the file itself had them.
func checkReferences(t *testing.T, root, n *yaml.Node, bundled, original string) {
	if ref, _ := reference(n); ref != "" && !strings.Contains(original, "asyncapi") && !strings.Contains(original, "#") {
		fragment, ok := strings.CutPrefix(ref, "#")
		steps, err := pointer(fragment)
		for _, step := range steps {
			if root = element(root, step); root == nil {
				break
			}
		}
		if !ok || err != nil || root == nil {
			t.Fatalf("the reference %q leads nowhere in\n%s", ref, bundled)
		}
		return
	}
	for _, child := range n.Content {
		checkReferences(t, root, child, bundled, original)
	}
}
