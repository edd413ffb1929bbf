package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Store is the catalog's database. It is safe for concurrent use.
type Store struct {
	db  *bun.DB
	now func() time.Time
	// committed is called with the changes of final entities after they are committed, in order.
	committed func(context.Context, []Change)
}

// New returns a store on a database that has the catalog's tables. Now tells the time. After each commit that changes final entities,
// and before the method that made it returns, committed is called with the changes.
func New(db *bun.DB, now func() time.Time, committed func(context.Context, []Change)) *Store {
	return &Store{db: db, now: now, committed: committed}
}

// Change is an entry of the log, with the entity as it is now.
type Change struct {
	// Seq is the number of the entry: the one after that of the entry before.
	Seq int64
	// Ref is the entity's ref.
	Ref string
	// ID is the entity's uid.
	ID string
	// JSON is the final entity, or nil if there is none any more.
	JSON []byte
}

// The most rows, and about the most bytes, of one statement.
const (
	batchRows  = 500
	batchBytes = 4 << 20
)

type refreshRow struct {
	bun.BaseModel `bun:"table:refresh_state"`

	Ref         string `bun:"entity_ref"`
	ID          string `bun:"entity_id"`
	LocationKey string `bun:"location_key"`
	Hash        string `bun:"unprocessed_hash"`
	Due         int64  `bun:"next_update_at"`
}

type ingestedRow struct {
	bun.BaseModel `bun:"table:ingested_entities"`

	Ref    string `bun:"entity_ref"`
	Entity string `bun:"entity"`
}

type referenceRow struct {
	bun.BaseModel `bun:"table:refresh_state_references"`

	Source string `bun:"source"`
	Target string `bun:"target_entity_ref"`
}

type processedRow struct {
	bun.BaseModel `bun:"table:processed_entities"`

	Ref       string `bun:"entity_ref"`
	Entity    string `bun:"entity"`
	Relations string `bun:"relations"`
	Errors    string `bun:"errors"`
	Hash      string `bun:"result_hash"`
}

type relationRow struct {
	bun.BaseModel `bun:"table:relations"`

	Source string `bun:"source_entity_ref"`
	Origin string `bun:"originating_entity_ref"`
	Type   string `bun:"type"`
	Target string `bun:"target_entity_ref"`
}

type stitchRow struct {
	bun.BaseModel `bun:"table:stitch_queue"`

	Ref string `bun:"entity_ref"`
}

type finalRow struct {
	bun.BaseModel `bun:"table:final_entities"`

	Ref    string `bun:"entity_ref"`
	ID     string `bun:"entity_id"`
	Entity string `bun:"entity"`
	Hash   string `bun:"hash"`
}

type logRow struct {
	bun.BaseModel `bun:"table:entity_log"`

	Seq    int64  `bun:"seq"`
	Ref    string `bun:"entity_ref"`
	ID     string `bun:"entity_id"`
	Action string `bun:"action"`
	At     int64  `bun:"at"`
}

// writer is a transaction that holds the lock of the log.
type writer struct {
	bun.Tx
	store   *Store
	seq     int64
	changes []Change
}

// write runs fn in a transaction with the lock of the log, and then tells about the changes that fn has logged.
func (s *Store) write(ctx context.Context, fn func(*writer) error) (err error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, rollback(tx))
		}
	}()
	w := &writer{Tx: tx, store: s}
	lock := "SELECT seq FROM entity_log_head WHERE id = 1"
	if s.db.Dialect().Name() != dialect.SQLite { // there, a transaction that writes is alone anyway
		lock += " FOR UPDATE"
	}
	if err := tx.NewRaw(lock).Scan(ctx, &w.seq); err != nil {
		return fmt.Errorf("locking the log: %w", err)
	}
	if err := fn(w); err != nil {
		return err
	}
	if len(w.changes) > 0 {
		if _, err := tx.ExecContext(ctx, "UPDATE entity_log_head SET seq = ? WHERE id = 1", w.seq); err != nil {
			return fmt.Errorf("moving the end of the log: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if len(w.changes) > 0 {
		s.committed(ctx, w.changes)
	}
	return nil
}

func (s *Store) begin(ctx context.Context) (bun.Tx, error) {
	options := &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	if s.db.Dialect().Name() == dialect.SQLite {
		options = nil
	}
	tx, err := s.db.BeginTx(ctx, options)
	if err != nil {
		return tx, fmt.Errorf("beginning a transaction: %w", err)
	}
	return tx, nil
}

func rollback(tx bun.Tx) error {
	if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// log appends to the log that final entities have changed.
func (w *writer) log(ctx context.Context, action string, changes []Change) error {
	rows := make([]logRow, len(changes))
	now := w.store.now().UnixMilli()
	for i := range changes {
		w.seq++
		changes[i].Seq = w.seq
		rows[i] = logRow{Seq: w.seq, Ref: changes[i].Ref, ID: changes[i].ID, Action: action, At: now}
	}
	w.changes = append(w.changes, changes...)
	return insert(ctx, w, rows)
}

// queue notes that the final forms of the entities have to be made anew.
func (w *writer) queue(ctx context.Context, refs map[string]bool) error {
	rows := make([]stitchRow, 0, len(refs))
	for ref := range refs {
		rows = append(rows, stitchRow{Ref: ref})
	}
	slices.SortFunc(rows, func(a, b stitchRow) int { return strings.Compare(a.Ref, b.Ref) })
	for chunk := range slices.Chunk(rows, batchRows) {
		if _, err := w.NewInsert().Model(&chunk).Ignore().Exec(ctx); err != nil {
			return fmt.Errorf("queueing entities for stitching: %w", err)
		}
	}
	return nil
}

// insert adds rows.
func insert[T any](ctx context.Context, db bun.IDB, rows []T) error {
	for chunk := range chunks(rows) {
		if _, err := db.NewInsert().Model(&chunk).Exec(ctx); err != nil {
			return fmt.Errorf("inserting rows: %w", err)
		}
	}
	return nil
}

// upsert adds rows, or sets the columns of those whose entity_ref is there already.
func upsert[T any](ctx context.Context, db bun.IDB, rows []T, columns ...string) error {
	mysql := db.Dialect().Name() == dialect.MySQL
	for chunk := range chunks(rows) {
		query := db.NewInsert().Model(&chunk)
		if mysql {
			query = query.On("DUPLICATE KEY UPDATE")
		} else {
			query = query.On("CONFLICT (entity_ref) DO UPDATE")
		}
		for _, column := range columns {
			if mysql {
				query = query.Set("? = VALUES(?)", bun.Ident(column), bun.Ident(column))
			} else {
				query = query.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
			}
		}
		if _, err := query.Exec(ctx); err != nil {
			return fmt.Errorf("writing rows: %w", err)
		}
	}
	return nil
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
		return len(row.Entity) + len(row.Relations) + len(row.Errors)
	case finalRow:
		return len(row.Entity)
	}
	return 0
}

// selectIn reads the rows of a query with one placeholder for a list, for all refs.
func selectIn[T any](ctx context.Context, db bun.IDB, refs []string, query string) ([]T, error) {
	var all []T
	for chunk := range slices.Chunk(refs, batchRows) {
		var rows []T
		if err := db.NewRaw(query, bun.List(chunk)).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// execIn runs a statement with one placeholder for a list, for all refs.
func execIn(ctx context.Context, db bun.IDB, refs []string, query string) error {
	for chunk := range slices.Chunk(refs, batchRows) {
		if _, err := db.NewRaw(query, bun.List(chunk)).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hash is short enough for a column, and long enough that no two texts share one.
func hash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(h, "%d:", len(part))
		_, _ = h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:20])
}
