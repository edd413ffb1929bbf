package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

type note struct {
	ID   int64 `bun:",pk,autoincrement"`
	Text string
}

func createNotes(t testing.TB, db *bun.DB) {
	t.Helper()
	if _, err := db.NewCreateTable().Model((*note)(nil)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func countNotes(t testing.TB, db bun.IDB) int {
	t.Helper()
	n, err := db.NewSelect().Model((*note)(nil)).Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func TestPluginsHaveDatabasesOfTheirOwn(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		m := manager(t, config, slog.DiscardHandler)
		for _, id := range []string{"todo", "user-settings"} {
			db, err := m.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			createNotes(t, db)
			if _, err := db.NewInsert().Model(&note{Text: id}).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := countNotes(t, db); n != 1 {
				t.Errorf("%s has %d notes, want its own alone", id, n)
			}
			again, err := m.Open(t.Context(), id)
			if err != nil || again != db {
				t.Errorf("opening again: %p, %v; want the same database %p", again, err, db)
			}
		}
	})
}

func TestDatabaseNames(t *testing.T) {
	query := map[string]string{"pg": "SELECT current_database()", "mysql2": "SELECT DATABASE()"}
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		client, _ := config["client"].(string)
		if query[client] == "" {
			t.Skip("SQLite has files")
		}
		prefix := config["prefix"].(string)
		m := manager(t, with(config, map[string]any{
			"connection": config["connection"].(string) + "/not_inherited",
			"plugin":     map[string]any{"auth": map[string]any{"connection": map[string]any{"database": prefix + "named"}}},
		}), slog.DiscardHandler)
		for id, want := range map[string]string{"catalog": prefix + "catalog", "user-settings": prefix + "user-settings", "auth": prefix + "named"} {
			db, err := m.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			var name string
			if err := db.QueryRow(query[client]).Scan(&name); err != nil {
				t.Fatal(err)
			}
			if name != want {
				t.Errorf("plugin %s has the database %q, want %q", id, name, want)
			}
		}
	})
}

func TestEnsureExistsOff(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if strings.Contains(config["client"].(string), "sqlite") {
			t.Skip("SQLite creates files")
		}
		m := manager(t, with(config, map[string]any{"ensureExists": false}), slog.DiscardHandler)
		_, err := m.Open(t.Context(), "catalog")
		wantError(t, err, "plugin catalog", config["prefix"].(string)+"catalog", "ensureExists", "backend.database.connection")
	})
}

func TestConfigurationMistakes(t *testing.T) {
	pg := func(settings map[string]any) map[string]any {
		return with(map[string]any{"client": "pg", "connection": map[string]any{"host": "db", "password": "hunter2"}}, settings)
	}
	tests := map[string]struct {
		config map[string]any
		want   []string
	}{
		"unknown client":        {map[string]any{"client": "oracle", "connection": "x"}, []string{"backend.database.client", "oracle", "pg"}},
		"embedded PostgreSQL":   {map[string]any{"client": "embedded-postgres", "connection": "x"}, []string{"backend.database.client", "embedded-postgres"}},
		"no client":             {map[string]any{"connection": "x"}, []string{"backend.database.client is missing"}},
		"no connection":         {map[string]any{"client": "pg"}, []string{"backend.database.connection is missing"}},
		"connection is a list":  {map[string]any{"client": "pg", "connection": []any{1}}, []string{"backend.database.connection", "string or an object"}},
		"one file for all":      {map[string]any{"client": "better-sqlite3", "connection": "a.db"}, []string{"connection.directory"}},
		"schemas on SQLite":     {map[string]any{"client": "better-sqlite3", "connection": ":memory:", "pluginDivisionMode": "schema"}, []string{"pluginDivisionMode", "only pg"}},
		"unknown division":      {pg(map[string]any{"pluginDivisionMode": "table"}), []string{"pluginDivisionMode", "table"}},
		"bad schema prefix":     {pg(map[string]any{"pluginDivisionMode": "schema", "schemaPrefix": "a-b"}), []string{"schemaPrefix", "a-b"}},
		"bad pool":              {pg(map[string]any{"knexConfig": map[string]any{"pool": map[string]any{"min": 5, "max": 2}}}), []string{"knexConfig.pool", "5", "2"}},
		"login by AWS":          {pg(map[string]any{"connection": map[string]any{"type": "rds", "host": "db"}}), []string{"backend.database.connection.type", "rds", "password"}},
		"login by Azure":        {pg(map[string]any{"connection": map[string]any{"type": "azure"}}), []string{"backend.database.connection.type", "azure"}},
		"Cloud SQL of a plugin": {pg(map[string]any{"plugin": map[string]any{"catalog": map[string]any{"connection": map[string]any{"type": "cloudsql"}}}}), []string{"backend.database.plugin.catalog.connection.type", "Auth Proxy"}},
		"not a URL":             {map[string]any{"client": "pg", "connection": "postgres://u:hunter2@:x:y"}, []string{"backend.database.connection", "%40"}},
		"URL of another kind":   {map[string]any{"client": "mysql2", "connection": "postgres://u:hunter2@db"}, []string{"backend.database.connection", "mysql://"}},
		"client of a plugin":    {pg(map[string]any{"plugin": map[string]any{"catalog": map[string]any{"client": "oracle"}}}), []string{"backend.database.plugin.catalog.client", "oracle"}},
		"long name":             {pg(map[string]any{"prefix": strings.Repeat("x", 70)}), []string{"too long", "backend.database.prefix"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": test.config}}), discard(), nil)
			wantError(t, err, test.want...)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestTLSMistakes(t *testing.T) {
	t.Parallel()
	for ssl, want := range map[any]string{"maybe": "connection.ssl", "ca": "connection.ssl.ca"} {
		value := any(ssl)
		if ssl == "ca" {
			value = map[string]any{"ca": "no PEM"}
		}
		m := manager(t, map[string]any{"client": "pg", "connection": map[string]any{"ssl": value}}, slog.DiscardHandler)
		_, err := m.Open(t.Context(), "catalog")
		wantError(t, err, want)
	}
}

func TestSQLiteDirectories(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "missing", "with space?&#%")
	m := manager(t, map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": directory}}, slog.DiscardHandler)
	db, err := m.Open(t.Context(), "todo")
	if err != nil {
		t.Fatal(err)
	}
	createNotes(t, db)
	if _, err := os.Stat(filepath.Join(directory, "todo.sqlite")); err != nil {
		t.Errorf("the file of the plugin: %v", err)
	}
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal_mode is %q (%v), want wal", mode, err)
	}
	var foreignKeys int
	if err := db.QueryRow("PRAGMA foreign_keys").Scan(&foreignKeys); err != nil || foreignKeys != 1 {
		t.Errorf("foreign_keys is %d (%v), want 1", foreignKeys, err)
	}
}

func TestSQLiteDirectoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, directory := range []string{file, filepath.Join(file, "below")} {
		m := manager(t, map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": directory}}, slog.DiscardHandler)
		_, err := m.Open(t.Context(), "todo")
		wantError(t, err, "plugin todo", directory, "backend.database.connection")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Open(t.Context(), "todo"); err != nil {
			t.Errorf("after the mistake was mended: %v", err)
		}
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := manager(t, map[string]any{
		"client": "better-sqlite3", "connection": ":memory:",
		"plugin": map[string]any{"todo": map[string]any{"connection": map[string]any{"filename": t.TempDir()}}},
	}, slog.DiscardHandler)
	_, err := m.Open(t.Context(), "todo")
	wantError(t, err, "is a directory", "backend.database.plugin.todo.connection")
}

func TestNothingIsOpenedForPluginsThatDoNotAsk(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "data")
	manager(t, map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": directory}}, slog.DiscardHandler)
	if _, err := os.Stat(directory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory exists although no plugin asked for a database (%v)", err)
	}
	manager(t, map[string]any{"client": "pg", "connection": "postgres://nobody@nowhere.invalid"}, slog.DiscardHandler)
}

func TestSkipMigrations(t *testing.T) {
	t.Parallel()
	m := manager(t, map[string]any{
		"client": "better-sqlite3", "connection": ":memory:", "skipMigrations": true,
		"plugin": map[string]any{"todo": map[string]any{"skipMigrations": false}},
	}, slog.DiscardHandler)
	if m.SkipMigrations("todo") || !m.SkipMigrations("other") {
		t.Errorf("SkipMigrations: todo %v, other %v; want the plugin's setting before the general one",
			m.SkipMigrations("todo"), m.SkipMigrations("other"))
	}
}

func TestOpenAfterStop(t *testing.T) {
	t.Parallel()
	var m *database.Manager
	t.Run("until the stop", func(t *testing.T) {
		m = manager(t, map[string]any{}, slog.DiscardHandler)
	})
	_, err := m.Open(t.Context(), "todo")
	wantError(t, err, "plugin todo", "stopped")
}

func TestLostConnections(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		client := config["client"].(string)
		if strings.Contains(client, "sqlite") {
			t.Skip("SQLite has no connections to lose")
		}
		m := manager(t, config, slog.DiscardHandler)
		db, err := m.Open(t.Context(), "victim")
		if err != nil {
			t.Fatal(err)
		}
		other, err := m.Open(t.Context(), "killer")
		if err != nil {
			t.Fatal(err)
		}
		createNotes(t, db)
		useConnections(t, db, 5)

		if killed := killConnections(t, client, other, config["prefix"].(string)+"victim"); killed == 0 {
			t.Fatal("there was no connection to kill")
		}
		for range 10 {
			if _, err := db.NewInsert().Model(&note{Text: "after"}).Exec(t.Context()); err != nil {
				t.Fatalf("the first statements after the connections were lost: %v", err)
			}
		}
	})
}

// useConnections has n connections open at the same time, which idle afterwards.
func useConnections(t *testing.T, db *bun.DB, n int) {
	t.Helper()
	for range n {
		conn, err := db.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// killConnections ends all connections to a database and waits until the server has none any more.
func killConnections(t *testing.T, client string, db *bun.DB, name string) (killed int) {
	t.Helper()
	list := "SELECT id FROM information_schema.processlist WHERE db = ?"
	if client == "pg" {
		list = "SELECT pid FROM pg_stat_activity WHERE datname = $1"
	}
	for first := true; ; first = false {
		var ids []int64
		rows, err := db.DB.QueryContext(t.Context(), list, name)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if len(ids) == 0 {
			return killed
		}
		if !first {
			continue
		}
		for _, id := range ids {
			kill := fmt.Sprintf("KILL %d", id)
			if client == "pg" {
				kill = fmt.Sprintf("SELECT pg_terminate_backend(%d)", id)
			}
			if _, err := db.DB.ExecContext(t.Context(), kill); err != nil {
				t.Fatal(err)
			}
			killed++
		}
	}
}

func TestConcurrentWrites(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		createNotes(t, db)
		if _, err := db.NewInsert().Model(&note{Text: "0"}).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		const writers, rounds = 50, 5
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for range rounds {
					if _, err := db.NewInsert().Model(&note{Text: "one"}).Exec(t.Context()); err != nil {
						t.Errorf("insert: %v", err)
					}
					err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
						n, err := tx.NewSelect().Model((*note)(nil)).Where("text = ?", "one").Count(ctx) // first reads, then writes
						if err != nil {
							return err
						}
						_, err = tx.NewInsert().Model(&note{Text: fmt.Sprint("two", n)}).Exec(ctx)
						return err
					})
					if err != nil {
						t.Errorf("transaction: %v", err)
					}
					if err := db.NewSelect().Model((*note)(nil)).Limit(1).Scan(t.Context(), new(int64), new(string)); err != nil {
						t.Errorf("select: %v", err)
					}
				}
			})
		}
		group.Wait()
		if n := countNotes(t, db); n != 1+2*writers*rounds {
			t.Errorf("%d notes, want %d", n, 1+2*writers*rounds)
		}
	})
}

func TestReadingWhileWriting(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		createNotes(t, db)
		notes := []note{{Text: "a"}, {Text: "b"}, {Text: "c"}}
		if _, err := db.NewInsert().Model(&notes).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := db.NewSelect().Model((*note)(nil)).Column("id").Rows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			if _, err := db.NewUpdate().Model((*note)(nil)).Set("text = 'seen'").Where("id = ?", id).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := db.NewSelect().Model((*note)(nil)).Where("text = 'seen'").Count(t.Context()); err != nil || int(n) != len(notes) {
			t.Errorf("%d notes were seen (%v), want %d", n, err, len(notes))
		}
	})
}

func TestReadOnlyTransactionsDoNotWait(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if config["connection"] == ":memory:" {
			t.Skip("in memory, readers and writers take turns")
		}
		db, err := manager(t, config, slog.DiscardHandler).Open(t.Context(), "todo")
		if err != nil {
			t.Fatal(err)
		}
		createNotes(t, db)
		writing, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer writing.Rollback()
		if _, err := writing.NewInsert().Model(&note{Text: "not yet"}).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		reading, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer reading.Rollback()
		if n := countNotes(t, reading); n != 0 {
			t.Errorf("the reader sees %d notes that are not committed", n)
		}
	})
}

// closedPort is an address that nothing listens on.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
}
