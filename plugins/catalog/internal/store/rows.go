package store

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/portico-dev/portico/service/database"
)

// The most rows, and about the most bytes, of one statement.
const (
	batchRows  = 500
	batchBytes = 4 << 20
)

// lookupRows is the most rows that are looked up at once: for more, PostgreSQL reads the whole table.
const lookupRows = 250

// insert adds rows.
func insert[T any](ctx context.Context, w *writer, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	if w.Dialect().Name() == dialect.PG {
		if err := copyRows(ctx, w, rows); err != nil {
			return fmt.Errorf("inserting rows: %w", err)
		}
		return nil
	}
	for chunk := range chunks(rows) {
		if _, err := w.NewInsert().Model(&chunk).Exec(ctx); err != nil {
			return fmt.Errorf("inserting rows: %w", err)
		}
	}
	return nil
}

// insertNew adds those of the rows that are not there yet.
func insertNew[T any](ctx context.Context, w *writer, rows []T) error {
	for chunk := range chunks(rows) {
		var err error
		if w.Dialect().Name() == dialect.PG {
			err = insertArrays(ctx, w, chunk, " ON CONFLICT DO NOTHING")
		} else {
			_, err = w.NewInsert().Model(&chunk).Ignore().Exec(ctx)
		}
		if err != nil {
			return fmt.Errorf("inserting rows: %w", err)
		}
	}
	return nil
}

// upsert adds rows, or sets the columns of those whose entity_ref is there already.
func upsert[T any](ctx context.Context, w *writer, rows []T, columns ...string) error {
	for chunk := range chunks(rows) {
		if err := upsertChunk(ctx, w, chunk, columns); err != nil {
			return fmt.Errorf("writing rows: %w", err)
		}
	}
	return nil
}

func upsertChunk[T any](ctx context.Context, w *writer, chunk []T, columns []string) error {
	name := w.Dialect().Name()
	if name == dialect.PG {
		set := make([]string, len(columns))
		for i, column := range columns {
			set[i] = column + " = EXCLUDED." + column
		}
		return insertArrays(ctx, w, chunk, " ON CONFLICT (entity_ref) DO UPDATE SET "+strings.Join(set, ", "))
	}
	query := w.NewInsert().Model(&chunk)
	if name == dialect.MySQL {
		query = query.On("DUPLICATE KEY UPDATE")
	} else {
		query = query.On("CONFLICT (entity_ref) DO UPDATE")
	}
	for _, column := range columns {
		if name == dialect.MySQL {
			query = query.Set("? = VALUES(?)", bun.Ident(column), bun.Ident(column))
		} else {
			query = query.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
		}
	}
	_, err := query.Exec(ctx)
	return err
}

// copyRows adds rows by PostgreSQL's COPY. While the server stores some, the next ones are on their way.
func copyRows[T any](ctx context.Context, w *writer, rows []T) error {
	table := w.store.db.Table(reflect.TypeFor[T]())
	names := make([]string, len(table.Fields))
	for i, field := range table.Fields {
		names[i] = field.Name
	}
	next, values := 0, make([]any, len(names))
	source := pgx.CopyFromFunc(func() ([]any, error) {
		if next == len(rows) {
			return nil, nil
		}
		row := reflect.ValueOf(&rows[next]).Elem()
		for i, field := range table.Fields {
			values[i] = row.FieldByIndex(field.Index).Interface()
		}
		next++
		return values, nil
	})
	return database.Postgres(w.conn.Conn, func(conn *pgx.Conn) error {
		_, err := conn.CopyFrom(ctx, pgx.Identifier{table.Name}, names, source)
		return err
	})
}

// insertArrays adds rows in PostgreSQL, each column of them as one array: that is a short statement, which is prepared once, instead of a
// long one that is parsed each time.
func insertArrays[T any](ctx context.Context, w *writer, rows []T, onConflict string) error {
	table := w.store.db.Table(reflect.TypeFor[T]())
	names, sources := make([]string, len(table.Fields)), make([]string, len(table.Fields))
	columns := make([]any, len(table.Fields))
	for i, field := range table.Fields {
		names[i] = field.Name
		switch field.IndirectType.Kind() {
		case reflect.Int64:
			columns[i], sources[i] = column[int64](rows, field.Index), fmt.Sprintf("$%d::bigint[]", i+1)
		case reflect.Slice:
			columns[i], sources[i] = column[[]byte](rows, field.Index), fmt.Sprintf("$%d::bytea[]", i+1)
		default:
			columns[i], sources[i] = column[string](rows, field.Index), fmt.Sprintf("$%d::text[]", i+1)
		}
	}
	_, err := w.Tx.Tx.ExecContext(ctx, "INSERT INTO "+table.Name+" ("+strings.Join(names, ", ")+") SELECT * FROM unnest("+
		strings.Join(sources, ", ")+")"+onConflict, columns...)
	return err
}

// column is one field of all rows.
func column[C, T any](rows []T, index []int) []C {
	values := make([]C, len(rows))
	for i := range rows {
		values[i] = reflect.ValueOf(&rows[i]).Elem().FieldByIndex(index).Interface().(C)
	}
	return values
}

// chunks cuts rows into slices for one statement each.
func chunks[T any](rows []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		start, size := 0, 0
		for i, row := range rows {
			n := rowSize(any(row))
			if i > start && (i-start == batchRows || size+n > batchBytes) {
				if !yield(rows[start:i]) {
					return
				}
				start, size = i, 0
			}
			size += n
		}
		if start < len(rows) {
			yield(rows[start:])
		}
	}
}

func rowSize(row any) int {
	switch row := row.(type) {
	case ingestedRow:
		return len(row.Entity)
	case processedRow:
		return len(row.Entity) + len(row.Relations) + len(row.Errors) + len(row.Memory)
	case finalRow:
		return len(row.Entity)
	case logRow:
		return 2 * len(row.Previous) // in hexadecimal
	}
	return 0
}

// maxRead is about how many bytes of entities are read into memory at a time.
const maxRead = 64 << 20

// selectSome is selectIn for rows that may be large. It stops when it has read maxRead, and answers the refs that it has not got to.
func selectSome[T any](ctx context.Context, db bun.IDB, refs []string, query string, size func(T) int) (all []T, rest []string, err error) {
	total := 0
	for total < maxRead && len(refs) > 0 {
		chunk := refs[:min(batchRows, len(refs))]
		refs = refs[len(chunk):]
		rows, err := selectIn[T](ctx, db, chunk, query)
		if err != nil {
			return nil, nil, err
		}
		for _, row := range rows {
			total += size(row)
		}
		all = append(all, rows...)
	}
	return all, refs, nil
}

// listed is a statement with refs for its last placeholder: IN (?). PostgreSQL gets one array, which it need not parse as expressions.
func listed(db bun.IDB, statement string, args []any, refs []string) *bun.RawQuery {
	var list any = bun.List(refs)
	if db.Dialect().Name() == dialect.PG {
		statement, list = strings.Replace(statement, "IN (?)", "= ANY (?)", 1), pgdialect.Array(refs)
	}
	return db.NewRaw(statement, append(slices.Clone(args), list)...)
}

// selectIn reads the rows of a query for all refs.
func selectIn[T any](ctx context.Context, db bun.IDB, refs []string, query string, args ...any) ([]T, error) {
	var all []T
	for chunk := range slices.Chunk(refs, lookupRows) {
		var rows []T
		if err := listed(db, query, args, chunk).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// execIn runs a statement for all refs.
func execIn(ctx context.Context, db bun.IDB, refs []string, statement string, args ...any) error {
	for chunk := range slices.Chunk(refs, lookupRows) {
		if _, err := listed(db, statement, args, chunk).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
