package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// What a configuration may be at most; anything larger is a mistake or an attack.
const (
	maxBytes = 8 << 20 // of a file
	maxTotal = 64 << 20
	maxNodes = 200_000
	maxDepth = 100
)

// layer is what one source says.
type layer struct {
	values  map[string]any
	origins map[string]origin
	// absent says why there is nothing where something is written.
	absent map[string]absence
}

type absence struct {
	at  origin
	why string
}

// loader reads sources.
type loader struct {
	options Options
	env     map[string]string
	// read are the local files that were read or looked for, whose changes matter.
	read     map[string]stamp
	problems []Problem
	warnings []Problem
	parsed   map[string]*yaml.Node
	// nodes and bytes are how much there is so far, after references and aliases.
	nodes, bytes int
	// entered are the nodes with an anchor that the present node is in.
	entered map[*yaml.Node]bool
	// aborted is set when there is too much.
	aborted bool
}

func (l *loader) lookupEnv(name string) (string, bool) {
	value, ok := l.env[name]
	return strings.TrimSpace(value), ok
}

// target is a file or a URL to be read.
type target struct {
	path     string
	url      *url.URL
	optional bool
}

func (t target) name(dir string) string {
	if t.url != nil {
		shown := *t.url
		shown.RawQuery, shown.Fragment = "", ""
		return shown.Redacted()
	}
	if rel, err := filepath.Rel(dir, t.path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return t.path
}

// targets are what is to be read by the options.
func (l *loader) targets() []target {
	var targets []target
	for _, t := range l.options.Targets {
		if t == "" { // Backstage ignores those too.
			continue
		}
		if u, err := url.Parse(t); err == nil && u.Host != "" && u.Scheme != "" {
			targets = append(targets, target{url: u})
			continue
		}
		path := t
		if !filepath.IsAbs(path) {
			path = filepath.Join(l.options.Dir, path)
		}
		targets = append(targets, target{path: path})
	}
	if len(targets) > 0 {
		return targets
	}
	names := []string{"app-config.yaml"}
	var local []string
	for env := range strings.SplitSeq(l.env["BACKSTAGE_ENV"], ",") {
		if env = strings.TrimSpace(env); env != "" {
			names = append(names, "app-config."+env+".yaml")
			local = append(local, "app-config."+env+".local.yaml")
		}
	}
	names = append(append(names, "app-config.local.yaml"), local...)
	for _, name := range names {
		targets = append(targets, target{path: filepath.Join(l.options.Dir, name), optional: true})
	}
	return targets
}

// layers reads everything that the options name. Problems are collected.
func (l *loader) layers(ctx context.Context) []layer {
	var layers []layer
	for _, t := range l.targets() {
		if r, ok := l.target(ctx, t); ok {
			layers = append(layers, r)
		}
	}
	layers = append(layers, l.envLayer())
	if len(l.options.Overrides) > 0 {
		layers = append(layers, l.staticLayer(l.options.Overrides, "override"))
	}
	return layers
}

func (l *loader) target(ctx context.Context, t target) (layer, bool) {
	name := t.name(l.options.Dir)
	var content []byte
	var err error
	if t.url != nil {
		content, err = fetch(ctx, l.options.HTTPClient, t.url)
	} else {
		content, err = l.readFile(t.path)
	}
	if t.optional && errors.Is(err, fs.ErrNotExist) {
		return layer{}, false
	}
	if err != nil {
		l.problems = append(l.problems, origin{file: name}.problem("", "%s", reason(err)))
		return layer{}, false
	}
	root, err := parseYAML(name, content)
	if err != nil {
		l.fail(err)
		return layer{}, false
	}
	if root == nil {
		return layer{}, false
	}
	w := &walker{loader: l, out: newLayer(), file: name, remote: t.url != nil}
	if t.url == nil {
		w.path = t.path
		w.including = []string{t.path}
	}
	value, _ := w.value(root, "", 0)
	switch value := value.(type) {
	case nil:
		return layer{}, false
	case map[string]any:
		w.out.values = value
		return w.out, true
	default:
		w.problem(root, "", "must be an object with the keys of the configuration, is %s", describe(value))
		return layer{}, false
	}
}

func newLayer() layer {
	return layer{values: map[string]any{}, origins: map[string]origin{}, absent: map[string]absence{}}
}

func (l *loader) fail(err error) {
	var e *Error
	if errors.As(err, &e) {
		l.problems = append(l.problems, e.Problems...)
	}
}

// reason is an I/O error in words.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "must not be read: permission denied"
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return "can't be read: " + path.Err.Error()
	}
	return err.Error()
}

func (l *loader) readFile(path string) ([]byte, error) {
	if _, again := l.read[path]; !again {
		l.read[path] = stampOf(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

func readAll(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err == nil && len(content) > maxBytes {
		err = fmt.Errorf("is larger than %d MiB", maxBytes>>20)
	}
	return content, err
}

// fetch reads a configuration by HTTP.
func fetch(ctx context.Context, client *http.Client, u *url.URL) ([]byte, error) {
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("can't be read: URLs of configuration begin with http:// or https://")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("can't be read: the URL is not valid")
	}
	response, err := client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("can't be read: the server answers %s", response.Status)
	}
	return readAll(response.Body)
}

var envKeyPart = regexp.MustCompile(`(?i)^[a-z][a-z0-9]*(?:[-_:][a-z0-9]+)*$`)

const envPrefix = "APP_CONFIG_"

// envLayer is the configuration in environment variables.
func (l *loader) envLayer() layer {
	out := newLayer()
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		key, ok := strings.CutPrefix(name, envPrefix)
		text := l.env[name]
		if !ok || text == "" {
			continue
		}
		at := origin{file: "environment variable " + name}
		var value any = text
		var decoded any
		if json.Unmarshal([]byte(text), &decoded) == nil {
			value = decoded
		}
		if value == nil {
			l.problems = append(l.problems, at.problem("", "must not be null"))
			continue
		}
		if err := l.setEnv(out, strings.Split(key, "_"), value, at); err != "" {
			l.problems = append(l.problems, at.problem("", "%s", err))
		}
	}
	return out
}

func (l *loader) setEnv(out layer, parts []string, value any, at origin) string {
	object, pointer := out.values, ""
	for i, part := range parts {
		if !envKeyPart.MatchString(part) {
			return fmt.Sprintf("names no key: %q must be a name of letters and digits", part)
		}
		pointer = child(pointer, part)
		if i == len(parts)-1 {
			if _, taken := object[part]; taken {
				return fmt.Sprintf("sets %s, which %s sets too", keyOf(pointer), out.origins[pointer])
			}
			l.static(out, pointer, value, at, func(v any) { object[part] = v })
			return ""
		}
		next, taken := object[part]
		if !taken {
			next = map[string]any{}
			object[part] = next
			out.origins[pointer] = at
		}
		if object, taken = next.(map[string]any); !taken {
			return fmt.Sprintf("sets a key below %s, for which %s sets a value that isn't an object", keyOf(pointer), out.origins[pointer])
		}
	}
	return ""
}

// staticLayer is configuration that is given as values of Go.
func (l *loader) staticLayer(values map[string]any, name string) layer {
	out := newLayer()
	l.static(out, "", values, origin{file: name}, func(v any) { out.values, _ = v.(map[string]any) })
	return out
}

// static copies a value and notes its origin.
func (l *loader) static(out layer, pointer string, value any, at origin, set func(any)) {
	out.origins[pointer] = at
	switch value := value.(type) {
	case map[string]any:
		object := make(map[string]any, len(value))
		for k, v := range value {
			l.static(out, child(pointer, k), v, at, func(v any) { object[k] = v })
		}
		set(object)
	case []any:
		array := make([]any, len(value))
		for i, v := range value {
			l.static(out, item(pointer, i), v, at, func(v any) { array[i] = v })
		}
		set(array)
	case nil, string, bool, int64:
		set(value)
	case float64:
		if i := int64(value); float64(i) == value {
			set(i)
			return
		}
		set(value)
	default:
		// Whatever else a program gives is read as JSON would write it.
		raw, err := json.Marshal(value)
		var decoded any
		if err == nil {
			err = json.Unmarshal(raw, &decoded)
		}
		if err != nil {
			l.problems = append(l.problems, at.problem(pointer, "is a %T, which can't be configuration", value))
			return
		}
		l.static(out, pointer, decoded, at, set)
	}
}

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

// describe is the kind of a value in words.
func describe(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	case string:
		if value == "" {
			return "an empty string"
		}
		return "a string"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("a %T", value)
}
