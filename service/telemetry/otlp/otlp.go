// Package otlp sends the metrics and traces of a backend to an OpenTelemetry collector, or to whatever else takes OTLP. It is a module of
// its own, since the protocol's libraries (Protocol Buffers of it, gRPC) would make each backend a quarter larger, in memory too.
//
// An adopter adds it to a backend:
//
//	backend.Main(catalog.Plugin(), …, otlp.Exporters())
//
// and configures it:
//
//	backend:
//	  tracing:
//	    otlp:
//	      endpoint: http://collector:4318      # /v1/traces is added; http://localhost:4318 by default
//	      headers: { Authorization: ${OTLP_TOKEN} }
//	  metrics:
//	    otlp:
//	      endpoint: http://collector:4317
//	      protocol: grpc                       # or http/protobuf, the default
//
// or by the environment variables of OpenTelemetry: OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _PROTOCOL, _COMPRESSION, _TIMEOUT,
// _CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY, each also for one of both (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT); OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER, which are otlp or none;
// OTEL_METRIC_EXPORT_INTERVAL. What is neither configured nor in the environment is not sent. The configuration has precedence.
//
// What can't be sent is lost, which is logged.
package otlp

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

const (
	tracesKey  = "backend.tracing.otlp"
	metricsKey = "backend.metrics.otlp"
	protoGRPC  = "grpc"
	protoHTTP  = "http/protobuf"

	// defaultTimeout is that of OpenTelemetry.
	defaultTimeout = 10 * time.Second
)

// settings are where and how one kind of data is sent.
type settings struct {
	Endpoint string            `schema:"format=uri" doc:"The URL of the receiver, http://localhost:4318 by default."`
	Protocol string            `schema:"enum=grpc|http/protobuf" doc:"http/protobuf by default."`
	Headers  map[string]string `schema:"deepVisibility=secret" doc:"Headers that requests to the receiver have."`

	timeout time.Duration // of sending once, with all tries
}

// Exporters sends what the configuration, or the environment, says.
func Exporters() backend.Feature {
	return backend.Loader(func(_ context.Context, cfg service.Config) ([]backend.Feature, error) {
		var features []backend.Feature
		if wanted(cfg, tracesKey, "TRACES") {
			features = append(features, service.RootGroup[sdktrace.SpanExporter](newSpanExporter,
				service.ConfigSchema(config.SchemaOf[settings](tracesKey))))
		}
		if wanted(cfg, metricsKey, "METRICS") {
			features = append(features, service.RootGroup[sdkmetric.Reader](newReader,
				service.ConfigSchema(config.SchemaOf[settings](metricsKey))))
		}
		return features, nil
	})
}

// wanted tells whether one kind of data, TRACES or METRICS, is to be sent.
func wanted(cfg service.Config, key, kind string) bool {
	exporters := strings.Split(os.Getenv("OTEL_"+kind+"_EXPORTER"), ",")
	switch {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"):
		return false
	case cfg.Has(key), slices.Contains(exporters, "otlp"):
		return true
	case exporters[0] != "":
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+kind+"_ENDPOINT") != ""
}

// environment is a variable of OpenTelemetry, and its value: the one for this kind of data, or else that for all.
func environment(kind, name string) (variable, value string) {
	for _, variable = range []string{"OTEL_EXPORTER_OTLP_" + kind + "_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value = os.Getenv(variable); value != "" {
			break
		}
	}
	return variable, value
}

// read reads the settings of one kind of data. Its path is what receivers have for it below their URLs.
func read(cfg service.Config, key, kind, path string) (settings, error) {
	s := settings{Protocol: protoHTTP, timeout: defaultTimeout}
	if _, value := environment(kind, "PROTOCOL"); value != "" {
		s.Protocol = value
	}
	if s.Protocol != protoGRPC && s.Protocol != protoHTTP {
		return s, fmt.Errorf("otlp: the environment asks for the protocol %q; there are %s and %s", s.Protocol, protoGRPC, protoHTTP)
	}
	if variable, value := environment(kind, "TIMEOUT"); value != "" {
		ms, err := strconv.Atoi(value)
		if err != nil || ms <= 0 {
			return s, fmt.Errorf("otlp: the environment variable %s is %q; it has to be a number of milliseconds", variable, value)
		}
		s.timeout = time.Duration(ms) * time.Millisecond
	}
	if err := cfg.Decode(key, &s); err != nil {
		return s, err
	}
	if s.Endpoint != "" && s.Protocol == protoHTTP {
		full, err := url.JoinPath(s.Endpoint, path)
		if err != nil {
			return s, fmt.Errorf("otlp: %s.endpoint: %w", key, err)
		}
		s.Endpoint = full
	}
	return s, nil
}

func newSpanExporter(ctx context.Context, cfg service.Config, log service.RootLogger, lifecycle fx.Lifecycle) (sdktrace.SpanExporter, error) {
	s, err := read(cfg, tracesKey, "TRACES", "v1/traces")
	if err != nil {
		return nil, err
	}
	var client otlptrace.Client
	if s.Protocol == protoGRPC {
		var options []otlptracegrpc.Option
		if s.Endpoint != "" {
			options = append(options, otlptracegrpc.WithEndpointURL(s.Endpoint))
		}
		if s.Headers != nil {
			options = append(options, otlptracegrpc.WithHeaders(s.Headers))
		}
		client = otlptracegrpc.NewClient(options...)
	} else {
		httpClient, err := newHTTPClient("TRACES", lifecycle)
		if err != nil {
			return nil, err
		}
		options := []otlptracehttp.Option{otlptracehttp.WithHTTPClient(httpClient)}
		if s.Endpoint != "" {
			options = append(options, otlptracehttp.WithEndpointURL(s.Endpoint))
		}
		if s.Headers != nil {
			options = append(options, otlptracehttp.WithHeaders(s.Headers))
		}
		client = otlptracehttp.NewClient(options...)
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("otlp: sending traces: %w", err)
	}
	return &spanExporter{exporter, s.timeout, outage{log: log.Logger, what: "traces"}}, nil
}

func newReader(ctx context.Context, cfg service.Config, log service.RootLogger, lifecycle fx.Lifecycle) (sdkmetric.Reader, error) {
	s, err := read(cfg, metricsKey, "METRICS", "v1/metrics")
	if err != nil {
		return nil, err
	}
	var exporter sdkmetric.Exporter
	if s.Protocol == protoGRPC {
		var options []otlpmetricgrpc.Option
		if s.Endpoint != "" {
			options = append(options, otlpmetricgrpc.WithEndpointURL(s.Endpoint))
		}
		if s.Headers != nil {
			options = append(options, otlpmetricgrpc.WithHeaders(s.Headers))
		}
		exporter, err = otlpmetricgrpc.New(ctx, options...)
	} else {
		httpClient, err := newHTTPClient("METRICS", lifecycle)
		if err != nil {
			return nil, err
		}
		options := []otlpmetrichttp.Option{otlpmetrichttp.WithHTTPClient(httpClient)}
		if s.Endpoint != "" {
			options = append(options, otlpmetrichttp.WithEndpointURL(s.Endpoint))
		}
		if s.Headers != nil {
			options = append(options, otlpmetrichttp.WithHeaders(s.Headers))
		}
		exporter, err = otlpmetrichttp.New(ctx, options...)
	}
	if err != nil {
		return nil, fmt.Errorf("otlp: sending metrics: %w", err)
	}
	return sdkmetric.NewPeriodicReader(&metricExporter{exporter, s.timeout, outage{log: log.Logger, what: "metrics"}}), nil
}
