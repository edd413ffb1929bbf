package database

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
)

// sqliteOptions are the same for all databases. Transactions take the write lock when they begin, unless they are read-only: one that
// took it at its first write would fail when another has written since its first read. Strings in double quotes, which SQLite alone
// would take for text, are errors. Times are written in UTC, in the form that bun writes. What is written again and again reaches the
// database once for 8000 pages of the write-ahead log, which are 32 MB, and not for each 1000.
const sqliteOptions = "_pragma=wal_autocheckpoint(8000)&_txlock=immediate&_foreign_keys=on&_dqs=0&_error_rc=1&_time_format=sqlite&_timezone=UTC"

func (m *Manager) openSQLite(ctx context.Context, t target) (*bun.DB, error) {
	file := t.connection.text("filename")
	inMemory := file == ":memory:"
	dsn := "file:/" + rand.Text() + "?vfs=memdb&" + sqliteOptions
	if !inMemory {
		if file = cmp.Or(file, t.pluginID+".sqlite"); !filepath.IsAbs(file) {
			file = filepath.Join(t.connection.text("directory"), file)
		}
		if err := ensureFile(file); err != nil {
			return nil, fmt.Errorf("%w (see %s)", err, t.key)
		}
		location, err := fileURL(file)
		if err != nil {
			return nil, err
		}
		dsn = location + "?_journal_mode=WAL&_synchronous=NORMAL&" + sqliteOptions
	}
	dsn += fmt.Sprintf("&_busy_timeout=%d", patience.Milliseconds())
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	db, err := m.openDB(&queuedConnector{Connector: connector, queue: newWriteQueue(inMemory)}, t)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(t.poolMax)
	db.SetMaxIdleConns(min(max(t.poolMin, 4), t.poolMax))

	closer := func(context.Context) error { return db.Close() }
	if inMemory {
		// The database lives as long as a connection to it is open: this one keeps it.
		keeper, err := connector.Connect(ctx)
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		closer = func(context.Context) error { return errors.Join(db.Close(), keeper.Close()) }
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening SQLite database %s: %w (see %s)", file, err, t.key), closer(ctx))
	}
	if err := m.onClose(closer); err != nil {
		return nil, err
	}
	return bun.NewDB(db, sqlitedialect.New()), nil
}

// ensureFile creates the file and its directory where they are missing, and finds out whether both can be written: SQLite itself only
// says that it is unable to open a file.
func ensureFile(file string) error {
	directory := filepath.Dir(file)
	if err := os.MkdirAll(directory, 0o750); err != nil {
		return fmt.Errorf("creating the directory %s for SQLite databases: %w", directory, err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("the SQLite database can't be written: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	f, err = os.CreateTemp(directory, filepath.Base(file)+".*.tmp")
	if err != nil {
		return fmt.Errorf("SQLite writes further files beside the database, which fails: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func fileURL(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // a Windows drive
		path = "/" + path
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath(), nil
}

// patience is how long a statement waits for one other transaction to end before it gives up.
const patience = 30 * time.Second
