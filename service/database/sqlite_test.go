package database_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/uptrace/bun"
)

func openMemory(t testing.TB) *bun.DB {
	t.Helper()
	db, err := manager(t, map[string]any{}, slog.DiscardHandler).Open(t.Context(), "todo")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func openFile(t testing.TB) *bun.DB {
	t.Helper()
	config := map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": t.TempDir()}}
	db, err := manager(t, config, slog.DiscardHandler).Open(t.Context(), "todo")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// Time is not real in these tests: it passes when everybody waits.

func TestWritersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openFile(t)
		createNotes(t, db)
		// Two writers that keep the database busy, without a break in which a third could get in by luck.
		ctx, cancel := context.WithCancel(t.Context())
		var batches sync.WaitGroup
		for range 2 {
			batches.Go(func() {
				for ctx.Err() == nil {
					err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
						time.Sleep(20 * time.Second)
						_, err := tx.NewInsert().Model(&note{Text: "batch"}).Exec(ctx)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		synctest.Wait()
		for range 5 {
			start := time.Now()
			if _, err := db.NewInsert().Model(&note{Text: "small"}).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(start); waited > 41*time.Second {
				t.Errorf("a small write waited %s, want the time of the two transactions before it at most", waited)
			}
		}
		cancel()
		batches.Wait()
	})
}

func TestDatabaseUsedInsideItsTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openMemory(t)
		createNotes(t, db)
		err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := db.NewInsert().Model(&note{Text: "not by tx"}).Exec(ctx)
			return err
		})
		wantError(t, err, "database is locked", "inside a transaction")
		if _, err := db.NewInsert().Model(&note{Text: "later"}).Exec(t.Context()); err != nil {
			t.Errorf("the next write: %v", err)
		}
	})
}

func TestWaitingWriterGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openMemory(t)
		createNotes(t, db)
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := db.NewInsert().Model(&note{}).Exec(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error: %v, want that of the context", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if _, err := db.NewInsert().Model(&note{}).Exec(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTransactionThatIsAbandoned(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *bun.DB{"file": openFile, "memory": openMemory} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			createNotes(t, db)
			for _, readOnly := range []bool{false, true} {
				ctx, cancel := context.WithCancel(t.Context())
				if _, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: readOnly}); err != nil {
					t.Fatal(err)
				}
				cancel()
				if _, err := db.NewInsert().Model(&note{}).Exec(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *bun.DB{"file": openFile, "memory": openMemory} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			createNotes(t, db)
			insert, err := db.DB.PrepareContext(t.Context(), "/* x */ INSERT INTO notes (text) VALUES (?) RETURNING id")
			if err != nil {
				t.Fatal(err)
			}
			defer insert.Close()
			find, err := db.DB.PrepareContext(t.Context(), "WITH n AS (SELECT * FROM notes) SELECT text FROM n WHERE id = ?")
			if err != nil {
				t.Fatal(err)
			}
			defer find.Close()
			for range 3 {
				var id int64
				if err := insert.QueryRow("hello").Scan(&id); err != nil {
					t.Fatal(err)
				}
				var text string
				if err := find.QueryRow(id).Scan(&text); err != nil || text != "hello" {
					t.Fatalf("%q, %v", text, err)
				}
			}
			if _, err := insert.Exec("once more"); err != nil {
				t.Fatal(err)
			}
			if n := countNotes(t, db); n != 4 {
				t.Errorf("%d notes, want 4", n)
			}
		})
	}
}

func TestTimesAreStoredInUTC(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	if _, err := db.Exec("CREATE TABLE events (at timestamp)"); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.FixedZone("", 2*60*60))
	if _, err := db.DB.Exec("INSERT INTO events VALUES (?)", at); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO events VALUES (?)", at); err != nil { // bun writes the time into the statement
		t.Fatal(err)
	}
	var forms int
	if err := db.QueryRow("SELECT count(DISTINCT cast(at AS text)) FROM events").Scan(&forms); err != nil || forms != 1 {
		t.Errorf("the same time is stored in %d forms (%v), want 1", forms, err)
	}
	var got time.Time
	if err := db.QueryRow("SELECT at FROM events LIMIT 1").Scan(&got); err != nil || !got.Equal(at) || got.Location() != time.UTC {
		t.Errorf("got %v, %v; want %v in UTC", got, err, at)
	}
}
