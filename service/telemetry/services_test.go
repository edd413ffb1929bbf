package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/events"
)

const secret = "s3cret' --\\"

// notes keeps notes in its database.
func notes() plugin.Plugin {
	type note struct {
		ID   int64 `bun:",pk,autoincrement"`
		Text string
	}
	return plugin.New("notes", plugin.Init(func(ctx context.Context, router *echo.Group, db *bun.DB) error {
		if _, err := db.NewCreateTable().Model((*note)(nil)).Exec(ctx); err != nil {
			return err
		}
		router.POST("", func(c echo.Context) error {
			ctx := c.Request().Context()
			err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewInsert().Model(&note{Text: secret}).Exec(ctx)
				return err
			})
			if err != nil {
				return err
			}
			var found note
			if err := db.NewSelect().Model(&found).Where("text = ?", secret).Scan(ctx); err != nil {
				return err
			}
			if _, err := db.DB.ExecContext(ctx, "INSERT INTO notes (id, text) VALUES (1, 's3cret')"); err == nil {
				return errors.New("two notes have the same id")
			}
			return c.NoContent(http.StatusNoContent)
		})
		return nil
	}))
}

func TestStatements(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		var systems []string
		all := spans(t, func(b *backendtest.Backend) {
			if res := b.As(t, "user:default/guest").Post("/api/notes", nil); res.StatusCode != http.StatusNoContent {
				t.Fatal(res.Status)
			}
			families := scraped(t, get(t, b.URL()+"/metrics", "Bearer x"))
			for _, m := range families["db_client_operation_duration_seconds"].GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "db_system_name" {
						systems = append(systems, l.GetValue())
					}
				}
			}
			if families["db_sql_connection_open"] == nil {
				t.Error("there are no metrics of the connection pool")
			}
		}, notes(), prometheus(map[string]any{"token": "x"}), backendtest.Config(map[string]any{"backend": map[string]any{"database": section}}))

		system := map[string]string{"better-sqlite3": "sqlite", "pg": "postgresql", "mysql2": "mysql"}[section["client"].(string)]
		if len(systems) == 0 || systems[0] != system {
			t.Errorf("metrics are of %v, want %s", systems, system)
		}
		request := named(t, all, "POST /api/notes")
		var failed int
		for _, s := range all {
			for _, a := range s.Attributes {
				if strings.Contains(a.Value.String(), "s3cret") {
					t.Errorf("%s tells a value: %s", s.Name, a.Value.String())
				}
			}
			if len(s.Events) != 0 || s.Status.Description != "" {
				t.Errorf("%s has events %v and status %v, which may tell values", s.Name, s.Events, s.Status)
			}
			if s.Name != "GET /metrics" && s.SpanContext.TraceID() != request.SpanContext.TraceID() {
				t.Errorf("%s is not part of the trace of the request", s.Name)
			}
			if value(s, "error.type") != nil {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d spans have failed, want one", failed)
		}
		named(t, all, "COMMIT")
		query := named(t, all, "SELECT")
		if text, _ := value(query, "db.query.text").(string); !strings.Contains(text, "text = ?") {
			t.Errorf("the query is %v", text)
		}
		if value(query, "db.system.name") != system || value(query, "backstage.plugin.id") != "notes" || query.SpanKind != trace.SpanKindClient {
			t.Errorf("%v %v", query.SpanKind, query.Attributes)
		}
	})
}

func TestEventsTasksAndCaches(t *testing.T) {
	t.Parallel()
	shop := plugin.New("shop", plugin.Init(func(router *echo.Group, events service.Events, tasks service.Scheduler, cache service.Cache) error {
		router.POST("", func(c echo.Context) error {
			return events.Publish(c.Request().Context(), service.Event{Topic: "shop.sold"})
		})
		if err := events.Subscribe(service.Subscription{ID: "book", Topics: []string{"shop.sold"}, OnEvent: func(ctx context.Context, _ service.Event) error {
			if _, err := cache.Get(ctx, "s3cret"); err == nil {
				t.Error("something is in the cache")
			}
			return cache.Set(ctx, "s3cret", []byte("value"))
		}}); err != nil {
			return err
		}
		return tasks.Schedule(service.Task{ID: "restock", Every: time.Hour, Scope: service.TaskLocal, Run: func(ctx context.Context) error {
			_, err := cache.Get(ctx, "s3cret")
			return errors.Join(err, errors.New("no pens"))
		}})
	}))
	all := spans(t, func(b *backendtest.Backend) {
		b.As(t, "user:default/guest").Post("/api/shop", nil)
		_ = b.RunTask(t, "shop", "restock")
		for families := scraped(t, get(t, b.URL()+"/metrics", "Bearer x")); ; families = scraped(t, get(t, b.URL()+"/metrics", "Bearer x")) {
			failed := labelled(families["backend_tasks_task_runs_count_total"], map[string]string{
				"taskId": "restock", "scope": "local", "result": "failed", "otel_scope_name": "backstage-plugin-shop",
			})
			if failed == nil { // the first run of the task, which begins with the backend
				continue
			}
			for name, labels := range map[string]map[string]string{
				"messaging_client_sent_messages_total":      {"messaging_destination_name": "shop.sold"},
				"messaging_process_duration_seconds":        {"messaging_destination_name": "shop.sold", "messaging_consumer_group_name": "shop.book"},
				"cache_operation_duration_seconds":          {"cache_operation": "get", "cache_hit": "false", "backstage_plugin_id": "shop"},
				"backend_tasks_task_runs_duration_seconds":  {"taskId": "restock", "result": "failed"},
				"backend_tasks_task_runs_started_seconds":   {"taskId": "restock"},
				"backend_tasks_task_runs_completed_seconds": {"taskId": "restock", "result": "failed"},
			} {
				if labelled(families[name], labels) == nil {
					t.Errorf("there is no %s%v", name, labels)
				}
			}
			return
		}
	}, shop, prometheus(map[string]any{"token": "x"}))
	before := named(t, all, "POST /api/shop")
	for _, name := range []string{"send shop.sold", "process shop.sold", "cache set"} {
		s := named(t, all, name)
		if s.Parent.SpanID() != before.SpanContext.SpanID() {
			t.Errorf("%s is not below %s", name, before.Name)
		}
		before = s
	}
	if s := named(t, all, "task restock"); s.Status.Code != codes.Error || value(s, "taskId") != "restock" || value(s, "scope") != "local" {
		t.Errorf("%v %v", s.Status, s.Attributes)
	}
	for _, s := range all {
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), "s3cret") {
				t.Errorf("%s tells a key of the cache: %s", s.Name, a.Value.String())
			}
		}
	}
}

// A trace goes on in the replica that gets an event, which PostgreSQL notifies of it also when its statements are recorded.
func TestEventsOfOtherReplicas(t *testing.T) {
	t.Parallel()
	section := backendtest.Config(map[string]any{"backend": map[string]any{"database": backendtest.PostgreSQL(t)}})
	bus := events.Services()[0]
	publish := make(chan service.Events, 1)
	got := make(chan trace.SpanContext, 1)
	replica := func(subscribe bool) plugin.Plugin {
		return plugin.New("shop", plugin.Init(func(events service.Events) error {
			if !subscribe {
				publish <- events
				return nil
			}
			return events.Subscribe(service.Subscription{ID: "book", Topics: []string{"shop.sold"}, OnEvent: func(ctx context.Context, e service.Event) error {
				if e.Metadata["traceparent"] == nil {
					t.Error("the event has not taken its context along")
				}
				got <- trace.SpanContextFromContext(ctx)
				return nil
			}})
		}))
	}
	var processed trace.SpanContext
	all := spans(t, func(here *backendtest.Backend) {
		spans(t, func(there *backendtest.Backend) {
			if err := (<-publish).Publish(t.Context(), service.Event{Topic: "shop.sold"}); err != nil {
				t.Fatal(err)
			}
			processed = <-got
			for _, e := range there.Log.Entries() {
				if e.Level == "warn" {
					t.Errorf("it warns: %s", e.Message)
				}
			}
		}, replica(true), section, bus)
	}, replica(false), section, bus)
	if sent := named(t, all, "send shop.sold"); processed.TraceID() != sent.SpanContext.TraceID() || processed.SpanID() == sent.SpanContext.SpanID() {
		t.Errorf("the event was processed in %v, and sent in %v", processed, sent.SpanContext)
	}
}
