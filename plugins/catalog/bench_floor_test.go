package catalog_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"

	servicedatabase "github.com/portico-dev/portico/service/database"
)

// filled are the tables in which there is something after entities were ingested.
var filled = []string{"refresh_state", "ingested_entities", "refresh_state_references", "processed_entities", "relations", "final_entities", "entity_log"}

// insertRaw inserts the rows of a catalog into empty tables of the same form, in one transaction, and answers how long that took.
func insertRaw(b *testing.B, db *bun.DB) (took time.Duration) {
	b.Helper()
	conn, err := db.DB.Conn(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	insert := insertSQLite
	if db.Dialect().Name() == dialect.PG {
		insert = insertPostgres
	}
	took, err = insert(b, conn)
	if err = errors.Join(err, conn.Close()); err != nil {
		b.Fatal(err)
	}
	return took
}

func insertPostgres(b *testing.B, conn *sql.Conn) (took time.Duration, err error) {
	ctx := b.Context()
	err = servicedatabase.Postgres(conn, func(pg *pgx.Conn) error {
		tables := make([]bytes.Buffer, len(filled))
		for i, table := range filled {
			if _, err := pg.Exec(ctx, fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS floor; CREATE TABLE floor.%[1]s (LIKE %[1]s INCLUDING ALL)", table)); err != nil {
				return err
			}
			if _, err := pg.PgConn().CopyTo(ctx, &tables[i], "COPY "+table+" TO STDOUT (FORMAT binary)"); err != nil {
				return err
			}
		}
		begin := time.Now()
		tx, err := pg.Begin(ctx)
		if err != nil {
			return err
		}
		for i, table := range filled {
			if _, err := pg.PgConn().CopyFrom(ctx, &tables[i], "COPY floor."+table+" FROM STDIN (FORMAT binary)"); err != nil {
				return errors.Join(err, tx.Rollback(ctx))
			}
		}
		err = tx.Commit(ctx)
		took = time.Since(begin)
		return err
	})
	return took, err
}

func insertSQLite(b *testing.B, conn *sql.Conn) (took time.Duration, err error) {
	ctx := b.Context()
	if _, err := conn.ExecContext(ctx, "ATTACH DATABASE ? AS floor", b.TempDir()+"/floor.sqlite"); err != nil {
		return 0, err
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA floor.journal_mode = WAL"); err != nil {
		return 0, err
	}
	rows := make([][][]any, len(filled))
	for i, table := range filled {
		if rows[i], err = dump(b, conn, table); err != nil {
			return 0, err
		}
		if err := likeSQLite(b, conn, table); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	for i, table := range filled {
		statement, err := tx.PrepareContext(ctx, "INSERT INTO floor."+table+" VALUES (?"+strings.Repeat(", ?", len(rows[i][0])-1)+")")
		if err != nil {
			return 0, errors.Join(err, tx.Rollback())
		}
		for _, row := range rows[i] {
			if _, err := statement.ExecContext(ctx, row...); err != nil {
				return 0, errors.Join(err, tx.Rollback())
			}
		}
		if err := statement.Close(); err != nil {
			return 0, errors.Join(err, tx.Rollback())
		}
	}
	err = tx.Commit()
	return time.Since(begin), err
}

// dump reads a table.
func dump(b *testing.B, conn *sql.Conn, table string) (all [][]any, err error) {
	rows, err := conn.QueryContext(b.Context(), "SELECT * FROM "+table)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// likeSQLite makes an empty table, with the indexes of one that there is.
func likeSQLite(b *testing.B, conn *sql.Conn, table string) (err error) {
	rows, err := conn.QueryContext(b.Context(), "SELECT sql FROM main.sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC", table)
	if err != nil {
		return err
	}
	var statements []string
	for rows.Next() {
		var statement string
		if err := rows.Scan(&statement); err != nil {
			return errors.Join(err, rows.Close())
		}
		for _, what := range []string{"CREATE TABLE ", "CREATE INDEX "} {
			if rest, ok := strings.CutPrefix(statement, what); ok {
				statements = append(statements, what+"floor."+rest)
			}
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(b.Context(), statement); err != nil {
			return err
		}
	}
	return nil
}
