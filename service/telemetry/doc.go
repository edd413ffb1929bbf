// Package telemetry is where metrics and traces come from and go to, by OpenTelemetry.
//
// Plugins ask for a metric.Meter and a trace.Tracer, which are named after them (backstage-plugin-catalog), as in Backstage:
//
//	func start(meter metric.Meter, tracer trace.Tracer) error {
//		sold, err := meter.Int64Counter("shop.pens.sold")
//		…
//		ctx, span := tracer.Start(ctx, "restock")
//		defer span.End()
//
// Root services ask for the metric.MeterProvider, the trace.TracerProvider and the propagation.TextMapPropagator, which an adopter may
// replace with service.Root. There is no global provider. Unless something is configured to take them, metrics and spans go nowhere, and
// the services of a backend do not spend anything on them.
//
// # Metrics for Prometheus
//
//	backend:
//	  metrics:
//	    prometheus: true
//
// serves /metrics at localhost:9464, without credentials: the default of OpenTelemetry and Backstage. Metrics tell much about a portal, so
// that this is no port for the world. The environment variable OTEL_METRICS_EXPORTER=prometheus does the same, and
// OTEL_EXPORTER_PROMETHEUS_HOST and OTEL_EXPORTER_PROMETHEUS_PORT change the address. In the configuration:
//
//	prometheus:
//	  listen: ':9464'              # another address
//	  token: ${METRICS_TOKEN}      # scrapers send it as a bearer token; without listen, /metrics is on the portal's own port then
//
// Names are those of Prometheus: with units, and _total for counters.
//
// # Everything else
//
// Package service/telemetry/otlp, a module of its own, sends metrics and traces to an OpenTelemetry collector. Other exporters are added as
// members of two groups; they are shut down, and so flushed, when everything else has stopped:
//
//	service.RootGroup[sdkmetric.Reader](newReader)
//	service.RootGroup[sdktrace.SpanExporter](newExporter)
//
// The environment variables of OpenTelemetry's SDK have their meanings: OTEL_SERVICE_NAME
// (backstage by default), OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_…; OTEL_SDK_DISABLED=true turns all of it off.
//
// # What is recorded
//
// Names and attributes are those of OpenTelemetry's semantic conventions, and those of Backstage for its own concepts:
//
//	http.server.request.duration, http.server.active_requests, a span for each request ("GET /api/catalog/entities")
//	http.client.request.duration, a span for each call to other plugins and elsewhere by a plugin's *http.Client, and for each request by
//	which service.URLReader reads ("GET", with the URL without its query)
//	db.client.operation.duration, db.sql.connection.*, a span for each statement within another span, without its values ("SELECT")
//	cache.operation.duration, with whether it was a hit, a span for each operation within another span ("cache get")
//	backend_tasks.task.runs.*, a span for each run of a task ("task refresh")
//	messaging.client.sent.messages, messaging.process.duration, spans for events that are published and processed ("send github.push")
//	go.*, process.*
//
// Contexts of spans travel as W3C trace context: with requests between plugins, in memory too, with the other requests named above, and with
// events, also to other replicas. Baggage does not: what browsers send would end up at others' servers.
//
// `backend.tracing.capture.endUser: true` adds who makes a request to its span (enduser.id).
package telemetry
