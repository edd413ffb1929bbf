package database_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/uptrace/bun"
	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// files makes a file system from names and contents.
func files(contents map[string]string) fstest.MapFS {
	system := fstest.MapFS{}
	for name, content := range contents {
		system[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return system
}

var nolog = slog.New(slog.DiscardHandler)

func migrate(t *testing.T, db *bun.DB, owner string, contents map[string]string) {
	t.Helper()
	if err := database.Migrate(t.Context(), db, owner, files(contents), nolog); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *bun.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMigrate(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		contents := map[string]string{
			"migrations/2_second.sql":      "INSERT INTO steps (step) VALUES ('second; with a semicolon');\n-- the end;\n",
			"migrations/001_first.sql":     "CREATE TABLE steps (step varchar(100));\r\nINSERT INTO steps VALUES ('first? %s {}');\r\n",
			"migrations/10_tenth.up.sql":   "INSERT INTO steps VALUES ('tenth');INSERT INTO steps VALUES ('eleventh')",
			"migrations/10_tenth.down.sql": "DROP TABLE steps",
			"migrations/README.md":         "not a migration",
		}
		for range 2 { // the second time, nothing is due
			migrate(t, db, "todo", contents)
			var steps []string
			if err := db.NewSelect().Table("steps").Column("step").Scan(t.Context(), &steps); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(steps, ", "); got != "first? %s {}, second; with a semicolon, tenth, eleventh" {
				t.Fatalf("the statements that ran: %s", got)
			}
		}
		contents["migrations/11_later.sql"] = "INSERT INTO steps VALUES ('later')"
		contents["migrations/3_from_a_branch.sql"] = "INSERT INTO steps VALUES ('from a branch')"
		contents["migrations/001_first.sql"] = strings.ReplaceAll(contents["migrations/001_first.sql"], "\r\n", "\n")
		migrate(t, db, "todo", contents)
		if n := count(t, db, "steps"); n != 6 {
			t.Errorf("%d steps, want 6", n)
		}
		migrate(t, db, "todo/module", map[string]string{"001_first.sql": "INSERT INTO steps VALUES ('of a module')"})
		if n := count(t, db, "steps"); n != 7 {
			t.Errorf("%d steps, want 7", n)
		}
	})
}

func TestMigrateByDialect(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		migrate(t, db, "todo", map[string]string{
			"001_create.sql":          "CREATE TABLE steps (step varchar(100))",
			"002_insert.sql":          "INSERT INTO steps VALUES ('general')",
			"002_insert.postgres.sql": "INSERT INTO steps VALUES ('pg')",
			"002_insert.sqlite.sql":   "INSERT INTO steps VALUES ('sqlite')",
			"003_only.mysql.up.sql":   "INSERT INTO steps VALUES ('mysql')",
		})
		var steps []string
		if err := db.NewSelect().Table("steps").Column("step").Scan(t.Context(), &steps); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"pg": "pg", "sqlite": "sqlite", "mysql": "general, mysql"}[db.Dialect().Name().String()]
		if got := strings.Join(steps, ", "); got != want {
			t.Errorf("steps %q, want %q", got, want)
		}
	})
}

func TestMigrateTriggers(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		migrate(t, db, "todo", map[string]string{
			"001_create.sql": "CREATE TABLE a (n int);\nCREATE TABLE b (n int);",
			"002_trigger.sqlite.sql": "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (1); INSERT INTO b VALUES (2); END;\n" +
				"INSERT INTO a VALUES (0);",
			"002_trigger.postgres.sql": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO b VALUES (1); " +
				"INSERT INTO b VALUES (2); RETURN NEW; END $$;\nCREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();\n" +
				"INSERT INTO a VALUES (0);",
			"002_trigger.mysql.sql": "DELIMITER //\nCREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW BEGIN INSERT INTO b VALUES (1); " +
				"INSERT INTO b VALUES (2); END//\nDELIMITER ;\nINSERT INTO a VALUES (0);",
		})
		if n := count(t, db, "b"); n != 2 {
			t.Errorf("the trigger wrote %d rows, want 2", n)
		}
	})
}

func TestMigrationThatFails(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		contents := map[string]string{
			"001_create.sql": "CREATE TABLE steps (step varchar(100));",
			"002_broken.sql": "INSERT INTO steps VALUES ('é');\n\nINSERT INTO nowhere VALUES (1);\n",
		}
		err := database.Migrate(t.Context(), db, "todo", files(contents), nolog)
		wantError(t, err, "migrations of todo", "002_broken.sql", "nowhere")
		if name := db.Dialect().Name().String(); name != "sqlite" {
			wantError(t, err, "line 3")
		}
		delete(contents, "002_broken.sql")
		contents["002_mended.sql"] = "INSERT INTO steps VALUES ('b');"
		migrate(t, db, "todo", contents)
	})
}

func TestMigrationThatChanged(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		migrate(t, db, "todo", map[string]string{"db/001_create.sql": "CREATE TABLE a (n int)"})
		err := database.Migrate(t.Context(), db, "todo", files(map[string]string{
			"db/001_create.sql": "CREATE TABLE a (n bigint)", "db/002_more.sql": "CREATE TABLE b (n int)"}), nolog)
		wantError(t, err, "db/001_create.sql", "changed", "new file")
	})
}

func TestMigrateBackToAnOlderVersion(t *testing.T) {
	backendtest.EachDatabase(t, func(t *testing.T, db *bun.DB) {
		t.Parallel()
		contents := map[string]string{"001_create.sql": "CREATE TABLE a (n int)", "002_new.sql": "CREATE TABLE b (n int)"}
		migrate(t, db, "todo", contents)
		delete(contents, "002_new.sql")
		log := &backendtest.Log{}
		if err := database.Migrate(t.Context(), db, "todo", files(contents), slog.New(slog.NewTextHandler(log, nil))); err != nil {
			t.Fatal(err)
		}
		if text := log.String(); !strings.Contains(text, "newer version") || !strings.Contains(text, "002_new") {
			t.Errorf("the log must tell of the migration of the newer version: %s", text)
		}
	})
}

func TestMigrationNames(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	for name, test := range map[string]struct {
		names []string
		want  string
	}{
		"no number":       {[]string{"create.sql"}, "001_create_tables.sql"},
		"unknown dialect": {[]string{"001_create.oracle.sql"}, "001_create_tables.postgres.sql"},
		"large number":    {[]string{"99999999999999999999_create.sql"}, "too large"},
		"same number":     {[]string{"001_a.sql", "1_b.sql"}, "same number"},
		"same in folders": {[]string{"x/001_a.sql", "y/001_a.sql"}, "same number"},
		"same, specific":  {[]string{"001_a.sql", "001_b.sqlite.sql"}, "same number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contents := map[string]string{}
			for _, name := range test.names {
				contents[name] = "SELECT 1"
			}
			wantError(t, database.Migrate(t.Context(), db, "todo", files(contents), nolog), test.want, "migrations of todo")
		})
	}
	if err := database.Migrate(t.Context(), db, "todo", files(nil), nolog); err != nil {
		t.Errorf("no migrations: %v", err)
	}
}

func TestMigrateTenReplicas(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		contents := map[string]string{"001_create.sql": "CREATE TABLE steps (n int)"}
		for i := 2; i <= 20; i++ {
			contents[fmt.Sprintf("%03d_insert.sql", i)] = fmt.Sprintf("INSERT INTO steps VALUES (%d)", i)
		}
		shared := manager(t, config, slog.DiscardHandler)
		var group sync.WaitGroup
		for range 10 {
			m := shared
			if config["connection"] != ":memory:" {
				m = manager(t, config, slog.DiscardHandler)
			}
			group.Go(func() {
				db, err := m.Open(t.Context(), "todo")
				if err != nil {
					t.Error(err)
					return
				}
				for _, owner := range []string{"todo", "todo/module"} {
					own := files(contents)
					if owner != "todo" {
						own = files(map[string]string{"001_module.sql": "INSERT INTO steps VALUES (1)"})
					}
					if err := database.Migrate(t.Context(), db, owner, own, nolog); err != nil {
						t.Error(err)
						return
					}
				}
				if n := count(t, db, "steps"); n != 20 {
					t.Errorf("after the migrations there are %d steps, want 20", n)
				}
			})
		}
		group.Wait()
	})
}

// replicaJob is what TestMigrateAfterKill has a process do.
type replicaJob struct {
	Config     map[string]any
	Migrations map[string]string
	Hang       bool // after the first migration
}

// replica is the main function of that process.
func replica() {
	var job replicaJob
	if err := json.Unmarshal([]byte(os.Getenv("PORTICO_TEST_REPLICA")), &job); err != nil {
		panic(err)
	}
	lifecycle := fxtest.NewLifecycle(nil)
	m, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": job.Config}}),
		service.RootLogger{Logger: nolog}, lifecycle)
	if err != nil {
		panic(err)
	}
	db, err := m.Open(context.Background(), "todo")
	if err != nil {
		panic(err)
	}
	if err := database.Migrate(context.Background(), db, "todo", files(job.Migrations), slog.New(hangingLog{job.Hang})); err != nil {
		panic(err)
	}
	fmt.Println("done")
}

// hangingLog has the process tell and stop at what would be its first line.
type hangingLog struct{ hang bool }

func (l hangingLog) Enabled(context.Context, slog.Level) bool { return l.hang }
func (l hangingLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l hangingLog) WithGroup(string) slog.Handler            { return l }
func (l hangingLog) Handle(context.Context, slog.Record) error {
	fmt.Println("hanging")
	_, err := io.Copy(io.Discard, os.Stdin) // until the test goes away
	return err
}

func TestMigrateAfterKill(t *testing.T) {
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if config["connection"] == ":memory:" {
			t.Skip("ends with its process")
		}
		contents := map[string]string{
			"001_create.sql": "CREATE TABLE steps (n int)",
			"002_insert.sql": "INSERT INTO steps VALUES (1)",
			"003_insert.sql": "INSERT INTO steps VALUES (2)",
		}
		victim, output := startReplica(t, replicaJob{Config: config, Migrations: contents, Hang: true})
		if line, err := output.ReadString('\n'); line != "hanging\n" {
			t.Fatalf("the process said %q, %v", line, err)
		}
		var waiting []*exec.Cmd
		for range 4 {
			process, _ := startReplica(t, replicaJob{Config: config, Migrations: contents})
			waiting = append(waiting, process)
		}
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := victim.Wait(); err == nil {
			t.Error("the process was to be killed while it migrated")
		}
		for _, process := range waiting {
			if err := process.Wait(); err != nil {
				t.Errorf("a replica that waited: %v\n%s", err, process.Stderr)
			}
		}
		db, err := manager(t, config, slog.DiscardHandler).Open(t.Context(), "todo")
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, "steps"); n != 2 {
			t.Errorf("%d steps, want 2: each migration once", n)
		}
	})
}

func startReplica(t *testing.T, job replicaJob) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	encoded, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), "PORTICO_TEST_REPLICA="+string(encoded))
	process.Stderr = new(bytes.Buffer)
	if _, err := process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	return process, bufio.NewReader(output)
}
