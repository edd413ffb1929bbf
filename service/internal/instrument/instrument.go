// Package instrument has what services share that record metrics and spans.
package instrument

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/service"
)

// Seconds are the bucket boundaries that OpenTelemetry has for the durations of requests.
func Seconds() metric.HistogramOption {
	return metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
}

// Plugin is the attribute that tells which plugin something belongs to, by the name that Backstage gives it.
func Plugin(id string) attribute.KeyValue { return attribute.String("backstage.plugin.id", id) }

// End ends a span, as a failed one if there is an error. The message of the error isn't told: it may quote data.
func End(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetAttributes(ErrorType(err))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// ErrorType is the attribute error.type of an error: of few values.
func ErrorType(err error) attribute.KeyValue {
	var named *service.Error
	name := strings.TrimPrefix(fmt.Sprintf("%T", err), "*")
	switch {
	case errors.Is(err, context.Canceled):
		name = "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		name = "timeout"
	case errors.As(err, &named):
		name = string(named.Name)
	}
	return attribute.String("error.type", name)
}
