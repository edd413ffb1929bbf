package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Store is the catalog's database. It is safe for concurrent use.
type Store struct {
	// Stitched, if it is set, is told after each transaction of Stitch how many final entities were made: those that changed, and those that came
	// out as they were already.
	Stitched func(ctx context.Context, changed, unchanged int)

	db  *bun.DB
	now func() time.Time
	// committed is called with the changes of final entities after they are committed, in order.
	committed func(context.Context, []Change)
	packer    packer
	name      string // tells it from others
}

// New returns a store on a database that has the catalog's tables. Now tells the time. After each commit that changes final entities,
// and before the method that made it returns, committed is called with the changes.
func New(db *bun.DB, now func() time.Time, committed func(context.Context, []Change)) *Store {
	return &Store{db: db, now: now, committed: committed, packer: newPacker(), name: rand.Text()}
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

	before []byte // what JSON was, while the change is made
	cause  Cause
}

type refreshRow struct {
	bun.BaseModel `bun:"table:refresh_state"`

	Ref         string `bun:"entity_ref"`
	ID          string `bun:"entity_id"`
	LocationKey string `bun:"location_key"`
	Hash        string `bun:"unprocessed_hash"`
	Due         int64  `bun:"next_update_at"`
	Asked       int64  `bun:"asked"`
}

type ingestedRow struct {
	bun.BaseModel `bun:"table:ingested_entities"`

	Ref    string `bun:"entity_ref"`
	Entity []byte `bun:"entity"` // packed, with its place
}

type referenceRow struct {
	bun.BaseModel `bun:"table:refresh_state_references"`

	Source string `bun:"source"`
	Target string `bun:"target_entity_ref"`
}

// references reads who brings entities.
const references = "SELECT source, target_entity_ref FROM refresh_state_references WHERE target_entity_ref IN (?)"

type processedRow struct {
	bun.BaseModel `bun:"table:processed_entities"`

	Ref       string `bun:"entity_ref"`
	Entity    []byte `bun:"entity"` // packed
	Relations string `bun:"relations"`
	Errors    string `bun:"errors"`
	Hash      string `bun:"result_hash"`
	Memory    string `bun:"memory"`
}

type relationRow struct {
	bun.BaseModel `bun:"table:relations"`

	Source string `bun:"source_entity_ref"`
	Origin string `bun:"originating_entity_ref"`
	Type   string `bun:"type"`
	Target string `bun:"target_entity_ref"` // empty if it is Origin, as it mostly is
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

	Cause    string `bun:"cause"`
	Previous []byte `bun:"previous"`
}

// writer is a transaction that holds the lock of the log.
type writer struct {
	bun.Tx
	conn    bun.Conn // that of the transaction
	store   *Store
	seq     int64
	at      int64 // the time of the last entry of the log, in milliseconds
	asked   int64 // tells what this transaction asks for from what others do
	cause   Cause // of what is deleted
	changes []Change
	// unchanged is how many final entities came out as they were.
	unchanged int
}

// write runs fn in a transaction with the lock of the log, and then tells about the changes that fn has logged.
func (s *Store) write(ctx context.Context, fn func(*writer) error) error {
	changes, err := s.commit(ctx, fn)
	if err == nil {
		s.tell(ctx, changes)
	}
	return err
}

func (s *Store) tell(ctx context.Context, changes []Change) {
	if len(changes) > 0 {
		s.committed(ctx, changes)
	}
}

// commit runs fn in a transaction with the lock of the log. It answers the changes that fn has logged, which are to be told.
func (s *Store) commit(ctx context.Context, fn func(*writer) error) (_ []Change, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) { // drivers say what became of the connection
			err = errors.Join(ctx.Err(), err)
		}
	}()
	conn, tx, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	done := false
	defer func() {
		if !done { // also when something panics: closing the connection would wait for the transaction for ever
			err = errors.Join(err, rollback(tx))
		}
	}()
	w := &writer{Tx: tx, conn: conn, store: s, asked: mathrand.Int64()} //nolint:gosec // nobody gains from guessing it
	lock := "SELECT seq, at FROM entity_log_head WHERE id = 1"
	if s.db.Dialect().Name() != dialect.SQLite { // there, a transaction that writes is alone anyway
		lock += " FOR UPDATE"
	}
	if err := tx.NewRaw(lock).Scan(ctx, &w.seq, &w.at); err != nil {
		return nil, fmt.Errorf("locking the log: %w", err)
	}
	if err := fn(w); err != nil {
		return nil, err
	}
	if len(w.changes) > 0 {
		if err := w.moveHead(ctx); err != nil {
			return nil, fmt.Errorf("moving the end of the log: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("committing: %w", err)
	}
	done = true
	return w.changes, nil
}

// connect begins a transaction on a connection of its own. One that was kept may have been closed by the server, which is only seen when it is used;
// then the next one is taken.
func (s *Store) connect(ctx context.Context) (bun.Conn, bun.Tx, error) {
	kept := 0
	if s.db.Dialect().Name() != dialect.SQLite {
		kept = s.db.Stats().MaxOpenConnections // at most
	}
	for ; ; kept-- {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return conn, bun.Tx{}, fmt.Errorf("connecting: %w", err)
		}
		tx, err := s.begin(ctx, conn)
		if err == nil {
			return conn, tx, nil
		}
		if closing := conn.Close(); !errors.Is(closing, sql.ErrConnDone) { // it has been closed if it was a bad one
			err = errors.Join(err, closing)
		}
		if kept <= 0 || ctx.Err() != nil {
			return conn, tx, err
		}
	}
}

// moveHead stores how far the log goes, and has PostgreSQL tell other replicas after the commit.
func (w *writer) moveHead(ctx context.Context) error {
	query, args := "UPDATE entity_log_head SET seq = ?, at = ? WHERE id = 1", []any{w.seq, w.at}
	if w.Dialect().Name() == dialect.PG {
		query, args = "WITH moved AS ("+query+" RETURNING id) SELECT pg_notify(?, ?) FROM moved", append(args, channel, w.store.name)
	}
	_, err := w.NewRaw(query, args...).Exec(ctx)
	return err
}

func (s *Store) begin(ctx context.Context, db beginner) (bun.Tx, error) {
	options := &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	if s.db.Dialect().Name() == dialect.SQLite {
		options = nil
	}
	tx, err := db.BeginTx(ctx, options)
	if err == nil && s.db.Dialect().Name() == dialect.PG {
		if _, err = tx.ExecContext(ctx, byIndex); err != nil {
			err = errors.Join(err, rollback(tx))
		}
	}
	if err != nil {
		return tx, fmt.Errorf("beginning a transaction: %w", err)
	}
	return tx, nil
}

type beginner interface {
	BeginTx(context.Context, *sql.TxOptions) (bun.Tx, error)
}

// byIndex has PostgreSQL look everything up by indexes until the end of the transaction. It takes a table for small, or its rows for alike, until
// it has gathered statistics, and would read all of it again and again while it is filled.
const byIndex = `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)`

// lookUp calls read with what looks everything up by indexes.
func (s *Store) lookUp(ctx context.Context, read func(bun.IDB) error) (err error) {
	if s.db.Dialect().Name() != dialect.PG {
		return read(s.db)
	}
	tx, err := s.begin(ctx, s.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rollback(tx)) }()
	return read(tx)
}

func rollback(tx bun.Tx) error {
	if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// log appends to the log that final entities have changed.
func (w *writer) log(ctx context.Context, changes []Change) error {
	rows := make([]logRow, len(changes))
	w.at = max(w.at, w.store.now().UnixMilli()) // the clocks of replicas differ
	for i := range changes {
		c := &changes[i]
		w.seq++
		c.Seq = w.seq
		rows[i] = logRow{Seq: w.seq, Ref: c.Ref, ID: c.ID, Action: string(c.action()), At: w.at, Cause: c.cause.encode(), Previous: w.store.packer.pack(c.before)}
		c.before = nil
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
	if err := insertNew(ctx, w, rows); err != nil {
		return fmt.Errorf("queueing entities for stitching: %w", err)
	}
	return nil
}

// hash is short enough for a column, and long enough that no two texts share one.
func hash(parts ...string) string {
	var all []byte
	for _, part := range parts {
		all = append(append(strconv.AppendInt(all, int64(len(part)), 10), ':'), part...)
	}
	sum := sha256.Sum256(all)
	return base64.RawURLEncoding.EncodeToString(sum[:20])
}
