package catalog

import (
	"context"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"
	"go.opentelemetry.io/otel/metric"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Topics of events that the catalog publishes, with the payloads of Backstage.
const (
	// ErrorsTopic tells of an entity that was processed with errors, when they are not those of the time before: [ProcessingErrors].
	ErrorsTopic = "experimental.catalog.errors"
	// ConflictTopic tells of an entity that was refused, as somebody else has brought it already: [EntityConflict].
	ConflictTopic = "experimental.catalog.conflict"
)

// ProcessingErrors is the payload of events on [ErrorsTopic].
type ProcessingErrors struct {
	// Entity is the ref of the entity.
	Entity string `json:"entity"`
	// Location is where it was read, such as url:https://github.com/org/repo/blob/main/catalog-info.yaml.
	Location string `json:"location"`
	// Errors are what is wrong with it.
	Errors []ProcessingError `json:"errors"`
}

// ProcessingError is one of the errors of an entity.
type ProcessingError struct {
	// Name is the kind of the error, such as InputError.
	Name string `json:"name"`
	// Message says what is wrong.
	Message string `json:"message"`
}

// EntityConflict is the payload of events on [ConflictTopic].
type EntityConflict struct {
	// EntityRef is the ref of the entity.
	EntityRef string `json:"entityRef"`
	// NewLocationKey is that of who was refused.
	NewLocationKey string `json:"newLocationKey"`
	// ExistingLocationKey is that of who was first.
	ExistingLocationKey string `json:"existingLocationKey"`
	// LastConflictAt is when that happened.
	LastConflictAt time.Time `json:"lastConflictAt"`
}

// publisher tells others what goes wrong with entities.
type publisher struct {
	events service.Events
	clock  clockwork.Clock
	log    *slog.Logger

	conflicts metric.Int64Counter
	failed    []func(context.Context, catalogmodel.Entity, ProcessingErrors) // of modules
}

func (p *publisher) processed(ctx context.Context, results []store.Result) {
	for _, result := range results {
		if len(result.Errors) == 0 {
			continue
		}
		payload := ProcessingErrors{Entity: result.Work.Ref, Errors: make([]ProcessingError, len(result.Errors))}
		for i, failure := range result.Errors {
			payload.Errors[i] = ProcessingError(failure)
		}
		e, err := catalogmodel.ParseJSON(result.Work.JSON)
		if err == nil {
			payload.Location = e.Annotation(catalogmodel.AnnotationManagedByLocation)
		}
		p.publish(ctx, ErrorsTopic, payload)
		for _, tell := range p.failed {
			if err := contain(func() error { tell(ctx, e, payload); return nil }); err != nil {
				p.log.ErrorContext(ctx, "A module that is told of errors panicked", panics.Attrs(err)...)
			}
		}
	}
}

func (p *publisher) refused(ctx context.Context, conflicts []store.Conflict) {
	p.conflicts.Add(ctx, int64(len(conflicts)))
	for _, c := range conflicts {
		p.log.WarnContext(ctx, "An entity is brought by somebody else already, or twice; the first one counts",
			"entity", c.Ref, "location", c.Key, "first", c.Existing)
		p.publish(ctx, ConflictTopic, EntityConflict{EntityRef: c.Ref, NewLocationKey: c.Key, ExistingLocationKey: c.Existing, LastConflictAt: p.clock.Now()})
	}
}

func (p *publisher) publish(ctx context.Context, topic string, payload any) {
	event, err := service.NewEvent(topic, payload)
	if err == nil {
		err = p.events.Publish(ctx, event)
	}
	if err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "An event could not be published", "topic", topic, "error", err)
	}
}
