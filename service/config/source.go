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
