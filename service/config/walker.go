package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// walker turns one file into values.
type walker struct {
	*loader
	out  layer
	file string
	// path is the absolute path of a local file.
	path   string
	remote bool
	// including are the files that led here, by $include.
	including []string
}

func (w *walker) problem(n *yaml.Node, pointer, format string, args ...any) {
	w.problems = append(w.problems, w.at(n).problem(pointer, format, args...))
}

// abort ends the reading because there is too much.
func (w *walker) abort(n *yaml.Node, pointer, format string, args ...any) {
	if !w.aborted {
		w.problem(n, pointer, format, args...)
		w.aborted = true
	}
}

// text counts what references bring in.
func (w *walker) text(n *yaml.Node, pointer, text string) (any, bool) {
	if w.bytes += len(text); w.bytes > maxTotal {
		w.abort(n, pointer, "the configuration has more than %d MiB of text", maxTotal>>20)
		return nil, false
	}
	return text, true
}

func (w *walker) at(n *yaml.Node) origin { return origin{file: w.file, line: n.Line, column: n.Column} }

// value is the value of a node with its references resolved. It is false for a value that is absent.
func (w *walker) value(n *yaml.Node, pointer string, depth int) (any, bool) {
	if w.nodes++; w.nodes > maxNodes {
		w.abort(n, pointer, "the configuration has more than %d values; are there aliases of aliases?", maxNodes)
	} else if depth > maxDepth {
		w.abort(n, pointer, "is nested more than %d levels deep", maxDepth)
	}
	if w.aborted {
		return nil, false
	}
	w.out.origins[pointer] = w.at(n)
	if n.Anchor != "" {
		w.entered[n] = true
		defer delete(w.entered, n)
	}
	switch n.Kind {
	case yaml.AliasNode:
		if w.entered[n.Alias] {
			w.problem(n, pointer, "the alias *%s stands within what it stands for", n.Value)
			return nil, false
		}
		return w.value(n.Alias, pointer, depth+1)
	case yaml.SequenceNode:
		array := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			if v, ok := w.value(c, item(pointer, len(array)), depth+1); ok {
				array = append(array, v)
			}
		}
		return array, true
	case yaml.MappingNode:
		return w.object(n, pointer, depth)
	}
	value, err := scalar(n)
	if err != nil {
		w.problem(n, pointer, "%s", err)
		return nil, false
	}
	switch value := value.(type) {
	case string:
		return w.substituted(n, value, pointer)
	case int64, float64:
		at := w.at(n)
		at.text = n.Value
		w.out.origins[pointer] = at
	}
	return value, true
}

func (w *walker) substituted(n *yaml.Node, text, pointer string) (any, bool) {
	result, unset := substitute(text, w.lookupEnv)
	if unset != "" {
		w.absent(pointer, unset)
		return nil, false
	}
	return w.text(n, pointer, result)
}

func (w *walker) absent(pointer, variable string) {
	w.out.absent[pointer] = absence{at: w.out.origins[pointer], why: fmt.Sprintf("the environment variable %s isn't set", variable)}
	delete(w.out.origins, pointer)
}

func (w *walker) object(n *yaml.Node, pointer string, depth int) (any, bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key := n.Content[i].Value; key {
		case "$env", "$file", "$include":
			if len(n.Content) > 2 {
				w.problem(n.Content[i], pointer, "%s stands for the whole value, so there can be no other keys beside it", key)
				return nil, false
			}
			return w.reference(key, n.Content[i], n.Content[i+1], pointer, depth)
		}
	}
	object := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			w.merge(object, n.Content[i+1], pointer, depth)
		}
	}
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if isMerge(k) {
			continue
		}
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			w.problem(k, pointer, "keys must be names, this one is an object or an array")
			continue
		}
		at := child(pointer, k.Value)
		if line, twice := lines[k.Value]; twice {
			w.problem(k, at, "is there twice; the other one is at line %d", line)
			continue
		}
		lines[k.Value] = k.Line
		value, ok := w.value(v, at, depth+1)
		if !ok {
			delete(object, k.Value)
			continue
		}
		object[k.Value] = value
		// For an object or an array, the line of its key says more than the line of its first value.
		if o := w.out.origins[at]; o.file == w.file && (v.Kind == yaml.MappingNode || v.Kind == yaml.SequenceNode) {
			w.out.origins[at] = w.at(k)
		}
	}
	return object, true
}

func isMerge(k *yaml.Node) bool {
	return k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0
}

// merge takes over the keys of other objects by the YAML key `<<`; of several, the first wins.
func (w *walker) merge(object map[string]any, n *yaml.Node, pointer string, depth int) {
	if n.Kind == yaml.SequenceNode {
		for _, c := range slices.Backward(n.Content) {
			w.merge(object, c, pointer, depth+1)
		}
		return
	}
	at := w.out.origins[pointer]
	value, ok := w.value(n, pointer, depth+1)
	w.out.origins[pointer] = at
	from, isObject := value.(map[string]any)
	if ok && !isObject {
		w.problem(n, pointer, "<< takes over the keys of an object, but this is %s", describe(value))
	}
	maps.Copy(object, from)
}

// reference resolves $env, $file and $include.
func (w *walker) reference(kind string, k, n *yaml.Node, pointer string, depth int) (any, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	value, err := scalar(n)
	text, ok := value.(string)
	if err != nil || n.Kind != yaml.ScalarNode || !ok {
		w.problem(n, pointer, "%s must be followed by a string", kind)
		return nil, false
	}
	text, unset := substitute(text, w.lookupEnv)
	if unset != "" {
		w.problem(n, pointer, "%s needs the environment variable %s, which isn't set", kind, unset)
		return nil, false
	}
	if kind == "$env" {
		value, ok := w.lookupEnv(text)
		if !ok {
			w.absent(pointer, text)
			return nil, false
		}
		return value, true
	}
	if w.remote {
		w.problem(k, pointer, "%s is only possible in files, not in a configuration from a URL", kind)
		return nil, false
	}
	if kind == "$file" {
		content, err := w.readFile(w.resolve(text))
		if err != nil {
			w.problem(n, pointer, "$file: %s: %s", text, reason(err))
			return nil, false
		}
		return w.text(n, pointer, strings.TrimRight(string(content), " \t\r\n\v\f"))
	}
	return w.include(n, text, pointer, depth)
}

func (w *walker) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(w.path), path)
}

func (w *walker) include(n *yaml.Node, text, pointer string, depth int) (any, bool) {
	name, dataPath, _ := strings.Cut(text, "#")
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
	default:
		w.problem(n, pointer, "$include: %s: only .yaml, .yml and .json files can be included", name)
		return nil, false
	}
	path := w.resolve(name)
	step := path
	if dataPath != "" {
		step += "#" + dataPath
	}
	if i := slices.Index(w.including, step); i >= 0 {
		cycle := append(slices.Clone(w.including[i:]), step)
		for i, c := range cycle {
			cycle[i] = target{path: c}.name(w.options.Dir)
		}
		w.problem(n, pointer, "$include goes round in a circle: %s", strings.Join(cycle, " → "))
		return nil, false
	}
	inner := &walker{loader: w.loader, out: w.out, file: target{path: path}.name(w.options.Dir), path: path,
		including: append(slices.Clone(w.including), step)}
	root, ok := w.parsed[path]
	if !ok {
		content, err := w.readFile(path)
		if err != nil {
			w.problem(n, pointer, "$include: %s: %s", name, reason(err))
			return nil, false
		}
		if root, err = parseYAML(inner.file, content); err != nil {
			w.fail(err)
			return nil, false
		}
		w.parsed[path] = root
	}
	if root == nil {
		return nil, true
	}
	found := root
	if dataPath != "" {
		for part := range strings.SplitSeq(dataPath, ".") {
			if found = member(found, part); found == nil {
				why := fmt.Sprintf("%s has no %s", inner.file, dataPath)
				w.warnings = append(w.warnings, w.at(n).problem(pointer, "is absent: %s", why))
				w.out.absent[pointer] = absence{at: w.at(n), why: why}
				delete(w.out.origins, pointer)
				return nil, false
			}
		}
	}
	return inner.value(found, pointer, depth+1)
}

// member is the value of a key of an object, or nil.
func member(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
