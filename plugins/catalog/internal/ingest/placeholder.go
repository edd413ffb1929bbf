package ingest

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// replacePlaceholders replaces the placeholders in an entity by what they stand for.
func (r *run) replacePlaceholders(ctx context.Context, e catalogmodel.Entity) (catalogmodel.Entity, error) {
	v, changed, err := r.substitute(ctx, e.Value())
	if err != nil || !changed {
		return e, err
	}
	return catalogmodel.EntityOf(v)
}

// substitute replaces the placeholders in v.
func (r *run) substitute(ctx context.Context, v catalogmodel.Value) (catalogmodel.Value, bool, error) {
	switch v.Type() {
	case catalogmodel.Array:
		elements := make([]any, 0, v.Len())
		changed := false
		for _, element := range v.Elements() {
			replaced, c, err := r.substitute(ctx, element)
			if err != nil {
				return v, false, err
			}
			elements, changed = append(elements, replaced), changed || c
		}
		if !changed {
			return v, false, nil
		}
		out, err := catalogmodel.ValueOf(elements)
		return out, true, err
	case catalogmodel.Object:
		for key, value := range v.Fields() {
			name, isPlaceholder := strings.CutPrefix(key, "$")
			if !isPlaceholder {
				continue
			}
			resolve := r.resolver(name)
			if v.Len() > 1 || resolve == nil {
				return v, false, nil
			}
			r.alone = false
			out, err := resolve(ctx, r.placeholder(name, value))
			return out, true, err
		}
		return r.substituteFields(ctx, v)
	}
	return v, false, nil
}

func (r *run) substituteFields(ctx context.Context, v catalogmodel.Value) (catalogmodel.Value, bool, error) {
	holder, err := catalogmodel.EntityOf(v)
	if err != nil {
		return v, false, err
	}
	changed := false
	for key, field := range v.Fields() {
		replaced, c, err := r.substitute(ctx, field)
		if err != nil {
			return v, false, err
		}
		if c {
			holder, changed = holder.With(replaced, key), true
		}
	}
	return holder.Value(), changed, nil
}

// hasPlaceholder reports whether there may be placeholders in v.
func hasPlaceholder(v catalogmodel.Value) bool {
	for key, field := range v.Fields() {
		if strings.HasPrefix(key, "$") || hasPlaceholder(field) {
			return true
		}
	}
	for _, element := range v.Elements() {
		if hasPlaceholder(element) {
			return true
		}
	}
	return false
}

// resolver is what gives the value of placeholders with a key, or nil.
func (r *run) resolver(key string) processor.PlaceholderResolver {
	if resolve := r.resolvers[key]; resolve != nil {
		return resolve
	}
	switch key {
	case "text":
		return resolveText
	case "json":
		return resolveJSON
	case "yaml":
		return resolveYAML
	}
	return nil
}

func (r *run) placeholder(key string, v catalogmodel.Value) processor.Placeholder {
	return processor.Placeholder{
		Key: key, Value: v, Base: r.from.Location,
		Resolve: func(target, base string) (string, error) { return r.resolve(target, base) },
		Read: func(ctx context.Context, target string) ([]byte, error) {
			content, err := r.readPlaceholder(ctx, target)
			if err == nil {
				r.result.RefreshKeys = append(r.result.RefreshKeys, catalogmodel.LocationRef{Type: r.from.Location.Type, Target: target}.String())
			}
			return content, err
		},
	}
}

// resolve makes the target of a placeholder absolute.
func (r *run) resolve(target, base string) (string, error) {
	switch r.from.Location.Type {
	case fileType:
		if filepath.IsAbs(target) {
			return filepath.Clean(target), nil
		}
		return filepath.Join(filepath.Dir(base), target), nil
	case urlType:
		resolved, err := r.integrations.ResolveURL(target, base, 0)
		if err != nil {
			return "", err
		}
		return resolved, r.sameRepository(resolved)
	}
	return "", fmt.Errorf("files can't be read from a location of type %s", r.from.Location.Type)
}

// sameRepository checks that a file is in the repository of the entity: other repositories may be readable with the credentials of the
// backend, but not for who writes entities.
func (r *run) sameRepository(target string) error {
	parse := func(rawURL string) (host string, at integration.Location, ok bool) {
		forge, known := r.integrations.ByURL(rawURL)
		if !known {
			return "", at, false
		}
		at, err := forge.Parse(rawURL)
		return forge.Host(), at, err == nil
	}
	host, at, ok := parse(target)
	baseHost, base, baseOK := parse(r.from.Location.Target)
	if baseOK && (!ok || host != baseHost || at.FullName() != base.FullName() || at.Project != base.Project) {
		return service.NotAllowedError.Errorf("Placeholder may only reference files from the same repository as the entity")
	}
	return nil
}

func (r *run) readPlaceholder(ctx context.Context, target string) ([]byte, error) {
	if r.from.Location.Type == fileType {
		return readFile(target, r.from.Origin.Target)
	}
	leave, err := r.hosts.enter(ctx, target)
	if err != nil {
		return nil, err
	}
	defer leave()
	file, err := r.urls.ReadURL(ctx, target, service.URLReadOptions{})
	if err != nil {
		return nil, err
	}
	return file.Bytes()
}

// readTarget reads the file that a placeholder names.
func readTarget(ctx context.Context, p processor.Placeholder) (content []byte, name string, err error) {
	target := p.Value.Text()
	if p.Value.Type() != catalogmodel.String || target == "" {
		return nil, "", fmt.Errorf("Placeholder $%s expected a string value parameter, in the form of an absolute URL or a relative path", p.Key) //nolint:revive,staticcheck // as Backstage says it
	}
	if name, err = p.Resolve(target, p.Base.Target); err != nil {
		return nil, "", fmt.Errorf("Placeholder $%s could not form a URL out of %s and %s, %w", p.Key, p.Base.Target, target, err) //nolint:revive,staticcheck // as Backstage says it
	}
	if content, err = p.Read(ctx, name); err != nil {
		return nil, "", fmt.Errorf("Placeholder $%s could not read location %s, %w", p.Key, target, err) //nolint:revive,staticcheck // as Backstage says it
	}
	return content, name, nil
}

func resolveText(ctx context.Context, p processor.Placeholder) (catalogmodel.Value, error) {
	content, _, err := readTarget(ctx, p)
	return catalogmodel.StringValue(string(content)), err
}

func resolveJSON(ctx context.Context, p processor.Placeholder) (catalogmodel.Value, error) {
	content, _, err := readTarget(ctx, p)
	if err != nil {
		return catalogmodel.Value{}, err
	}
	v, err := catalogmodel.ParseValue(content)
	return v, unparsed(p, "JSON", err)
}

func resolveYAML(ctx context.Context, p processor.Placeholder) (catalogmodel.Value, error) {
	content, name, err := readTarget(ctx, p)
	if err != nil {
		return catalogmodel.Value{}, err
	}
	v, err := parseYAML(content, name)
	return v, unparsed(p, "YAML", err)
}

func unparsed(p processor.Placeholder, format string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("Placeholder $%s failed to parse %s data at %s, %w", p.Key, format, p.Value.Text(), err) //nolint:revive,staticcheck // as Backstage says it
}

// parseYAML reads the one object of a YAML file.
func parseYAML(text []byte, name string) (v catalogmodel.Value, err error) {
	documents := 0
	for e, err := range catalogmodel.ReadYAML(bytes.NewReader(text), name) {
		if err != nil {
			return v, err
		}
		v, documents = e.Value(), documents+1
	}
	if documents != 1 {
		return v, fmt.Errorf("there must be one document, there are %d", documents)
	}
	return v, nil
}
