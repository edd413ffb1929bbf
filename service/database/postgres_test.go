package database_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// withSchemas runs a test with a PostgreSQL server whose plugins have schemas.
func withSchemas(t *testing.T, settings map[string]any, test func(t *testing.T, config map[string]any)) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if config["client"] != "pg" {
			t.Skip("only PostgreSQL has schemas")
		}
		test(t, with(with(config, map[string]any{
			"connection":         config["connection"].(string) + "/" + config["prefix"].(string) + "portal",
			"pluginDivisionMode": "schema",
			"schemaPrefix":       "bs_",
		}), settings))
	})
}

func TestSchemas(t *testing.T) {
	withSchemas(t, nil, func(t *testing.T, config map[string]any) {
		m := manager(t, config, slog.DiscardHandler)
		for _, id := range []string{"todo", "user-settings"} {
			db, err := m.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			var name, schema string
			if err := db.QueryRow("SELECT current_database(), current_schema()").Scan(&name, &schema); err != nil {
				t.Fatal(err)
			}
			if name != config["prefix"].(string)+"portal" || schema != "bs_"+id {
				t.Errorf("plugin %s is in database %s, schema %s", id, name, schema)
			}
		}
		again, err := manager(t, with(config, map[string]any{"ensureExists": false}), slog.DiscardHandler).Open(t.Context(), "todo")
		if err != nil {
			t.Fatalf("opening what exists: %v", err)
		}
		if err := again.PingContext(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSchemasShareConnections has two plugins take turns on a single connection, with tables of the same name but different columns, and
// statements that PostgreSQL and the driver keep the plans and the columns of.
func TestSchemasShareConnections(t *testing.T) {
	one := map[string]any{"knexConfig": map[string]any{"pool": map[string]any{"max": 1}}}
	withSchemas(t, one, func(t *testing.T, config map[string]any) {
		m := manager(t, config, slog.DiscardHandler)
		dbs := map[string]*bun.DB{}
		for id, column := range map[string]string{"a": "text", "b": "bigint"} {
			db, err := m.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("CREATE TABLE things (extra boolean, value " + column + ")"); err != nil {
				t.Fatal(err)
			}
			if id == "b" {
				if _, err := db.Exec("ALTER TABLE things DROP COLUMN extra"); err != nil {
					t.Fatal(err)
				}
			}
			dbs[id] = db
		}
		prepared := map[string]*sql.Stmt{}
		for id, db := range dbs {
			stmt, err := db.DB.PrepareContext(t.Context(), "SELECT count(*) FROM things WHERE value = $1")
			if err != nil {
				t.Fatal(err)
			}
			defer stmt.Close()
			prepared[id] = stmt
		}
		values := map[string]any{"a": "7", "b": int64(7)}
		for range 3 {
			for _, id := range []string{"a", "b"} {
				if _, err := dbs[id].NewInsert().TableExpr("things").Model(&map[string]any{"value": values[id]}).Exec(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 3 {
			for _, id := range []string{"a", "b"} {
				var n int
				if err := prepared[id].QueryRowContext(t.Context(), values[id]).Scan(&n); err != nil || n != 3 {
					t.Fatalf("%s, prepared: %d, %v; want 3", id, n, err)
				}
				for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe} {
					row := dbs[id].DB.QueryRowContext(t.Context(), "SELECT count(*) FROM things WHERE value = $1", mode, values[id])
					if err := row.Scan(&n); err != nil || n != 3 {
						t.Fatalf("%s, %v: %d, %v; want 3", id, mode, n, err)
					}
					rows, err := dbs[id].DB.QueryContext(t.Context(), "SELECT * FROM things", mode)
					if err != nil {
						t.Fatalf("%s, %v: %v", id, mode, err)
					}
					columns, err := rows.Columns()
					if want := map[string]int{"a": 2, "b": 1}[id]; err != nil || len(columns) != want {
						t.Fatalf("%s, %v: columns %v, %v; want %d", id, mode, columns, err, want)
					}
					if err := rows.Close(); err != nil {
						t.Fatal(err)
					}
				}
				err := dbs[id].RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
					var schema string
					if err := tx.QueryRowContext(ctx, "SELECT current_schema()").Scan(&schema); err != nil || schema != "bs_"+id {
						return fmt.Errorf("a transaction of %s is in schema %s: %w", id, schema, err)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestSchemasShareOnePool(t *testing.T) {
	const limit, plugins = 4, 8
	pool := map[string]any{"knexConfig": map[string]any{"pool": map[string]any{"max": limit}}}
	withSchemas(t, pool, func(t *testing.T, config map[string]any) {
		m := manager(t, config, slog.DiscardHandler)
		var group sync.WaitGroup
		for i := range plugins {
			group.Go(func() {
				db, err := m.Open(t.Context(), fmt.Sprint("plugin-", i))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := db.NewCreateTable().Model((*note)(nil)).Exec(t.Context()); err != nil {
					t.Error(err)
					return
				}
				var writers sync.WaitGroup
				for range 5 {
					writers.Go(func() {
						for range 10 {
							if _, err := db.NewInsert().Model(&note{Text: "x"}).Exec(t.Context()); err != nil {
								t.Error(err)
							}
						}
					})
				}
				writers.Wait()
				if n := countNotes(t, db); n != 50 {
					t.Errorf("plugin %d has %d notes, want its own 50", i, n)
				}
			})
		}
		group.Wait()
		db, err := m.Open(t.Context(), "plugin-0")
		if err != nil {
			t.Fatal(err)
		}
		var connections int
		err = db.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").Scan(&connections)
		if err != nil || connections > limit {
			t.Errorf("%d plugins have %d connections (%v), want at most %d", plugins, connections, err, limit)
		}
	})
}

func TestRole(t *testing.T) {
	role := "portico_test_role_" + strings.ToLower(rand.Text()[:8])
	withSchemas(t, map[string]any{"role": role}, func(t *testing.T, config map[string]any) {
		config["pluginDivisionMode"] = "database"
		_, err := manager(t, config, slog.DiscardHandler).Open(t.Context(), "todo")
		wantError(t, err, role, "backend.database.role")

		config["pluginDivisionMode"] = "schema"
		admin, err := manager(t, with(config, map[string]any{"role": ""}), slog.DiscardHandler).Open(t.Context(), "admin")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Exec("CREATE ROLE " + role); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			if _, err := admin.ExecContext(ctx, "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
				t.Error(err)
			}
		})
		if _, err := admin.Exec("GRANT CREATE ON DATABASE \"" + config["prefix"].(string) + "portal\" TO " + role); err != nil {
			t.Fatal(err)
		}
		db, err := manager(t, config, slog.DiscardHandler).Open(t.Context(), "todo")
		if err != nil {
			t.Fatal(err)
		}
		createNotes(t, db)
		var owner string
		if err := db.QueryRow("SELECT tableowner FROM pg_tables WHERE tablename = 'notes'").Scan(&owner); err != nil || owner != role {
			t.Errorf("the table belongs to %q (%v), want %q", owner, err, role)
		}
	})
}

func TestRawConnection(t *testing.T) {
	withSchemas(t, nil, func(t *testing.T, config map[string]any) {
		db, err := manager(t, config, slog.DiscardHandler).Open(t.Context(), "todo")
		if err != nil {
			t.Fatal(err)
		}
		createNotes(t, db)
		conn, err := db.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		err = conn.Raw(func(driverConn any) error {
			_, err := driverConn.(*stdlib.Conn).Conn().CopyFrom(t.Context(), pgx.Identifier{"notes"}, []string{"text"},
				pgx.CopyFromRows([][]any{{"a"}, {"b"}}))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := countNotes(t, db); n != 2 {
			t.Errorf("%d notes were copied, want 2", n)
		}
	})
}

// TestStatementsCutShort has contexts end while statements are on their way to the server. Their connections close soon all the same, and not only
// when pgx gives up waiting for the server, after a quarter of a minute.
func TestStatementsCutShort(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		t.Parallel()
		if section["client"] != "pg" {
			t.Skip("about PostgreSQL")
		}
		lifecycle := fxtest.NewLifecycle(quiet{t})
		m, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": section}}),
			service.RootLogger{Logger: slog.New(slog.DiscardHandler)}, lifecycle)
		if err != nil {
			t.Fatal(err)
		}
		lifecycle.RequireStart()
		db, err := m.Open(t.Context(), "todo")
		if err != nil {
			t.Fatal(err)
		}
		long := "SELECT length('" + strings.Repeat("x", 64<<20) + "')"
		for after := time.Millisecond; after < 50*time.Millisecond; after *= 2 {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			if _, err := db.DB.ExecContext(ctx, long); err == nil {
				t.Log("the statement was not cut short")
			}
			cancel()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := lifecycle.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}
