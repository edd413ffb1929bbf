package backendtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver mysql
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/uptrace/bun"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// EachDatabase runs a test on SQLite (a file), SQLite in memory, PostgreSQL and MySQL or MariaDB, each time with a new, empty database
// that is dropped afterwards. The runs are subtests; they are parallel if test calls t.Parallel.
//
// The servers are those that the environment variables PORTICO_TEST_POSTGRES (a URL like postgres://user:password@host:5432) and
// PORTICO_TEST_MYSQL (mysql://user:password@host:3306) name, or else those at their usual ports on this machine, with the users
// postgres and root without passwords. The user must be allowed to create databases. Where no server answers, the subtest is skipped,
// or fails if PORTICO_TEST_REQUIRE is all.
func EachDatabase(t *testing.T, test func(t *testing.T, db *bun.DB)) {
	t.Helper()
	EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		var lifecycle hooks
		t.Cleanup(func() { lifecycle.stop(t) })
		manager, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": section}}),
			service.RootLogger{Logger: slog.New(slog.DiscardHandler)}, &lifecycle)
		if err != nil {
			t.Fatal(err)
		}
		db, err := manager.Open(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		test(t, db)
	})
}

// EachDatabaseConfig runs a test as [EachDatabase] does, with a configuration for backend.database. All databases that the
// configuration leads to are dropped afterwards.
func EachDatabaseConfig(t *testing.T, test func(t *testing.T, section map[string]any)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		test(t, map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": t.TempDir()}})
	})
	t.Run("SQLite in memory", func(t *testing.T) {
		test(t, map[string]any{"client": "better-sqlite3", "connection": ":memory:"})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, PostgreSQL(t))
	})
	t.Run("MySQL", func(t *testing.T) {
		address := serverAddress(t, "PORTICO_TEST_MYSQL", "mysql://root@127.0.0.1:3306")
		login, host, _ := strings.Cut(strings.TrimPrefix(address, "mysql://"), "@")
		server, err := sql.Open("mysql", login+"@tcp("+strings.TrimRight(host, "/")+")/")
		if err != nil {
			t.Fatal(err)
		}
		prefix := uniquePrefix()
		useServer(t, "PORTICO_TEST_MYSQL", server, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE ?", prefix,
			func(name string) string { return "DROP DATABASE `" + name + "`" })
		test(t, map[string]any{"client": "mysql2", "connection": address, "prefix": prefix})
	})
}

// PostgreSQL is a configuration for backend.database, for tests and benchmarks of what replicas do that share a PostgreSQL server. It is the
// server that [EachDatabase] uses; all databases that the configuration leads to are dropped afterwards.
func PostgreSQL(t testing.TB) map[string]any {
	t.Helper()
	address := serverAddress(t, "PORTICO_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432")
	server, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	prefix := uniquePrefix()
	useServer(t, "PORTICO_TEST_POSTGRES", server, "SELECT datname FROM pg_database WHERE datname LIKE $1", prefix,
		func(name string) string { return `DROP DATABASE "` + name + `" WITH (FORCE)` })
	return map[string]any{"client": "pg", "connection": address, "prefix": prefix}
}

// uniquePrefix begins the names of databases. It sorts out who left one behind.
func uniquePrefix() string { return "portico_test_" + strings.ToLower(rand.Text()[:10]) + "_" }

// useServer skips the test if the server doesn't answer, and has the databases with the prefix dropped after the test.
func useServer(t testing.TB, variable string, server *sql.DB, list, prefix string, drop func(name string) string) {
	t.Helper()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := server.PingContext(ctx); err != nil {
		skipWithout(t, variable, err)
	}
	t.Cleanup(func() {
		var names []string
		rows, err := server.Query(list, strings.ReplaceAll(prefix, "_", `\_`)+"%")
		if err != nil {
			t.Errorf("listing the databases of the test: %v", err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Error(err)
			}
			names = append(names, name)
		}
		if err := rows.Err(); err != nil {
			t.Error(err)
		}
		for _, name := range names {
			if _, err := server.Exec(drop(name)); err != nil {
				t.Errorf("dropping the database %s: %v", name, err)
			}
		}
	})
}

func serverAddress(t testing.TB, variable, usual string) string {
	t.Helper()
	if address := os.Getenv(variable); address != "" {
		return address
	}
	return usual
}

// skipWithout skips a test whose server doesn't answer.
func skipWithout(t testing.TB, variable string, err error) {
	t.Helper()
	message := fmt.Sprintf("no server answers (%v); start one, or name one in the environment variable %s", err, variable)
	if os.Getenv("PORTICO_TEST_REQUIRE") == "all" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// hooks is the fx.Lifecycle of what is made for a test.
type hooks []fx.Hook

func (h *hooks) Append(hook fx.Hook) { *h = append(*h, hook) }

func (h hooks) stop(t *testing.T) {
	for _, hook := range slices.Backward(h) {
		if err := hook.OnStop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}
