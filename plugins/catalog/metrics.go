package catalog

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/portico-dev/portico/plugins/catalog/internal/index"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
)

// metrics measures the catalog, by the names of Backstage's instruments.
type metrics struct {
	processed metric.Int64Counter
	duration  metric.Float64Histogram
	conflicts metric.Int64Counter
	// scmActions counts what was done because source control told of something.
	scmActions metric.Int64Counter
}

func newMetrics(meter metric.Meter, entities *index.Index, s *store.Store) (*metrics, error) {
	m := &metrics{}
	var err error
	if m.processed, err = meter.Int64Counter("catalog.processed.entities.count",
		metric.WithDescription("Entities that were processed, by how that went.")); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if m.duration, err = meter.Float64Histogram("catalog.processing.duration", metric.WithUnit("s"),
		metric.WithDescription("How long processing one entity took.")); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if m.conflicts, err = meter.Int64Counter("catalog.conflicts.count",
		metric.WithDescription("Entities that were refused, as somebody else had brought them.")); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if m.scmActions, err = meter.Int64Counter("catalog.events.scm.actions",
		metric.WithDescription("What was done because source control told of something.")); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	_, err = meter.Int64ObservableGauge("catalog.entities.count", metric.WithDescription("Entities that are served, by kind."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, facet := range entities.Facets(nil, []string{"kind"})["kind"] {
				o.Observe(int64(facet.Count), metric.WithAttributes(attribute.String("kind", facet.Value)))
			}
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	_, err = meter.Int64ObservableGauge("catalog.registered.locations.count", metric.WithDescription("Locations that are registered over the API."),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			all, err := s.Locations(ctx)
			if err == nil {
				o.Observe(int64(len(all)))
			}
			return err
		}))
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return m, nil
}

// took measures processing one entity.
func (m *metrics) took(ctx context.Context, duration time.Duration, result store.Result) {
	outcome := "ok"
	switch {
	case result.Unchanged:
		outcome = "unchanged"
	case result.JSON == nil:
		outcome = "failed"
	case len(result.Errors) > 0:
		outcome = "errors"
	}
	with := metric.WithAttributes(attribute.String("result", outcome))
	m.processed.Add(ctx, 1, with)
	m.duration.Record(ctx, duration.Seconds(), with)
}
