package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/jonboulle/clockwork"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/service/internal/instrument"
)

// observer records metrics and spans of runs, under the names that they have in Backstage.
type observer struct {
	tracer                     trace.Tracer
	clock                      clockwork.Clock
	runs                       metric.Int64Counter
	duration                   metric.Float64Histogram
	lastStarted, lastCompleted metric.Float64Gauge
}

func newObserver(meter metric.Meter, tracer trace.Tracer, clock clockwork.Clock) (*observer, error) {
	o := &observer{tracer: tracer, clock: clock}
	errs := make([]error, 4)
	o.runs, errs[0] = meter.Int64Counter("backend_tasks.task.runs.count", metric.WithDescription("Total number of times a task has been run"))
	o.duration, errs[1] = meter.Float64Histogram("backend_tasks.task.runs.duration", metric.WithUnit("s"),
		metric.WithDescription("Histogram of task run durations"),
		metric.WithExplicitBucketBoundaries(0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800))
	o.lastStarted, errs[2] = meter.Float64Gauge("backend_tasks.task.runs.started", metric.WithUnit("s"),
		metric.WithDescription("Epoch timestamp seconds when the task was last started"))
	o.lastCompleted, errs[3] = meter.Float64Gauge("backend_tasks.task.runs.completed", metric.WithUnit("s"),
		metric.WithDescription("Epoch timestamp seconds when the task was last completed"))
	return o, errors.Join(errs...)
}

// begin is called before a run, and what it returns after it.
func (o *observer) begin(ctx context.Context, t *task) (context.Context, func(error)) {
	id, scope := attribute.String("taskId", t.ID), attribute.String("scope", string(t.Scope))
	began := o.clock.Now()
	o.runs.Add(ctx, 1, metric.WithAttributes(id, scope, attribute.String("result", "started")))
	o.lastStarted.Record(ctx, epoch(began), metric.WithAttributes(id))
	ctx, span := o.tracer.Start(ctx, "task "+t.ID, trace.WithAttributes(id, scope))
	return ctx, func(err error) {
		instrument.End(span, err)
		result := attribute.String("result", "completed")
		if err != nil {
			result = attribute.String("result", "failed")
		}
		ended := o.clock.Now()
		all := metric.WithAttributes(id, scope, result)
		o.runs.Add(ctx, 1, all)
		o.duration.Record(ctx, ended.Sub(began).Seconds(), all)
		o.lastCompleted.Record(ctx, epoch(ended), all)
	}
}

func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
