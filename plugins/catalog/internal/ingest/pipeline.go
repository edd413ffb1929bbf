package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime/debug"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// maxRef is the length up to which refs are stored.
const maxRef = 200

// Options say how entities are processed.
type Options struct {
	Rules        *Rules
	Registry     *catalogmodel.Registry
	URLs         service.URLReader
	Integrations *integration.Integrations
	// Processors are those of modules.
	Processors []processor.Processor
	// Resolvers are those of modules, by the keys of their placeholders.
	Resolvers map[string]processor.PlaceholderResolver
	// Parse reads the entities in a file. Nil: catalogmodel.ReadYAML.
	Parse func(r io.Reader, file string) iter.Seq2[catalogmodel.Entity, error]
	// Settings are those of processors, by their names.
	Settings map[string]Setting
	Log      *slog.Logger
}

// Pipeline processes entities. It is safe for concurrent use.
type Pipeline struct {
	rules        *Rules
	registry     *catalogmodel.Registry
	urls         service.URLReader
	integrations *integration.Integrations
	resolvers    map[string]processor.PlaceholderResolver
	parseFile    func(r io.Reader, file string) iter.Seq2[catalogmodel.Entity, error]
	hosts        hosts
	log          *slog.Logger

	processors processors
	// version differs between pipelines that may make different entities of the same source.
	version string
}

// New returns a pipeline. It is an error if there are two processors with one name, or settings for one that isn't there.
func New(o Options) (*Pipeline, error) {
	sorted, err := sortProcessors(o.Processors, o.Settings)
	if err != nil {
		return nil, err
	}
	if o.Parse == nil {
		o.Parse = catalogmodel.ReadYAML
	}
	return &Pipeline{
		rules: o.Rules, registry: o.Registry, urls: o.URLs, integrations: o.Integrations, resolvers: o.Resolvers, parseFile: o.Parse, log: o.Log,
		processors: sorted, version: version(*o.Rules, sorted.names),
	}, nil
}

// version tells apart programs and configurations.
func version(rules Rules, names []string) string {
	build := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		build = info.String()
	}
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %+v %v", build, rules, names)))
}

// Settled tells whether an entity has led to its last result by itself alone, and nothing is different now. Then processing it again would
// lead there again.
func (p *Pipeline) Settled(work store.Work) bool {
	return work.Memory != "" && work.Memory == p.settled(work)
}

func (p *Pipeline) settled(work store.Work) string { return "settled " + work.Digest(p.version) }

// Process processes one entity. What is wrong with it, or with what it points to, is in the errors of the result.
func (p *Pipeline) Process(ctx context.Context, work store.Work) store.Result {
	if p.Settled(work) {
		return store.Result{Work: work, Unchanged: true}
	}
	last := decodeMemory(work.Memory)
	run := p.attempt(ctx, work, last)
	if run.read.unmodified > 0 {
		if run.read.modified == 0 && run.next.Rest == last.Rest && run.next.sameCaches(last) {
			return store.Result{Work: work, Unchanged: true}
		}
		// Something else is different: then what has been read before is needed once more.
		run = p.attempt(ctx, work, memory{Caches: last.Caches})
	}
	if run.alone && p.processors.pure() && len(run.result.Errors) == 0 {
		run.result.Memory = p.settled(work)
	} else {
		run.result.Memory = run.next.encode()
	}
	return run.result
}

// attempt processes one entity. Targets that are still what last says are passed over.
func (p *Pipeline) attempt(ctx context.Context, work store.Work, last memory) *run {
	run := &run{
		Pipeline: p, result: store.Result{Work: work}, seen: map[string]string{work.Ref: ""}, alone: true,
		last: last, caches: map[string]processor.Cache{},
	}
	e, err := catalogmodel.ParseJSON(work.JSON)
	if err == nil {
		err = run.process(ctx, e)
	}
	run.next.Caches = run.kept()
	if err != nil {
		run.next = memory{Caches: last.Caches}
		err = at(work.Place, err)
		run.result = store.Result{Work: work, Errors: append(run.result.Errors, AsError(err))}
		level := slog.LevelWarn
		if errors.As(err, new(*panics.Error)) { // a mistake of a program, not of the entity
			level = slog.LevelError
		}
		p.log.Log(ctx, level, "An entity could not be processed",
			panics.Attrs(err, "entity", work.Ref, "location", e.Annotation(catalogmodel.AnnotationManagedByLocation))...)
	}
	return run
}

// run is one time that an entity is processed.
type run struct {
	*Pipeline
	result store.Result
	from   processor.Source
	seen   map[string]string // the location keys of entities that were emitted, by their refs; and the entity's own ref

	last, next memory
	caches     map[string]processor.Cache
	read       reading
	alone      bool // the result is made of nothing but the entity
}

// process processes the entity. A panic over it is its error.
func (r *run) process(ctx context.Context, e catalogmodel.Entity) (err error) {
	defer panics.Recover(&err)
	if err := CheckEnvelope(e); err != nil {
		return err
	}
	if r.from.Location, r.from.Origin, err = locationsOf(e); err != nil {
		return err
	}
	if e, err = r.preProcess(ctx, e, r.processors.early); err != nil {
		return err
	}
	if e, err = r.prepare(ctx, e); err != nil {
		return err
	}
	if e, err = r.preProcess(ctx, e, r.processors.late); err != nil {
		return err
	}
	if err := r.validate(ctx, e); err != nil {
		return err
	}
	if _, err := query.Terms(e); err != nil { // it could not be found
		return err
	}
	if e, err = r.postProcess(ctx, e); err != nil {
		return err
	}
	if err := r.relate(e); err != nil {
		return err
	}
	r.result.JSON = e.AppendJSON(nil)
	if catalogmodel.Location.Is(e) {
		r.alone, r.next.Rest = false, r.result.Digest(r.version)
		r.follow(ctx, e)
	}
	return nil
}

func (r *run) preProcess(ctx context.Context, e catalogmodel.Entity, phase []processor.PreProcessor) (catalogmodel.Entity, error) {
	for _, one := range phase {
		out := processor.Output{Cache: r.cached(one.Name())}
		var err error
		if e, err = one.PreProcess(ctx, e, r.from, &out); err != nil {
			return e, fmt.Errorf("processor %s: %w", one.Name(), err)
		}
		r.caches[one.Name()] = out.Cache
		r.collect(ctx, out)
	}
	return e, nil
}

func (r *run) postProcess(ctx context.Context, e catalogmodel.Entity) (catalogmodel.Entity, error) {
	for _, one := range r.processors.post {
		out := processor.Output{Cache: r.cached(one.Name())}
		var err error
		if e, err = one.PostProcess(ctx, e, r.from, &out); err != nil {
			return e, fmt.Errorf("processor %s: %w", one.Name(), err)
		}
		r.caches[one.Name()] = out.Cache
		r.collect(ctx, out)
	}
	if len(r.processors.post) > 0 {
		return e, r.sameRef(e)
	}
	return e, nil
}

// prepare brings an entity into the form that is validated and stored.
func (r *run) prepare(ctx context.Context, e catalogmodel.Entity) (catalogmodel.Entity, error) {
	if !r.processors.disabled[placeholderProcessor] {
		var err error
		if e, err = r.replacePlaceholders(ctx, e); err != nil {
			return e, inputError("%s", err)
		}
	}
	if !r.processors.disabled[annotateProcessor] {
		e = r.annotate(e)
	}
	return r.registry.WithSortedRelations(e).WithDefaultNamespace(catalogmodel.DefaultNamespace), nil
}

func (r *run) sameRef(e catalogmodel.Entity) error {
	if e.Ref().String() != r.result.Work.Ref {
		return service.ConflictError.Errorf("Fatal: The entity kind, namespace, or name changed during processing")
	}
	return nil
}

// validate checks the entity against all rules of its kind.
func (r *run) validate(ctx context.Context, e catalogmodel.Entity) error {
	if err := r.sameRef(e); err != nil {
		return err
	}
	err := r.registry.Validate(e)
	if err == nil {
		return nil
	}
	if invalid := (*catalogmodel.ValidationError)(nil); !errors.As(err, &invalid) || !invalid.UnknownKind() {
		return inputError("%s", err)
	}
	if err := r.registry.ValidateEnvelope(e); err != nil {
		return inputError("%s", err)
	}
	for _, one := range r.processors.validators {
		if known, err := one.ValidateKind(ctx, e); err != nil {
			return fmt.Errorf("processor %s: %w", one.Name(), err)
		} else if known {
			return nil
		}
	}
	return inputError("No processor recognized the entity %s as valid, possibly caused by a foreign kind or apiVersion", e.Ref())
}

// relate adds the relations that the fields of the entity declare.
func (r *run) relate(e catalogmodel.Entity) error {
	relations, err := r.registry.Relations(e)
	if err != nil {
		return inputError("%s", err)
	}
	for _, relation := range relations {
		r.addRelation(relation)
	}
	for _, relation := range r.result.Relations {
		if len(relation.Source) > maxRef || len(relation.Target) > maxRef {
			return inputError("A reference of %s is longer than %d bytes", e.Ref(), maxRef)
		}
	}
	return nil
}

func (r *run) addRelation(relation catalogmodel.Relation) {
	r.result.Relations = append(r.result.Relations,
		store.Relation{Source: relation.Source.String(), Type: relation.Type, Target: relation.Target.String()})
}

// collect takes what a processor has made.
func (r *run) collect(ctx context.Context, out processor.Output) {
	for _, emitted := range out.Entities {
		r.emit(ctx, emitted)
	}
	for _, relation := range out.Relations {
		r.addRelation(relation)
	}
	r.result.RefreshKeys = append(r.result.RefreshKeys, out.RefreshKeys...)
	for _, err := range out.Errors {
		r.report(ctx, r.from.Location, err)
	}
}

// emit adds an entity to what the processed one leads to, if it may.
func (r *run) emit(ctx context.Context, emitted processor.Emitted) {
	e, location := emitted.Entity, emitted.Location
	if err := CheckEnvelope(e); err != nil {
		r.report(ctx, location, err)
		return
	}
	ref := e.Ref().String()
	if ref == r.result.Work.Ref && location == r.from.Location {
		return // a Location may point to where it stands itself, by a pattern for instance
	}
	key := emitted.LocationKey
	if key == "" {
		key = location.String()
	}
	if first, again := r.seen[ref]; again {
		r.report(ctx, location, service.ConflictError.Errorf("%s: %s is declared a second time; the one that was there first counts", place(e), ref))
		if first == key || ref == r.result.Work.Ref {
			return
		}
	}
	if !r.rules.Allow(e, r.from.Origin) {
		r.report(ctx, location, service.NotAllowedError.Errorf("%s: entity %s at %s, originated at %s, is not of an allowed kind for that location (see catalog.rules)",
			place(e), ref, location, r.from.Origin))
		return
	}
	r.seen[ref] = key
	e = e.WithAnnotation(catalogmodel.AnnotationManagedByOriginLocation, r.from.Origin.String()).
		WithAnnotation(catalogmodel.AnnotationManagedByLocation, location.String())
	r.result.Emitted = append(r.result.Emitted, store.Ingested{Entity: e, LocationKey: key, Place: r.doubt(emitted.Entity)})
}

// doubt is the place of what seems to be wrong with an entity as it stands in its file, which is not known any more when it is processed. An entity
// that may be completed until then has the place of its beginning, and one that is valid none: it stays the same when it only moves in its file.
func (r *run) doubt(e catalogmodel.Entity) string {
	if e.File() == "" {
		return ""
	}
	complete := e.WithDefaultNamespace(catalogmodel.DefaultNamespace)
	err := r.registry.Validate(complete)
	if err == nil {
		_, err = r.registry.Relations(complete)
	}
	if err == nil && !hasPlaceholder(e.Value()) {
		return ""
	}
	line := e.Value().Position().Line
	if invalid := (*catalogmodel.ValidationError)(nil); errors.As(err, &invalid) && invalid.Violations[0].Position.Line > 0 {
		line = invalid.Violations[0].Position.Line
	}
	return fmt.Sprintf("%s:%d", e.File(), line)
}

// at is an error with the place of what it is about, if that is known.
func at(place string, err error) error {
	if place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", place, err)
}

// report adds to the errors of a result that does not fail.
func (r *run) report(ctx context.Context, location catalogmodel.LocationRef, err error) {
	r.result.Errors = append(r.result.Errors, AsError(err))
	r.log.WarnContext(ctx, "Something at a location was left out", "location", location.String(), "error", err)
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
	switch e.Metadata().Get("annotations").Type() {
	case catalogmodel.Object, catalogmodel.Absent, catalogmodel.Null: // null gives way to those of the catalog
	default:
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
