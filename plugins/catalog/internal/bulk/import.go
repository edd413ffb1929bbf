// Package bulk reads many entities from a stream: one JSON text in each line.
package bulk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Target is what takes the entities: a provider.
type Target interface {
	// Apply adds entities to what the provider brings, or replaces them, and takes others away. It answers which were refused.
	Apply(ctx context.Context, added []catalogmodel.Entity, removed []string) ([]store.Conflict, error)
	// Brought answers the refs of what the provider brings.
	Brought(ctx context.Context) ([]string, error)
}

// Report tells how an import went.
type Report struct {
	// Lines is the number of lines that were read, without empty ones.
	Lines int `json:"lines"`
	// Accepted is the number of entities that are stored as the lines say; they are processed from then on.
	Accepted int `json:"accepted"`
	// Removed is the number of entities that the provider does not bring any more.
	Removed int `json:"removed"`
	// Failed is the number of lines that were refused. Errors are the first of them.
	Failed int         `json:"failed"`
	Errors []LineError `json:"errors"`
	// Kept tells that a full import has not removed what is missing, as some lines were refused.
	Kept bool `json:"kept,omitempty"`
}

// LineError is what is wrong with a line.
type LineError struct {
	// Line is the number of the line, from 1 on.
	Line int `json:"line"`
	// EntityRef is the entity, as far as it is known.
	EntityRef string `json:"entityRef,omitempty"`
	Message   string `json:"message"`
}

// Bounds of what is taken.
const (
	// MaxLine is the most bytes of a line.
	MaxLine    = 10 << 20
	batchLines = 500
	batchBytes = 4 << 20
	mostErrors = 1000
)

// Import reads entities, line by line, and hands them to the target. With full, what the target brings and the stream has not is taken away
// when the stream has ended, unless a line was refused. In a stream that is not full, a line {"delete": "kind:namespace/name"} takes an
// entity away. Bad lines are reported and keep no others back. After each batch, progress is called; an error of it ends the import. An
// error tells that the stream or the target failed; the report then tells what was done until then.
func Import(ctx context.Context, stream io.Reader, target Target, full bool, progress func() error) (Report, error) {
	i := &importer{ctx: ctx, target: target, full: full, seen: map[string]bool{}, report: Report{Errors: []LineError{}}}
	lines := bufio.NewReaderSize(stream, 64<<10)
	for number := 1; ; number++ {
		line, err := readLine(lines)
		switch {
		case errors.Is(err, errTooLong):
			i.report.Lines++
			i.refuse(number, "", fmt.Errorf("the line is longer than %d bytes", MaxLine))
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return i.report, errors.Join(service.InputError.Errorf("The stream broke in line %d: %s; what came before was taken", number, err), i.flush())
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			i.report.Lines++
			i.line(number, line)
		}
		if i.batchIsFull() || err != nil {
			if err := i.flush(); err != nil {
				return i.report, err
			}
			if err := progress(); err != nil {
				return i.report, err
			}
		}
		if err != nil {
			return i.report, i.finish()
		}
	}
}

var errTooLong = errors.New("too long")

// readLine reads a line. Of one that is too long, it reads the rest without keeping it.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for tooLong := false; ; {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > MaxLine; tooLong {
			line = nil
		} else {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case tooLong && (err == nil || errors.Is(err, io.EOF)):
			return nil, errTooLong
		default:
			return line, err
		}
	}
}

type importer struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the call
	target Target
	full   bool
	seen   map[string]bool
	report Report

	// The batch.
	added   []catalogmodel.Entity
	removed []string
	lines   map[string]int // by ref
	size    int
}

func (i *importer) refuse(line int, ref string, err error) {
	if i.report.Failed++; len(i.report.Errors) < mostErrors {
		i.report.Errors = append(i.report.Errors, LineError{Line: line, EntityRef: ref, Message: err.Error()})
	}
}

// line adds what a line says to the batch.
func (i *importer) line(number int, text []byte) {
	e, err := catalogmodel.ParseJSON(text)
	if err != nil {
		i.refuse(number, "", err)
		return
	}
	deleted := !i.full && e.Get("delete").Exists()
	var ref string
	if deleted {
		ref, err = parseDelete(text)
	} else {
		if e, err = clean(e); err == nil || e.Kind() != "" && e.Name() != "" {
			ref = e.Ref().String()
		}
	}
	if err == nil && i.seen[ref] {
		err = errors.New("an earlier line has the same entity")
	}
	if err != nil {
		i.refuse(number, ref, err)
		return
	}
	i.seen[ref] = true
	if i.lines == nil {
		i.lines = map[string]int{}
	}
	i.lines[ref] = number
	i.size += len(text)
	if deleted {
		i.removed = append(i.removed, ref)
	} else {
		i.added = append(i.added, e)
	}
}

func parseDelete(text []byte) (string, error) {
	var line struct {
		Delete string `json:"delete"`
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return "", err
	}
	ref, err := catalogmodel.ParseRef(line.Delete, catalogmodel.RefDefaults{})
	return ref.String(), err
}

// clean checks an entity and takes from it what the catalog adds itself: what was exported can be imported.
func clean(e catalogmodel.Entity) (catalogmodel.Entity, error) {
	for _, path := range [][]string{{"relations"}, {"status"}, {"metadata", "uid"}, {"metadata", "etag"},
		{"metadata", "annotations", catalogmodel.AnnotationOrphan}} {
		e = e.Without(path...)
	}
	// Who imports must not get at files of this machine: those of an entity from a file may be read by placeholders.
	for _, name := range []string{catalogmodel.AnnotationManagedByLocation, catalogmodel.AnnotationManagedByOriginLocation} {
		if location, err := catalogmodel.ParseLocationRef(e.Annotation(name)); err != nil || location.Type != "url" {
			e = e.Without("metadata", "annotations", name)
		}
	}
	if err := validate(e); err != nil {
		return e, err
	}
	_, err := query.Terms(e)
	return e, err
}

// validate checks what can be told of an entity before it is processed: processors know further kinds, and fill in placeholders.
func validate(e catalogmodel.Entity) error {
	registry := catalogmodel.Default()
	err := registry.Validate(e)
	if invalid := (*catalogmodel.ValidationError)(nil); errors.As(err, &invalid) && invalid.UnknownKind() || err != nil && hasPlaceholder(e.Spec()) {
		return registry.ValidateEnvelope(e)
	}
	return err
}

// hasPlaceholder tells whether there is something like {$text: …} in a value.
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

func (i *importer) batchIsFull() bool {
	return len(i.added)+len(i.removed) >= batchLines || i.size >= batchBytes
}

// flush hands the batch to the target.
func (i *importer) flush() error {
	if len(i.added)+len(i.removed) == 0 {
		return nil
	}
	conflicts, err := i.target.Apply(i.ctx, i.added, i.removed)
	if err != nil {
		return err
	}
	for _, c := range conflicts {
		i.refuse(i.lines[c.Ref], c.Ref, fmt.Errorf("somebody else has brought the entity already, with the location key %s", c.Existing))
	}
	i.report.Accepted += len(i.added) - len(conflicts)
	i.report.Removed += len(i.removed)
	i.added, i.removed, i.lines, i.size = nil, nil, nil, 0
	return nil
}

// finish takes away what a full import has not.
func (i *importer) finish() error {
	if !i.full {
		return nil
	}
	if i.report.Failed > 0 {
		i.report.Kept = true
		return nil
	}
	brought, err := i.target.Brought(i.ctx)
	if err != nil {
		return err
	}
	var gone []string
	for _, ref := range brought {
		if !i.seen[ref] {
			gone = append(gone, ref)
		}
	}
	i.report.Removed = len(gone)
	_, err = i.target.Apply(i.ctx, nil, gone)
	return err
}
