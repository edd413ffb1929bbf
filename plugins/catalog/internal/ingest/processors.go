package ingest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portico-dev/portico/plugins/catalog/processor"
)

// The names of what is built in, as catalog.processorOptions knows it.
const (
	fileProcessor        = "file-reader"
	urlProcessor         = "url-reader"
	placeholderProcessor = "PlaceholderProcessor"
	annotateProcessor    = "AnnotateLocationEntityProcessor"
)

// BuiltIn are the names of the processors that are always there.
var BuiltIn = []string{fileProcessor, urlProcessor, placeholderProcessor, annotateProcessor}

// Defaults are those of them that catalog.disableDefaultProcessors leaves out.
var Defaults = []string{fileProcessor, urlProcessor, annotateProcessor}

// builtInPriority is that of processors that have none of their own, and of what is built in.
const builtInPriority = 20

// Setting is an entry of catalog.processorOptions.
type Setting struct {
	Disabled bool     `config:"disabled"`
	Priority *float64 `config:"priority"`
}

// processors are the processors of modules by their phases, each in the order in which they are called.
type processors struct {
	names       []string
	disabled    map[string]bool
	early, late []processor.PreProcessor // before and after what is built in
	validators  []processor.KindValidator
	readers     []processor.LocationReader
	post        []processor.PostProcessor
}

// sortProcessors brings processors into their order, without those that are disabled.
func sortProcessors(all []processor.Processor, settings map[string]Setting) (processors, error) {
	sorted := processors{disabled: map[string]bool{}}
	known := map[string]bool{}
	for _, name := range BuiltIn {
		known[name] = true
		sorted.disabled[name] = settings[name].Disabled
	}
	for _, one := range all {
		if name := one.Name(); name == "" || known[name] {
			return sorted, fmt.Errorf("catalog: the processor %T needs a name of its own, its name is %q", one, name)
		}
		known[one.Name()] = true
	}
	for name := range settings {
		if !known[name] {
			return sorted, fmt.Errorf("catalog.processorOptions: there is no processor %q", name)
		}
	}
	priority := func(one processor.Processor) float64 {
		if set := settings[one.Name()].Priority; set != nil {
			return *set
		}
		if p, ok := one.(processor.Prioritized); ok {
			return p.Priority()
		}
		return builtInPriority
	}
	all = slices.DeleteFunc(slices.Clone(all), func(one processor.Processor) bool { return settings[one.Name()].Disabled })
	slices.SortStableFunc(all, func(a, b processor.Processor) int { return cmp.Compare(priority(a), priority(b)) })
	for _, one := range all {
		sorted.add(one, priority(one) < builtInPriority)
	}
	return sorted, nil
}

// pure tells whether there is nothing that might look at more than the entity.
func (p *processors) pure() bool {
	return len(p.early)+len(p.late)+len(p.validators)+len(p.post) == 0
}

func (p *processors) add(one processor.Processor, early bool) {
	p.names = append(p.names, one.Name())
	if pre, ok := one.(processor.PreProcessor); ok && early {
		p.early = append(p.early, pre)
	} else if ok {
		p.late = append(p.late, pre)
	}
	if validator, ok := one.(processor.KindValidator); ok {
		p.validators = append(p.validators, validator)
	}
	if reader, ok := one.(processor.LocationReader); ok {
		p.readers = append(p.readers, reader)
	}
	if post, ok := one.(processor.PostProcessor); ok {
		p.post = append(p.post, post)
	}
}
