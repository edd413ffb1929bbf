package telemetry

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
)

const (
	prometheusKey  = "backend.metrics.prometheus"
	prometheusPath = "/metrics"
	// defaultHost and defaultPort are those of OpenTelemetry's specification.
	defaultHost = "localhost"
	defaultPort = "9464"

	scrapeTimeout = 30 * time.Second
)

// prometheusSettings is backend.metrics.prometheus: true, false, or an object.
type prometheusSettings struct {
	on     bool
	listen string // empty: on the backend's own port
	token  string
}

// UnmarshalConfig implements what package config asks of a type with forms of its own.
func (s *prometheusSettings) UnmarshalConfig(decode func(dst any) error) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	if _, ok := value.(map[string]any); !ok {
		return decode(&s.on)
	}
	var object struct{ Listen, Token string }
	if err := decode(&object); err != nil {
		return err
	}
	*s = prometheusSettings{on: true, listen: object.Listen, token: object.Token}
	return nil
}

func readPrometheusSettings(cfg service.Config) (prometheusSettings, error) {
	s := prometheusSettings{on: slices.Contains(strings.Split(os.Getenv("OTEL_METRICS_EXPORTER"), ","), "prometheus")}
	if err := cfg.Decode(prometheusKey, &s); err != nil {
		return s, err
	}
	if s.on && s.listen == "" && s.token == "" {
		s.listen = net.JoinHostPort(env("OTEL_EXPORTER_PROMETHEUS_HOST", defaultHost), env("OTEL_EXPORTER_PROMETHEUS_PORT", defaultPort))
	}
	s.on = s.on && !disabled()
	return s, nil
}

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// prometheusExporter collects metrics for Prometheus.
type prometheusExporter struct {
	settings prometheusSettings
	reader   sdkmetric.Reader // nil when it is off
	handler  http.Handler
}

func newPrometheusExporter(cfg service.Config, log service.RootLogger) (*prometheusExporter, error) {
	settings, err := readPrometheusSettings(cfg)
	if err != nil || !settings.on {
		return &prometheusExporter{}, err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return nil, fmt.Errorf("telemetry: metrics of the process: %w", err)
	}
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("telemetry: metrics for Prometheus: %w", err)
	}
	return &prometheusExporter{settings, reader, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.With("service", "metrics").Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, Timeout: scrapeTimeout, EnableOpenMetrics: true,
	})}, nil
}

// ServeHTTP serves the metrics to who knows the token.
func (e *prometheusExporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.settings.token != "" {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(e.settings.token))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the bearer token of "+prometheusKey+" is needed", http.StatusUnauthorized)
			return
		}
	}
	e.handler.ServeHTTP(w, r)
}

// prometheusEndpoint is where Prometheus finds the metrics.
type prometheusEndpoint struct {
	server *http.Server
	served chan struct{} // closed when the server accepts no more
}

func newPrometheusEndpoint(exporter *prometheusExporter, routes *echo.Echo, log service.RootLogger, lifecycle fx.Lifecycle) *prometheusEndpoint {
	e := &prometheusEndpoint{}
	switch {
	case !exporter.settings.on:
	case exporter.settings.listen == "":
		routes.GET(prometheusPath, echo.WrapHandler(exporter))
	default:
		mux := http.NewServeMux()
		mux.Handle("GET "+prometheusPath, exporter)
		e.server = &http.Server{Addr: exporter.settings.listen, Handler: mux, ReadTimeout: scrapeTimeout, WriteTimeout: 2 * scrapeTimeout,
			MaxHeaderBytes: 1 << 16, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
		lifecycle.Append(fx.Hook{
			OnStart: func(ctx context.Context) error { return e.start(ctx, log.Logger) },
			OnStop:  e.stop,
		})
	}
	return e
}

func (e *prometheusEndpoint) start(ctx context.Context, log *slog.Logger) error {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", e.server.Addr)
	if err != nil {
		return fmt.Errorf("telemetry: metrics for Prometheus: can't listen on %s (%s.listen): %w", e.server.Addr, prometheusKey, err)
	}
	log.InfoContext(ctx, "Serving metrics for Prometheus", "url", "http://"+listener.Addr().String()+prometheusPath)
	e.served = make(chan struct{})
	go func() {
		defer close(e.served)
		if err := e.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("Metrics for Prometheus are not served any more", "error", err)
		}
	}()
	return nil
}

func (e *prometheusEndpoint) stop(ctx context.Context) error {
	err := e.server.Shutdown(ctx)
	if err != nil {
		_ = e.server.Close() // scrapes are cut
	}
	<-e.served
	return failed("stopping to serve metrics", err)
}
