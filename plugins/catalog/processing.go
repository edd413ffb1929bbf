package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugins/catalog/processor"
)

// Processing lets modules take part in the processing of entities.
type Processing interface {
	// AddProcessor adds a processor. Names are unique in a catalog.
	AddProcessor(processor.Processor)
	// AddPlaceholderResolver adds a placeholder: objects with the one key $key are replaced by what the resolver answers. It may take the
	// place of a built-in one: text, json or yaml. Two modules can't add the same one.
	AddPlaceholderResolver(key string, resolver processor.PlaceholderResolver)
	// AddKind adds a kind of entities, such as one made by [catalogmodel.NewKind], to those that are built in.
	AddKind(catalogmodel.KindDefinition)
	// SetFieldFormats replaces rules for the fields that all entities have, such as their names. Formats that are zero stay as they are. Two modules
	// can't do this.
	SetFieldFormats(catalogmodel.Formats)
	// SetEntityDataParser has the files that locations point to read by a parser instead of [catalogmodel.ReadYAML]. Two modules can't do this.
	SetEntityDataParser(EntityDataParser)
	// OnProcessingError adds a function that is called each time an entity was processed with errors, as [ErrorsTopic] has them. It
	// should return soon: processing waits for it. A panic is logged.
	OnProcessingError(func(ctx context.Context, e catalogmodel.Entity, failed ProcessingErrors))
	// AllowLocationTypes adds types of locations that may be registered over the API, beside url.
	AllowLocationTypes(types ...string)
}

// ProcessingPoint is the extension point for [Processing].
var ProcessingPoint = extension.NewPoint[Processing]("catalog.processing")

// EntityDataParser reads the entities in a file, whose name is for messages. After an error there may be more. It is safe for concurrent use.
type EntityDataParser = func(r io.Reader, file string) iter.Seq2[catalogmodel.Entity, error]

// processing is what modules have added.
type processing struct {
	processors    []processor.Processor
	resolvers     map[string]processor.PlaceholderResolver
	kinds         []catalogmodel.KindDefinition
	locationTypes []string
	formats       catalogmodel.Formats
	formatted     bool
	parser        EntityDataParser
	failed        []func(context.Context, catalogmodel.Entity, ProcessingErrors)
	mistakes      []error
}

func newProcessing() *processing {
	return &processing{resolvers: map[string]processor.PlaceholderResolver{}, locationTypes: []string{"url"}}
}

func (p *processing) AddProcessor(one processor.Processor) { p.processors = append(p.processors, one) }

func (p *processing) AddPlaceholderResolver(key string, resolver processor.PlaceholderResolver) {
	if p.resolvers[key] != nil {
		p.mistakes = append(p.mistakes, fmt.Errorf("catalog: two modules add the placeholder $%s", key))
	}
	p.resolvers[key] = resolver
}

func (p *processing) AddKind(kind catalogmodel.KindDefinition) { p.kinds = append(p.kinds, kind) }

func (p *processing) SetFieldFormats(formats catalogmodel.Formats) {
	if p.formatted {
		p.mistakes = append(p.mistakes, errors.New("catalog: two modules set the formats of fields"))
	}
	p.formats, p.formatted = formats, true
}

func (p *processing) SetEntityDataParser(parser EntityDataParser) {
	if p.parser != nil {
		p.mistakes = append(p.mistakes, errors.New("catalog: two modules set the parser of entities"))
	}
	p.parser = parser
}

func (p *processing) OnProcessingError(handler func(ctx context.Context, e catalogmodel.Entity, failed ProcessingErrors)) {
	p.failed = append(p.failed, handler)
}

func (p *processing) AllowLocationTypes(types ...string) {
	p.locationTypes = append(p.locationTypes, types...)
}
