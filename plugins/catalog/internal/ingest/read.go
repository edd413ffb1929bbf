package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"sync"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/service"
)

// reading counts how reading the targets of a Location went.
type reading struct {
	modified, unmodified int
}

// follow reads what a Location points to. Whatever is wrong with one target or entity is no matter to the others. As long as something
// can't be read, what it has led to before stays.
func (r *run) follow(ctx context.Context, e catalogmodel.Entity) {
	own := r.from.Location
	spec, err := catalogmodel.Location.Spec(e)
	if err != nil {
		r.report(ctx, own, inputError("%s", err))
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
	r.next.ETags = map[string]string{}
	for _, target := range targets {
		location := catalogmodel.LocationRef{Type: typ, Target: target}
		err := r.readLocation(ctx, &location, spec.Presence == "optional")
		if err != nil {
			r.report(ctx, location, err)
			r.result.Partial = true
		}
	}
	if len(r.result.Errors) > 0 {
		r.next.ETags = nil
	}
}

// readLocation reads the entities at a location, which is made absolute.
func (r *run) readLocation(ctx context.Context, location *catalogmodel.LocationRef, optional bool) error {
	switch {
	case location.Type == fileType && !r.processors.disabled[fileProcessor]:
		r.read.modified++
		if r.from.Location.Type != fileType {
			return inputError("%s may not be read: only a file may point to files", location)
		}
		location.Target = resolveFile(r.from.Location.Target, location.Target)
		return r.readFiles(ctx, *location, optional)
	case location.Type == urlType && !r.processors.disabled[urlProcessor]:
		if r.from.Location.Type == urlType {
			target, err := r.integrations.ResolveURL(location.Target, r.from.Location.Target, 0)
			if err != nil {
				return inputError("Location %s points to %s: %s", r.from.Location, location.Target, err)
			}
			location.Target = target
		}
		return r.readURL(ctx, *location, optional)
	}
	r.read.modified++
	for _, reader := range r.processors.readers {
		key := reader.Name() + " " + location.String()
		out := processor.Output{Cache: r.cached(key)}
		handled, err := reader.ReadLocation(ctx, *location, optional, &out)
		if !handled && err == nil {
			continue
		}
		r.caches[key] = out.Cache
		r.result.Partial = r.result.Partial || len(out.Errors) > 0
		r.collect(ctx, out)
		if err != nil {
			return fmt.Errorf("processor %s: %w", reader.Name(), err)
		}
		return nil
	}
	return inputError("No processor was able to handle reading of %s", location)
}

// readFiles reads the entities of a file, or of all those that the pattern in the place of one matches.
func (r *run) readFiles(ctx context.Context, location catalogmodel.LocationRef, optional bool) error {
	r.result.RefreshKeys = append(r.result.RefreshKeys, location.String()) // also if there is nothing yet
	names, err := matchFiles(location.Target, r.from.Origin.Target)
	if err != nil {
		return fmt.Errorf("%s %s could not be read: %w", location.Type, location.Target, err)
	}
	for _, name := range names {
		if failure := r.readFile(ctx, catalogmodel.LocationRef{Type: fileType, Target: name}); failure != nil {
			err = errors.Join(err, fmt.Errorf("%s %s could not be read: %w", location.Type, name, failure))
		}
	}
	if len(names) == 0 || len(names) == 1 && isMissing(err) {
		if optional {
			return nil
		}
		return service.NotFoundError.Errorf("%s %s does not exist", location.Type, location.Target)
	}
	return err
}

func (r *run) readFile(ctx context.Context, location catalogmodel.LocationRef) (err error) {
	f, err := openFile(location.Target, r.from.Origin.Target, maxEntityFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r.parse(ctx, f, location)
	return nil
}

// readURL reads the entities of the file at a URL, or of all those that its pattern matches. The words of its errors are Backstage's.
func (r *run) readURL(ctx context.Context, location catalogmodel.LocationRef, optional bool) error {
	leave, err := r.hosts.enter(ctx, location.Target)
	if err != nil {
		return err
	}
	defer leave()
	r.result.RefreshKeys = append(r.result.RefreshKeys, location.String()) // also if there is nothing yet
	etag := r.last.ETags[location.Target]
	found, err := r.urls.Search(ctx, location.Target, service.URLReadOptions{ETag: etag})
	if errors.Is(err, service.NotModifiedError) {
		r.read.unmodified++
		return nil
	}
	r.read.modified++
	switch {
	case errors.Is(err, service.NotFoundError) && optional:
		return nil
	case errors.Is(err, service.NotFoundError):
		return service.NotFoundError.Errorf("Unable to read url, %s", err)
	case err != nil:
		return fmt.Errorf("Unable to read url, %w", unnamed{err}) //nolint:revive,staticcheck // as Backstage says it
	case len(found.Files) == 0 && !optional:
		return service.NotFoundError.Errorf("Unable to read url, no matching files found for %s", location.Target)
	}
	for _, file := range found.Files {
		content, err := file.Content(ctx)
		if err != nil {
			return fmt.Errorf("Unable to read url, %w", unnamed{err}) //nolint:revive,staticcheck // as Backstage says it
		}
		r.parse(ctx, bytes.NewReader(content), catalogmodel.LocationRef{Type: urlType, Target: file.URL})
	}
	if found.ETag != "" {
		r.next.ETags[location.Target] = found.ETag
	}
	return nil
}

// unnamed is an error without its name: what can't be read is an Error to Backstage, whatever the reason.
type unnamed struct{ error }

// parse reads the entities of a stream. Those that are malformed are reported.
func (r *run) parse(ctx context.Context, stream io.Reader, location catalogmodel.LocationRef) {
	for e, err := range r.parseFile(stream, location.Target) {
		if err != nil {
			r.report(ctx, location, inputError("%s", err))
			r.result.Partial = true // which entity it was meant to be is unknown
			continue
		}
		r.emit(ctx, processor.Emitted{Entity: e, Location: location})
	}
}

// maxPerHost is how many files are read from one server at a time, so that one that hangs does not hold up others, and none is overrun.
const maxPerHost = 16

// hosts are the servers that files are being read from. The zero value is ready for use.
type hosts struct {
	mu    sync.Mutex
	slots map[string]chan struct{}
}

// enter waits until a file may be read from the server of the URL. Leave ends it.
func (h *hosts) enter(ctx context.Context, rawURL string) (leave func(), err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, inputError("Unable to read url, it is not one: %s", rawURL)
	}
	h.mu.Lock()
	if h.slots == nil {
		h.slots = map[string]chan struct{}{}
	}
	maps.DeleteFunc(h.slots, func(host string, slots chan struct{}) bool { return host != u.Host && len(slots) == 0 })
	slots := h.slots[u.Host]
	if slots == nil {
		slots = make(chan struct{}, maxPerHost)
		h.slots[u.Host] = slots
	}
	h.mu.Unlock()
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
