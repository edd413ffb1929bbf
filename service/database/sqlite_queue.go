package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// writeQueue lets the writers of one SQLite database take turns in the order in which they came. SQLite itself has them try again
// after a while, up to 100 ms later, and so starves those whose tries find the lock taken: with two writers that keep it for 20 ms at a
// time, most single inserts fail with "database is locked" however long they may wait.
//
// A database in memory has no WAL, so that there readers take turns with writers too. So as not to keep writers waiting, what a
// reader reads outside a transaction is read to its end before it is handed out.
type writeQueue struct {
	turns        *semaphore.Weighted
	served       atomic.Int64
	readersQueue bool
}

const (
	oneReader = 1
	oneWriter = 1 << 32
)

func newWriteQueue(inMemory bool) *writeQueue {
	return &writeQueue{turns: semaphore.NewWeighted(oneWriter), readersQueue: inMemory}
}

// join waits for a turn. It gives up when the context ends, and when nobody's turn ended for so long that the one who has it must be
// waiting for us: code in a transaction that uses the database instead of the transaction.
func (q *writeQueue) join(ctx context.Context, weight int64) error {
	if q.turns.TryAcquire(weight) {
		return nil
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := q.served.Load()
	timers := make(chan *time.Timer, 1)
	timers <- time.AfterFunc(patience, func() {
		timer := <-timers
		if served := q.served.Load(); served != seen {
			seen = served
			timer.Reset(patience)
		} else {
			cancel()
		}
		timers <- timer
	})
	err := q.turns.Acquire(waiting, weight)
	timer := <-timers
	timer.Stop()
	timers <- timer
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	default:
		return fmt.Errorf("database is locked: a transaction has been open for %s; inside a transaction, use it and not the database",
			patience)
	}
}

func (q *writeQueue) leave(weight int64) {
	q.served.Add(1)
	q.turns.Release(weight)
}

// weight is what a statement needs a turn for: nothing for one that may run at any time.
func (q *writeQueue) weight(write bool) int64 {
	switch {
	case write:
		return oneWriter
	case q.readersQueue:
		return oneReader
	default:
		return 0
	}
}

type queuedConnector struct {
	driver.Connector
	queue *writeQueue
}

func (c *queuedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	sqlite, ok := conn.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("SQLite driver: %T lacks methods", conn), conn.Close())
	}
	return &queuedConn{sqliteConn: sqlite, queue: c.queue}, nil
}

// sqliteConn is what database/sql uses of the driver's connections.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// queuedConn is a connection whose transactions, and statements outside them, wait for their turns. Like any driver.Conn, it is used
// by one goroutine at a time.
type queuedConn struct {
	sqliteConn
	queue *writeQueue
	inTx  bool
}

func (c *queuedConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	weight := c.queue.weight(!options.ReadOnly)
	if err := c.join(ctx, weight); err != nil {
		return nil, err
	}
	tx, err := c.sqliteConn.BeginTx(ctx, options)
	if err != nil {
		c.leave(weight)
		return nil, err
	}
	c.inTx = true
	return &queuedTx{Tx: tx, conn: c, weight: weight}, nil
}

func (c *queuedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(ctx, query, func() (driver.Result, error) { return c.sqliteConn.ExecContext(ctx, query, args) })
}

func (c *queuedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, query, func() (driver.Rows, error) { return c.sqliteConn.QueryContext(ctx, query, args) })
}

func (c *queuedConn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

func (c *queuedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	sqlite, ok := stmt.(sqliteStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("SQLite driver: %T lacks methods", stmt), stmt.Close())
	}
	return &queuedStmt{sqliteStmt: sqlite, conn: c, query: query}, nil
}

func (c *queuedConn) exec(ctx context.Context, query string, run func() (driver.Result, error)) (driver.Result, error) {
	weight := c.weight(query)
	if err := c.join(ctx, weight); err != nil {
		return nil, err
	}
	defer c.leave(weight)
	return run()
}

func (c *queuedConn) query(ctx context.Context, query string, run func() (driver.Rows, error)) (driver.Rows, error) {
	weight := c.weight(query)
	if weight == 0 {
		return run()
	}
	if err := c.join(ctx, weight); err != nil {
		return nil, err
	}
	defer c.leave(weight)
	rows, err := run()
	if err != nil {
		return nil, err
	}
	return readAll(rows)
}

func (c *queuedConn) weight(query string) int64 {
	if c.inTx {
		return 0
	}
	return c.queue.weight(writes(query))
}

func (c *queuedConn) join(ctx context.Context, weight int64) error {
	if weight == 0 {
		return nil
	}
	return c.queue.join(ctx, weight)
}

func (c *queuedConn) leave(weight int64) {
	if weight > 0 {
		c.queue.leave(weight)
	}
}

type queuedTx struct {
	driver.Tx
	conn   *queuedConn
	weight int64
}

func (t *queuedTx) Commit() error {
	defer t.end()
	return t.Tx.Commit()
}

func (t *queuedTx) Rollback() error {
	defer t.end()
	return t.Tx.Rollback()
}

func (t *queuedTx) end() {
	t.conn.inTx = false
	t.conn.leave(t.weight)
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type queuedStmt struct {
	sqliteStmt
	conn  *queuedConn
	query string
}

func (s *queuedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.exec(ctx, s.query, func() (driver.Result, error) { return s.sqliteStmt.ExecContext(ctx, args) })
}

func (s *queuedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.query(ctx, s.query, func() (driver.Rows, error) { return s.sqliteStmt.QueryContext(ctx, args) })
}

// writes tells whether a statement may write. Where the answer can't be told from its beginning it is yes, which costs a turn at most.
func writes(query string) bool {
	word, rest := firstWord(query)
	switch word {
	case "SELECT", "VALUES", "EXPLAIN", "PRAGMA":
		return false
	case "WITH":
		rest = strings.ToUpper(rest)
		return strings.Contains(rest, "INSERT") || strings.Contains(rest, "UPDATE") || strings.Contains(rest, "DELETE") ||
			strings.Contains(rest, "REPLACE")
	}
	return true
}

// firstWord is the first word of a statement after blanks and comments, in upper case, and what follows it.
func firstWord(query string) (word, rest string) {
	for {
		query = strings.TrimLeft(query, " \t\r\n;(")
		switch {
		case strings.HasPrefix(query, "--"):
			_, query, _ = strings.Cut(query, "\n")
		case strings.HasPrefix(query, "/*"):
			_, query, _ = strings.Cut(query, "*/")
		default:
			end := strings.IndexFunc(query, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') })
			if end < 0 {
				end = len(query)
			}
			return strings.ToUpper(query[:end]), query[end:]
		}
	}
}

// rowsInMemory are rows that have been read to their end.
type rowsInMemory struct {
	columns   []string
	typeNames []string
	scanTypes []reflect.Type
	values    [][]driver.Value
}

func readAll(rows driver.Rows) (_ *rowsInMemory, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	read := &rowsInMemory{columns: rows.Columns()}
	for i := range read.columns {
		read.typeNames = append(read.typeNames, rows.(driver.RowsColumnTypeDatabaseTypeName).ColumnTypeDatabaseTypeName(i))
		read.scanTypes = append(read.scanTypes, rows.(driver.RowsColumnTypeScanType).ColumnTypeScanType(i))
	}
	for {
		row := make([]driver.Value, len(read.columns))
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return read, nil
		case err != nil:
			return nil, err
		}
		read.values = append(read.values, row)
	}
}

func (r *rowsInMemory) Columns() []string { return r.columns }

func (r *rowsInMemory) ColumnTypeDatabaseTypeName(index int) string { return r.typeNames[index] }

func (r *rowsInMemory) ColumnTypeScanType(index int) reflect.Type { return r.scanTypes[index] }

func (r *rowsInMemory) Close() error { return nil }

func (r *rowsInMemory) Next(dest []driver.Value) error {
	if len(r.values) == 0 {
		return io.EOF
	}
	copy(dest, r.values[0])
	r.values = r.values[1:]
	return nil
}
