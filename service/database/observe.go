package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/service/internal/instrument"
)

// openDB opens a database whose statements are recorded, if anybody wants to know of them. If not, nothing stands between.
func (m *Manager) openDB(connector driver.Connector, t target) (*sql.DB, error) {
	if !m.providers.On() {
		return sql.OpenDB(connector), nil
	}
	options := []otelsql.Option{
		otelsql.WithMeterProvider(m.providers.Meters),
		otelsql.WithTracerProvider(m.providers.Tracers),
		otelsql.WithAttributes(attribute.String("db.system.name", systemName(t.client)), instrument.Plugin(t.pluginID)),
		otelsql.WithDisableSkipErrMeasurement(true),
		otelsql.WithSpanNameFormatter(spanName),
		otelsql.WithAttributesGetter(func(_ context.Context, _ otelsql.Method, query string, _ []driver.NamedValue) []attribute.KeyValue {
			if query == "" {
				return nil
			}
			return []attribute.KeyValue{attribute.String("db.query.text", withoutValues(query, t.client))}
		}),
		otelsql.WithSpanErrorAttributesGetter(func(err error) []attribute.KeyValue {
			return []attribute.KeyValue{instrument.ErrorType(err)}
		}),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			DisableQuery: true, DisableErrSkip: true, OmitConnResetSession: true, OmitConnPrepare: true, OmitRows: true, OmitConnectorConnect: true,
			// Messages of some servers quote values.
			RecordError: func(error) bool { return false },
			// A statement alone, such as one that looks for work every second, is no trace that anybody wants.
			SpanFilter: func(ctx context.Context, _ otelsql.Method, _ string, _ []driver.NamedValue) bool {
				return trace.SpanFromContext(ctx).IsRecording()
			},
		}),
	}
	db := otelsql.OpenDB(connector, options...)
	registration, err := otelsql.RegisterDBStatsMetrics(db, options...)
	if err != nil {
		return nil, err
	}
	return db, m.onClose(func(context.Context) error { return registration.Unregister() })
}

// systemName is how OpenTelemetry names the kind of database.
func systemName(client string) string {
	switch client {
	case clientPostgres:
		return "postgresql"
	case clientMySQL:
		return "mysql"
	}
	return "sqlite"
}

// spanName is the kind of statement: SELECT, COMMIT.
func spanName(_ context.Context, method otelsql.Method, query string) string {
	verb, _, _ := strings.Cut(strings.TrimLeft(query, " \t\r\n("), " ")
	verb = strings.ToUpper(strings.TrimSpace(verb))
	switch {
	case len(verb) > 0 && len(verb) <= 10 && strings.Trim(verb, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "":
		return verb
	case method == otelsql.MethodConnBeginTx:
		return "BEGIN"
	case method == otelsql.MethodTxCommit:
		return "COMMIT"
	case method == otelsql.MethodTxRollback:
		return "ROLLBACK"
	}
	return string(method)
}
