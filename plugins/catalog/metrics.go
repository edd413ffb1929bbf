package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// metrics measures the catalog, by the names of Backstage's instruments where it has one (see the documentation of the package).
type metrics struct {
	processed metric.Int64Counter
	duration  metric.Float64Histogram
	// processors is how long processors took, and delay for how long entities had been due when they were claimed.
	processors, delay metric.Float64Histogram
	made              metric.Int64Counter
	conflicts         metric.Int64Counter
	// scmMessages counts what source control told of, and scmActions what was done for it.
	scmMessages, scmActions metric.Int64Counter
}

func newMetrics(meter metric.Meter, entities *index.Index, s *store.Store) (*metrics, error) {
	m := &metrics{}
	// From what is settled to what waits for a file until it gives up.
	processingTimes := metric.WithExplicitBucketBoundaries(0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120)
	errs := make([]error, 11)
	m.processed, errs[0] = meter.Int64Counter("catalog.processed.entities.count",
		metric.WithDescription("Entities that were processed, by how that went."))
	m.duration, errs[1] = meter.Float64Histogram("catalog.processing.duration", metric.WithUnit("s"),
		metric.WithDescription("How long processing one entity took."), processingTimes)
	m.processors, errs[2] = meter.Float64Histogram("catalog.processors.duration", metric.WithUnit("s"),
		metric.WithDescription("How long the processors took for one entity."), processingTimes)
	m.delay, errs[3] = meter.Float64Histogram("catalog.processing.queue.delay", metric.WithUnit("s"),
		metric.WithDescription("For how long an entity had been due when processing it began."),
		metric.WithExplicitBucketBoundaries(0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600))
	m.made, errs[4] = meter.Int64Counter("catalog.stitched.entities.count",
		metric.WithDescription("Final entities that were made, by whether they differ from those before."))
	m.conflicts, errs[5] = meter.Int64Counter("catalog.conflicts.count",
		metric.WithDescription("Entities that were refused, as somebody else had brought them."))
	m.scmMessages, errs[6] = meter.Int64Counter("catalog.events.scm.messages",
		metric.WithDescription("What source control told of, by whether it is about a file or a repository."))
	m.scmActions, errs[7] = meter.Int64Counter("catalog.events.scm.actions",
		metric.WithDescription("What was done because source control told of something."))
	_, errs[8] = meter.Int64ObservableGauge("catalog_entities_count", metric.WithDescription("Entities that are served, by kind."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, facet := range entities.Facets(nil, []string{"kind"})["kind"] {
				o.Observe(int64(facet.Count), metric.WithAttributes(attribute.String("kind", facet.Value)))
			}
			return nil
		}))
	_, errs[9] = meter.Int64ObservableGauge("catalog.stitching.queue.length", metric.WithDescription("Final entities that wait to be made."),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			n, err := s.QueueLength(ctx)
			if err == nil {
				o.Observe(n)
			}
			return err
		}))
	_, errs[10] = meter.Int64ObservableGauge("catalog_registered_locations_count", metric.WithDescription("Locations that are registered over the API."),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			all, err := s.Locations(ctx)
			if err == nil {
				o.Observe(int64(len(all)))
			}
			return err
		}))
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return m, nil
}

// took measures processing one entity.
func (m *metrics) took(ctx context.Context, duration time.Duration, result store.Result) {
	outcome := "changed"
	switch {
	case result.Unchanged:
		outcome = "unchanged"
	case result.JSON == nil:
		outcome = "errors"
	}
	with := metric.WithAttributes(attribute.String("result", outcome))
	m.processed.Add(ctx, 1, with)
	m.duration.Record(ctx, duration.Seconds(), with)
	outcome = "ok"
	if result.JSON == nil && !result.Unchanged {
		outcome = "failed"
	}
	m.processors.Record(ctx, duration.Seconds(), metric.WithAttributes(attribute.String("result", outcome)))
}

// waited measures for how long entities had been due.
func (m *metrics) waited(ctx context.Context, delays []time.Duration) {
	for _, delay := range delays {
		m.delay.Record(ctx, delay.Seconds())
	}
}

// stitched measures how many final entities were made.
func (m *metrics) stitched(ctx context.Context, changed, unchanged int) {
	for result, n := range map[string]int{"changed": changed, "unchanged": unchanged} {
		m.made.Add(ctx, int64(n), metric.WithAttributes(attribute.String("result", result)))
	}
}
