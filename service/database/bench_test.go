package database_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/fx/fxtest"

	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/database"
)

// againstBare runs both functions in turns and reports how much longer the first takes.
func againstBare(b *testing.B, ours, bare func() error) {
	b.Helper()
	var oursTook, bareTook time.Duration
	for b.Loop() {
		start := time.Now()
		if err := ours(); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		if err := bare(); err != nil {
			b.Fatal(err)
		}
		oursTook += between.Sub(start)
		bareTook += time.Since(between)
	}
	b.ReportMetric(float64(oursTook)/float64(bareTook), "x-bare")
	b.ReportMetric(float64(oursTook.Nanoseconds())/float64(b.N), "ns/ours")
	b.ReportMetric(float64(bareTook.Nanoseconds())/float64(b.N), "ns/bare")
}

// bareSQLite is an SQLite database in a file with the same settings, without what this package puts between.
func bareSQLite(b *testing.B) *sql.DB {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "bare.sqlite")+
		"?_journal_mode=WAL&_synchronous=NORMAL&_txlock=immediate&_foreign_keys=on&_busy_timeout=5000")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if _, err := db.Exec("CREATE TABLE notes (id integer PRIMARY KEY AUTOINCREMENT, text varchar)"); err != nil {
		b.Fatal(err)
	}
	return db
}

func BenchmarkInsert(b *testing.B) {
	db, bare := openFile(b), bareSQLite(b)
	createNotes(b, db)
	b.Run("bun", func(b *testing.B) {
		againstBare(b, func() error {
			_, err := db.NewInsert().Model(&note{Text: "hello"}).Exec(b.Context())
			return err
		}, func() error {
			_, err := bare.ExecContext(b.Context(), "INSERT INTO notes (text) VALUES (?)", "hello")
			return err
		})
	})
	b.Run("sql", func(b *testing.B) {
		againstBare(b, func() error {
			_, err := db.DB.ExecContext(b.Context(), "INSERT INTO notes (text) VALUES (?)", "hello")
			return err
		}, func() error {
			_, err := bare.ExecContext(b.Context(), "INSERT INTO notes (text) VALUES (?)", "hello")
			return err
		})
	})
}

func BenchmarkSelect(b *testing.B) {
	db, bare := openFile(b), bareSQLite(b)
	createNotes(b, db)
	for i := range 1000 {
		for _, each := range []*sql.DB{db.DB, bare} {
			if _, err := each.Exec("INSERT INTO notes (text) VALUES (?)", fmt.Sprint("note ", i)); err != nil {
				b.Fatal(err)
			}
		}
	}
	ofBare := func() error {
		var id int64
		var text string
		return bare.QueryRowContext(b.Context(), "SELECT id, text FROM notes WHERE id = ?", 500).Scan(&id, &text)
	}
	b.Run("bun", func(b *testing.B) {
		againstBare(b, func() error {
			var n note
			return db.NewSelect().Model(&n).Where("id = ?", 500).Scan(b.Context())
		}, ofBare)
	})
	b.Run("sql", func(b *testing.B) {
		againstBare(b, func() error {
			var id int64
			var text string
			return db.DB.QueryRowContext(b.Context(), "SELECT id, text FROM notes WHERE id = ?", 500).Scan(&id, &text)
		}, ofBare)
	})
}

// BenchmarkOpen opens, migrates and closes the databases of fifty plugins.
func BenchmarkOpen(b *testing.B) {
	migrations := files(map[string]string{"001_create.sql": "CREATE TABLE notes (id integer PRIMARY KEY, text text);"})
	for name, section := range map[string]func() map[string]any{
		"memory": func() map[string]any { return map[string]any{} },
		"file": func() map[string]any {
			return map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": b.TempDir()}}
		},
	} {
		b.Run(name, func(b *testing.B) {
			const plugins = 50
			var opening, migrating time.Duration
			for b.Loop() {
				lifecycle := fxtest.NewLifecycle(quiet{b})
				m, err := database.NewManager(config.Static(map[string]any{"backend": map[string]any{"database": section()}}), discard(), lifecycle)
				if err != nil {
					b.Fatal(err)
				}
				for i := range plugins {
					start := time.Now()
					db, err := m.Open(b.Context(), fmt.Sprint("plugin-", i))
					if err != nil {
						b.Fatal(err)
					}
					opening += time.Since(start)
					if err := database.Migrate(b.Context(), db, "todo", migrations, slog.New(slog.DiscardHandler)); err != nil {
						b.Fatal(err)
					}
					migrating += time.Since(start)
				}
				lifecycle.RequireStart().RequireStop()
			}
			b.ReportMetric(float64(opening.Microseconds())/float64(b.N*plugins), "µs/open")
			b.ReportMetric(float64(migrating.Microseconds())/float64(b.N*plugins), "µs/open+migrate")
		})
	}
}
