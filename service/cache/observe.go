package cache

import (
	"context"
	"errors"
	"time"

	"github.com/eko/gocache/lib/v4/store"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/service/internal/instrument"
	"github.com/portico-dev/portico/service/telemetry"
)

const instrumentationScope = "github.com/portico-dev/portico/service/cache"

// observer records metrics and spans of caches.
type observer struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
}

// newObserver returns nil if nobody wants to know.
func newObserver(providers telemetry.Providers) (*observer, error) {
	if !providers.On() {
		return nil, nil
	}
	duration, err := providers.Meters.Meter(instrumentationScope).Float64Histogram("cache.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of cache operations."), instrument.Seconds())
	return &observer{tracer: providers.Tracers.Tracer(instrumentationScope), duration: duration}, err
}

// store is a store that is observed.
func (o *observer) store(inner store.StoreInterface, pluginID string) store.StoreInterface {
	return &observedStore{StoreInterface: inner, observer: o, plugin: instrument.Plugin(pluginID),
		system: attribute.String("cache.store", inner.GetType())}
}

type observedStore struct {
	store.StoreInterface
	*observer
	plugin, system attribute.KeyValue
}

// observe is called before an operation, and what it returns after it. Operations alone have no spans.
func (s *observedStore) observe(ctx context.Context, name string) (context.Context, func(error)) {
	began := time.Now()
	operation := attribute.String("cache.operation", name)
	var span trace.Span
	if trace.SpanFromContext(ctx).IsRecording() {
		ctx, span = s.tracer.Start(ctx, "cache "+name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(operation, s.system, s.plugin))
	}
	return ctx, func(err error) {
		attributes := []attribute.KeyValue{operation, s.system, s.plugin}
		missed := errors.Is(err, store.NotFound{})
		switch {
		case name == "get":
			attributes = append(attributes, attribute.Bool("cache.hit", err == nil))
		case err != nil && !missed:
			attributes = append(attributes, instrument.ErrorType(err))
		}
		s.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(attributes...))
		if span == nil {
			return
		}
		span.SetAttributes(attributes[3:]...)
		if missed {
			err = nil
		}
		instrument.End(span, err)
	}
}

// Get implements store.StoreInterface.
func (s *observedStore) Get(ctx context.Context, key any) (value any, err error) {
	ctx, end := s.observe(ctx, "get")
	defer func() { end(err) }()
	return s.StoreInterface.Get(ctx, key)
}

// GetWithTTL implements store.StoreInterface.
func (s *observedStore) GetWithTTL(ctx context.Context, key any) (value any, ttl time.Duration, err error) {
	ctx, end := s.observe(ctx, "get")
	defer func() { end(err) }()
	return s.StoreInterface.GetWithTTL(ctx, key)
}

// Set implements store.StoreInterface.
func (s *observedStore) Set(ctx context.Context, key, value any, options ...store.Option) (err error) {
	ctx, end := s.observe(ctx, "set")
	defer func() { end(err) }()
	return s.StoreInterface.Set(ctx, key, value, options...)
}

// Delete implements store.StoreInterface.
func (s *observedStore) Delete(ctx context.Context, key any) (err error) {
	ctx, end := s.observe(ctx, "delete")
	defer func() { end(err) }()
	return s.StoreInterface.Delete(ctx, key)
}

// Invalidate implements store.StoreInterface.
func (s *observedStore) Invalidate(ctx context.Context, options ...store.InvalidateOption) (err error) {
	ctx, end := s.observe(ctx, "invalidate")
	defer func() { end(err) }()
	return s.StoreInterface.Invalidate(ctx, options...)
}

// Clear implements store.StoreInterface.
func (s *observedStore) Clear(ctx context.Context) (err error) {
	ctx, end := s.observe(ctx, "clear")
	defer func() { end(err) }()
	return s.StoreInterface.Clear(ctx)
}
