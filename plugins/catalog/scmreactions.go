package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// scmReactions are what catalog.scmEvents wants done: nothing, unless it says so.
type scmReactions struct {
	Refresh    bool `config:"refresh"`
	Unregister bool `config:"unregister"`
	Move       bool `config:"move"`
}

func readSCMReactions(cfg service.Config) (scmReactions, error) {
	var value any
	if err := cfg.Decode("catalog.scmEvents", &value); err != nil || value == nil || value == false {
		return scmReactions{}, err
	}
	wanted := scmReactions{Refresh: true, Unregister: true, Move: true}
	if value == true {
		return wanted, nil
	}
	return wanted, cfg.Decode("catalog.scmEvents", &wanted)
}

// scmFollower keeps the catalog in step with source control.
type scmFollower struct {
	want     scmReactions
	store    *store.Store
	entities *index.Index
	messages metric.Int64Counter
	actions  metric.Int64Counter
	wake     func()
	log      *slog.Logger
}

// follow subscribes to the events of sources.
func (f *scmFollower) follow(events service.Events, sources []SCMEventSource) error {
	if f.want == (scmReactions{}) {
		return nil
	}
	for _, source := range sources {
		if err := events.Subscribe(service.Subscription{
			// Durable: one replica is enough to act on it, and nobody tells again what is missed.
			ID: source.ID, Topics: source.Topics, Durable: true,
			OnEvent: func(ctx context.Context, event service.Event) error {
				told, err := source.Translate(ctx, event)
				if err != nil {
					return err
				}
				return f.react(ctx, told)
			},
		}); err != nil {
			return err
		}
	}
	return nil
}

// react does what is wanted about events. What is done already, it doesn't do again.
func (f *scmFollower) react(ctx context.Context, events []SCMEvent) error {
	defer f.wake()
	var changed []string // the keys of files
	for _, e := range events {
		about, _, _ := strings.Cut(string(e.Type), ".")
		f.messages.Add(ctx, 1, metric.WithAttributes(attribute.String("eventType", about)))
		var err error
		switch e.Type {
		case LocationMoved, RepositoryMoved:
			if f.want.Move {
				err = f.move(ctx, e)
			}
		case LocationDeleted, RepositoryDeleted:
			if f.want.Unregister {
				err = f.unregister(ctx, e)
			}
		case RepositoryUpdated:
			if f.want.Refresh {
				err = f.refreshBelow(ctx, e.URL)
			}
		}
		if err != nil {
			return fmt.Errorf("catalog: following the event %s of %s: %w", e.Type, e.URL, err)
		}
		switch e.Type {
		case LocationUpdated, LocationDeleted, LocationMoved:
			changed = append(changed, keysOfFile(e.URL)...)
		}
	}
	if !f.want.Refresh || len(changed) == 0 {
		return nil
	}
	n, err := f.store.RefreshByKeys(ctx, changed)
	f.took(ctx, "refresh", n)
	return err
}

func (f *scmFollower) took(ctx context.Context, action string, n int) {
	if n > 0 {
		f.actions.Add(ctx, int64(n), metric.WithAttributes(attribute.String("action", action)))
	}
}

// keysOfFile are the names by which the catalog remembers a file: the URLs that led there, which may show a file or a tree.
func keysOfFile(url string) []string {
	return []string{"url:" + url, "url:" + strings.Replace(url, "/blob/", "/tree/", 1)}
}

// refreshBelow processes anew what was read in a repository.
func (f *scmFollower) refreshBelow(ctx context.Context, url string) error {
	prefix := "url:" + strings.ToLower(strings.TrimRight(url, "/")) + "/"
	var where query.Any
	for _, annotation := range []string{catalogmodel.AnnotationManagedByLocation, catalogmodel.AnnotationManagedByOriginLocation} {
		where = append(where, query.HasPrefix{Key: strings.ToLower("metadata.annotations." + annotation), Prefix: prefix})
	}
	found, _ := f.entities.List(where, nil, 0, -1)
	refs := make([]string, len(found))
	for i, entity := range found {
		e, err := catalogmodel.ParseJSON(entity.JSON())
		if err != nil {
			return err
		}
		refs[i] = e.Ref().String()
	}
	f.took(ctx, "refresh", len(refs))
	return f.store.Due(ctx, refs)
}

// registered calls fn with the registered locations that an event is about, and what their URLs have after that of the event.
func (f *scmFollower) registered(ctx context.Context, e SCMEvent, fn func(l store.RegisteredLocation, rest string) error) error {
	all, err := f.store.Locations(ctx)
	if err != nil {
		return err
	}
	whole := e.Type == RepositoryMoved || e.Type == RepositoryDeleted
	for _, l := range all {
		rest, ok := after(l.Target, strings.TrimRight(e.URL, "/"))
		if l.Type != "url" || !ok || rest != "" && !whole {
			continue
		}
		if err := fn(l, rest); err != nil && !errors.Is(err, service.NotFoundError) { // gone in the meantime
			return err
		}
	}
	return nil
}

// after is what a URL has after the one of something that it is in, or is, whether it shows a file or a tree.
func after(url, prefix string) (rest string, ok bool) {
	for _, form := range []string{url, strings.Replace(url, "/tree/", "/blob/", 1)} {
		if rest, ok := strings.CutPrefix(form, prefix); ok && (rest == "" || rest[0] == '/') {
			return rest, true
		}
	}
	return "", false
}

func (f *scmFollower) unregister(ctx context.Context, e SCMEvent) error {
	return f.registered(ctx, e, func(l store.RegisteredLocation, _ string) error {
		if _, err := f.store.Unregister(ctx, l.ID); err != nil {
			return err
		}
		f.log.InfoContext(ctx, "Unregistered a location that is gone", "location", l.Target, "event", string(e.Type))
		f.took(ctx, "delete", 1)
		return nil
	})
}

// move gives registered locations their new URLs. One whose new URL is registered already is not needed any more.
func (f *scmFollower) move(ctx context.Context, e SCMEvent) error {
	if e.MovedTo == "" || e.MovedTo == e.URL {
		return nil
	}
	return f.registered(ctx, e, func(l store.RegisteredLocation, rest string) error {
		target := strings.TrimRight(e.MovedTo, "/") + rest
		_, err := f.store.Move(ctx, l.ID, l.Type, target, ingest.RegisteredEntity)
		if errors.Is(err, service.ConflictError) {
			_, err = f.store.Unregister(ctx, l.ID)
		}
		if err != nil {
			return err
		}
		f.log.InfoContext(ctx, "Moved a registered location", "location", l.Target, "to", target, "event", string(e.Type))
		f.took(ctx, "move", 1)
		return nil
	})
}
