package database

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Migrate brings the tables of one owner up to date: it runs those of its SQL files that have not yet run on the database, in order.
// The owner is the plugin, or "plugin/module"; each has migrations of its own. How files are named, and what holds for their content, is
// in the documentation of the package.
//
// Any number of replicas may do this at the same time: each file runs once, and all return after the last one has. On SQLite and
// PostgreSQL all files that are due run in one transaction, so that a failure leaves the database as it was; MySQL commits each
// statement that defines tables. A replica that dies on the way leaves no lock behind.
//
// An error tells which file failed and, except on SQLite, in which line. It is also an error if a file that has run was changed since: databases that ran it before
// and after would differ. A file that has run but is not in files any more is logged: the database was used by a newer version, which an
// older one is given the chance to run on.
func Migrate(ctx context.Context, db *bun.DB, owner string, files fs.FS, log *slog.Logger) error {
	migrations, err := readMigrations(files, db.Dialect().Name())
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", owner, err)
	}
	if len(migrations) == 0 {
		return nil
	}
	m := &migrator{owner: owner, migrations: migrations, log: log.With("owner", owner)}
	waiting := time.AfterFunc(5*time.Second, func() {
		m.log.InfoContext(ctx, "waiting for the migrations of another replica, or running long ones")
	})
	defer waiting.Stop()
	switch db.Dialect().Name() {
	case dialect.MySQL:
		err = m.runLocked(ctx, db.DB)
	default:
		err = m.runInTransaction(ctx, db.DB, db.Dialect().Name())
	}
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", owner, err)
	}
	return nil
}

// migration is a file with statements for one dialect.
type migration struct {
	number   uint64
	name     string // without the dialect: what is recorded
	file     string
	specific bool // for one dialect
	content  string
	checksum string
}

type migrator struct {
	owner      string
	migrations []migration
	log        *slog.Logger
}

var migrationName = regexp.MustCompile(`^(\d+)_([^.]+)(?:\.(sqlite|postgres|mysql))?(?:\.(up|down))?\.sql$`)

// readMigrations reads the SQL files anywhere in files that are meant for the dialect, in order.
func readMigrations(files fs.FS, name dialect.Name) ([]migration, error) {
	suffix := map[dialect.Name]string{dialect.SQLite: "sqlite", dialect.PG: "postgres", dialect.MySQL: "mysql"}[name]
	found := map[uint64]migration{}
	err := fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(file) != ".sql" {
			return err
		}
		parts := migrationName.FindStringSubmatch(path.Base(file))
		if parts == nil {
			return fmt.Errorf("%s: the name must be like 001_create_tables.sql, or 001_create_tables.postgres.sql (sqlite, mysql) for one "+
				"kind of database", file)
		}
		if parts[4] == "down" || parts[3] != "" && parts[3] != suffix {
			return nil
		}
		number, err := strconv.ParseUint(parts[1], 10, 64)
		if err != nil {
			return fmt.Errorf("%s: the number is too large", file)
		}
		m := migration{number: number, name: parts[1] + "_" + parts[2], file: file, specific: parts[3] != ""}
		other, taken := found[number]
		switch {
		case taken && other.specific == m.specific || taken && other.name != m.name:
			return fmt.Errorf("%s and %s have the same number", other.file, file)
		case taken && other.specific:
			return nil
		}
		content, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		// Line ends differ between checkouts of the same file.
		m.content = strings.ReplaceAll(string(content), "\r\n", "\n")
		sum := sha256.Sum256([]byte(m.content))
		m.checksum = hex.EncodeToString(sum[:])
		found[number] = m
		return nil
	})
	if err != nil {
		return nil, err
	}
	var migrations []migration
	for _, m := range found {
		migrations = append(migrations, m)
	}
	slices.SortFunc(migrations, func(a, b migration) int { return cmp.Compare(a.number, b.number) })
	return migrations, nil
}

// execer is a transaction or a connection.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// runInTransaction runs what is due in one transaction, which also is the lock: SQLite lets one write at a time, and PostgreSQL has a lock
// that ends with the transaction.
func (m *migrator) runInTransaction(ctx context.Context, db *sql.DB, name dialect.Name) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	placeholder := func(int) string { return "?" }
	if name == dialect.PG {
		placeholder = func(i int) string { return "$" + strconv.Itoa(i) }
		const lock = "SELECT pg_advisory_xact_lock(hashtext('portico_migrations'), hashtext(current_schema()))"
		if _, err := tx.ExecContext(ctx, lock); err != nil {
			return fmt.Errorf("taking the lock: %w", err)
		}
	}
	err = m.run(ctx, tx, placeholder, func(migration migration) error {
		_, err := tx.ExecContext(ctx, migration.content)
		var failure *pgconn.PgError
		if errors.As(err, &failure) && failure.Position > 0 {
			before := []rune(migration.content)[:failure.Position-1]
			return fmt.Errorf("line %d: %w", 1+strings.Count(string(before), "\n"), err)
		}
		return err
	})
	if err != nil {
		return err
	}
	return tx.Commit()
}

// runLocked runs what is due on a connection that holds a lock of MySQL, which ends with the connection at the latest.
func (m *migrator) runLocked(ctx context.Context, db *sql.DB) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	const lock = "CONCAT('portico_migrations ', MD5(DATABASE()))"
	for locked := false; !locked; {
		var got sql.NullInt64
		if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK("+lock+", 10)").Scan(&got); err != nil {
			return fmt.Errorf("taking the lock: %w", err)
		}
		if !got.Valid {
			return errors.New("taking the lock: the server could not")
		}
		locked = got.Int64 == 1
	}
	defer func() {
		_, failure := conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK("+lock+")")
		err = errors.Join(err, failure)
	}()
	return m.run(ctx, conn, func(int) string { return "?" }, func(migration migration) error {
		for _, statement := range splitStatements(migration.content) {
			if _, err := conn.ExecContext(ctx, statement.text); err != nil {
				return fmt.Errorf("line %d: %w", statement.line, err)
			}
		}
		return nil
	})
}

func (m *migrator) run(ctx context.Context, db execer, placeholder func(int) string, apply func(migration) error) error {
	const table = `CREATE TABLE IF NOT EXISTS portico_migrations (
		owner varchar(255) NOT NULL,
		name varchar(255) NOT NULL,
		checksum char(64) NOT NULL,
		applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
		PRIMARY KEY (owner, name)
	)`
	if _, err := db.ExecContext(ctx, table); err != nil {
		return fmt.Errorf("creating the table portico_migrations: %w", err)
	}
	applied, err := m.applied(ctx, db, placeholder)
	if err != nil {
		return fmt.Errorf("reading the table portico_migrations: %w", err)
	}
	for _, migration := range m.migrations {
		checksum, done := applied[migration.name]
		delete(applied, migration.name)
		if done && checksum != migration.checksum {
			return fmt.Errorf("%s has changed since it ran on this database; put further changes into a new file, so that all "+
				"databases get them (a database without data of worth may be dropped instead)", migration.file)
		}
		if done {
			continue
		}
		start := time.Now()
		if err := apply(migration); err != nil {
			return fmt.Errorf("%s: %w", migration.file, err)
		}
		_, err := db.ExecContext(ctx, "INSERT INTO portico_migrations (owner, name, checksum) VALUES ("+placeholder(1)+", "+placeholder(2)+
			", "+placeholder(3)+")", m.owner, migration.name, migration.checksum)
		if err != nil {
			return fmt.Errorf("%s: recording that it ran: %w", migration.file, err)
		}
		m.log.InfoContext(ctx, "migrated the database", "migration", migration.name, "duration", time.Since(start))
	}
	for name := range applied {
		m.log.WarnContext(ctx, "the database was migrated by a newer version", "migration", name)
	}
	return nil
}

// applied are the checksums of the owner's migrations that have run, by name.
func (m *migrator) applied(ctx context.Context, db execer, placeholder func(int) string) (_ map[string]string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT name, checksum FROM portico_migrations WHERE owner = "+placeholder(1), m.owner)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	applied := map[string]string{}
	for rows.Next() {
		var name, checksum string
		if err := rows.Scan(&name, &checksum); err != nil {
			return nil, err
		}
		applied[name] = checksum
	}
	return applied, rows.Err()
}
