package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime/debug"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// maxRef is the length up to which refs are stored.
const maxRef = 200

// Pipeline processes entities. It is safe for concurrent use.
type Pipeline struct {
	rules    *Rules
	registry *catalogmodel.Registry
	log      *slog.Logger
}

// New returns a pipeline that lets in what the rules allow, of the kinds in the registry.
func New(rules *Rules, registry *catalogmodel.Registry, log *slog.Logger) *Pipeline {
	return &Pipeline{rules: rules, registry: registry, log: log}
}

// Process processes one entity. What is wrong with it, or with what it points to, is in the errors of the result.
func (p *Pipeline) Process(ctx context.Context, work store.Work) store.Result {
	result := store.Result{Work: work}
	e, err := catalogmodel.ParseJSON(work.JSON)
	if err == nil {
		err = p.contain(ctx, e, &result)
	}
	if err != nil {
		result.JSON, result.Relations, result.Emitted = nil, nil, nil
		result.Errors = append(result.Errors, AsError(err))
		p.log.WarnContext(ctx, "An entity could not be processed", "entity", work.Ref, "location", e.Annotation(catalogmodel.AnnotationManagedByLocation), "error", err)
	}
	return result
}

// contain turns a panic over one entity into its error.
func (p *Pipeline) contain(ctx context.Context, e catalogmodel.Entity, result *store.Result) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.log.ErrorContext(ctx, "Processing an entity panicked", "entity", result.Work.Ref, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("processing panicked: %v", v)
		}
	}()
	return p.process(ctx, e, result)
}

func (p *Pipeline) process(ctx context.Context, e catalogmodel.Entity, result *store.Result) error {
	if err := CheckEnvelope(e); err != nil {
		return err
	}
	own, origin, err := locationsOf(e)
	if err != nil {
		return err
	}
	if e, err = p.prepare(e, own, origin); err != nil {
		return err
	}
	if e.Ref().String() != result.Work.Ref {
		return service.ConflictError.Errorf("Fatal: The entity kind, namespace, or name changed during processing")
	}
	if err := p.validate(e); err != nil {
		return err
	}
	if _, err := query.Terms(e); err != nil { // it could not be found
		return err
	}
	if catalogmodel.Location.Is(e) {
		p.follow(ctx, e, own, origin, result)
	}
	relations, err := p.registry.Relations(e)
	if err != nil {
		return inputError("%s", err)
	}
	for _, r := range relations {
		relation := store.Relation{Source: r.Source.String(), Type: r.Type, Target: r.Target.String()}
		if len(relation.Source) > maxRef || len(relation.Target) > maxRef {
			return inputError("A reference of %s is longer than %d bytes", e.Ref(), maxRef)
		}
		result.Relations = append(result.Relations, relation)
	}
	result.JSON = e.AppendJSON(nil)
	return nil
}

// prepare brings an entity into the form that is validated and stored.
func (p *Pipeline) prepare(e catalogmodel.Entity, own, origin catalogmodel.LocationRef) (catalogmodel.Entity, error) {
	v, changed, err := substitute(e.Value(), func(key string, v catalogmodel.Value) (catalogmodel.Value, error) {
		return p.placeholder(key, v, own, origin)
	})
	if err != nil {
		return e, inputError("%s", err)
	}
	if changed {
		if e, err = catalogmodel.EntityOf(v); err != nil {
			return e, err
		}
	}
	if own.Type == urlType && e.Annotation(catalogmodel.AnnotationViewURL) == "" {
		e = e.WithAnnotation(catalogmodel.AnnotationViewURL, own.Target)
	}
	return p.registry.WithSortedRelations(e).WithDefaultNamespace(catalogmodel.DefaultNamespace), nil
}

// validate checks the entity against all rules of its kind.
func (p *Pipeline) validate(e catalogmodel.Entity) error {
	err := p.registry.Validate(e)
	if err == nil {
		return nil
	}
	if invalid := (*catalogmodel.ValidationError)(nil); errors.As(err, &invalid) && invalid.UnknownKind() {
		return inputError("No processor recognized the entity %s as valid, possibly caused by a foreign kind or apiVersion", e.Ref())
	}
	return inputError("%s", err)
}

// placeholder reads what a placeholder stands for.
func (p *Pipeline) placeholder(key string, v catalogmodel.Value, own, origin catalogmodel.LocationRef) (catalogmodel.Value, error) {
	target := v.Text()
	if v.Type() != catalogmodel.String || target == "" {
		return v, fmt.Errorf("the placeholder $%s needs the path of a file, as text", key)
	}
	if own.Type != fileType {
		return v, fmt.Errorf("the placeholder $%s of %s can't be resolved: only those in files can, not yet those at a location of type %s", key, target, own.Type)
	}
	name := target
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(own.Target), target)
	}
	text, err := readFile(name, origin.Target)
	if err != nil {
		return v, fmt.Errorf("the placeholder $%s could not read %s: %w", key, target, err)
	}
	switch key {
	case "text":
		return catalogmodel.StringValue(string(text)), nil
	case "json":
		v, err = catalogmodel.ParseValue(text)
	default:
		v, err = parseYAML(text, name)
	}
	if err != nil {
		return v, fmt.Errorf("the placeholder $%s found no valid data in %s: %w", key, target, err)
	}
	return v, nil
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

// follow reads what a Location points to. Whatever is wrong with one target or entity is no matter to the others.
func (p *Pipeline) follow(ctx context.Context, e catalogmodel.Entity, own, origin catalogmodel.LocationRef, result *store.Result) {
	spec, err := catalogmodel.Location.Spec(e)
	if err != nil {
		p.report(ctx, result, own, inputError("%s", err))
		return
	}
	typ := spec.Type
	if typ == "" {
		typ = own.Type
	}
	targets := spec.Targets
	if spec.Target != "" {
		targets = append([]string{spec.Target}, targets...)
	}
	seen := map[string]bool{result.Work.Ref: true}
	for _, target := range targets {
		location := catalogmodel.LocationRef{Type: typ, Target: target}
		if typ != fileType {
			p.report(ctx, result, own, inputError("No processor was able to handle reading of %s: locations of type %s can't be read yet", location, typ))
			continue
		}
		if own.Type != fileType {
			p.report(ctx, result, own, inputError("%s may not be read: only a file may point to files", location))
			continue
		}
		location.Target = resolveFile(own.Target, target)
		p.read(ctx, location, origin, spec.Presence == "optional", seen, result)
	}
}

// read reads the entities of a file.
func (p *Pipeline) read(ctx context.Context, location, origin catalogmodel.LocationRef, optional bool, seen map[string]bool, result *store.Result) {
	f, err := openFile(location.Target, origin.Target)
	if isMissing(err) {
		if !optional {
			p.report(ctx, result, location, service.NotFoundError.Errorf("%s %s does not exist", location.Type, location.Target))
		}
		return
	}
	if err != nil {
		p.report(ctx, result, location, fmt.Errorf("%s %s could not be read: %w", location.Type, location.Target, err))
		return
	}
	for e, err := range catalogmodel.ReadYAML(io.LimitReader(f, maxFile), location.Target) {
		if err != nil {
			p.report(ctx, result, location, inputError("%s", err))
			continue
		}
		if err := CheckEnvelope(e); err != nil {
			p.report(ctx, result, location, err)
			continue
		}
		ref := e.Ref().String()
		if seen[ref] {
			p.report(ctx, result, location, service.ConflictError.Errorf("%s: %s is declared a second time; the first one counts", place(e), ref))
			continue
		}
		if !p.rules.Allow(e, origin) {
			p.report(ctx, result, location, service.NotAllowedError.Errorf(
				"%s: entity %s at %s, originated at %s, is not of an allowed kind for that location (see catalog.rules)", place(e), ref, location, origin))
			continue
		}
		seen[ref] = true
		// Here lines are known: the log gets them. The entity itself fails, and keeps its last good form, when it is processed.
		if prepared, err := p.prepare(e, location, origin); err == nil {
			if err := p.registry.Validate(prepared); err != nil {
				p.log.WarnContext(ctx, "An entity is not valid", "entity", ref, "location", location.String(), "error", err)
			}
		}
		e = e.WithAnnotation(catalogmodel.AnnotationManagedByOriginLocation, origin.String()).
			WithAnnotation(catalogmodel.AnnotationManagedByLocation, location.String())
		result.Emitted = append(result.Emitted, store.Ingested{Entity: e, LocationKey: location.String()})
	}
	if err := f.Close(); err != nil {
		p.report(ctx, result, location, err)
	}
}

// report adds to the errors of a result that does not fail.
func (p *Pipeline) report(ctx context.Context, result *store.Result, location catalogmodel.LocationRef, err error) {
	result.Errors = append(result.Errors, AsError(err))
	p.log.WarnContext(ctx, "Something at a location was left out", "location", location.String(), "error", err)
}

// CheckEnvelope checks what must hold for an entity to be stored at all. What does not is an InputError.
func CheckEnvelope(e catalogmodel.Entity) error {
	for _, field := range []struct{ name, text string }{{"apiVersion", e.APIVersion()}, {"kind", e.Kind()}, {"metadata.name", e.Name()}} {
		if field.text == "" {
			return inputError("%s: an entity needs the field %s, as text that is not empty", place(e), field.name)
		}
	}
	if namespace := e.Metadata().Get("namespace"); namespace.Exists() && namespace.Text() == "" {
		return inputError("%s: metadata.namespace must be text that is not empty", place(e))
	}
	if annotations := e.Metadata().Get("annotations"); annotations.Exists() && annotations.Type() != catalogmodel.Object {
		return inputError("%s: metadata.annotations must be an object", place(e))
	}
	if len(e.Ref().String()) > maxRef {
		return inputError("%s: the entity's ref is longer than %d bytes", place(e), maxRef)
	}
	return nil
}

// place is where an entity was read: file and line, as far as they are known.
func place(e catalogmodel.Entity) string {
	if e.File() == "" {
		return e.Ref().String()
	}
	return fmt.Sprintf("%s:%d", e.File(), e.Value().Position().Line)
}

func inputError(format string, args ...any) error { return service.InputError.Errorf(format, args...) }

// AsError is the error in the form that is stored.
func AsError(err error) store.Error {
	if named := (*service.Error)(nil); errors.As(err, &named) {
		return store.Error{Name: string(named.Name), Message: err.Error()}
	}
	return store.Error{Name: "Error", Message: err.Error()}
}
