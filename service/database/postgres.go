package database

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

const (
	sqlStateUndefinedDatabase = "3D000"
	sqlStateDuplicateDatabase = "42P04"
	sqlStateDuplicateSchema   = "42P06"
	sqlStateUniqueViolation   = "23505"
)

// openPostgres opens the database of a plugin on a pool of connections that it shares with every plugin that has the same server, user
// and database: with all of them, in division by schemas.
func (m *Manager) openPostgres(ctx context.Context, t target) (*bun.DB, error) {
	config, err := postgresConfig(t)
	if err != nil {
		return nil, err
	}
	err = m.reach(ctx, "pg "+t.server+" "+config.ConnConfig.User, t, func(ctx context.Context) error {
		err := withConn(ctx, config.ConnConfig, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
		return postgresFailure(err)
	})
	if err != nil {
		return nil, err
	}
	pool, err := m.pool(config, t)
	if err != nil {
		return nil, err
	}
	// In the usual case that the database exists, nobody needs the right to create one, or to connect to another.
	err = pool.Ping(ctx)
	if hasState(err, sqlStateUndefinedDatabase) && t.create {
		if err = createPostgresDatabase(ctx, config.ConnConfig); err == nil {
			err = pool.Ping(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the database %s on %s, which is created if it is missing unless "+
			"backend.database.ensureExists is false: %w (see %s)", config.ConnConfig.Database, t.server, err, t.key)
	}
	if t.schema != "" && t.createSch {
		if err := createSchema(ctx, pool, t); err != nil {
			return nil, fmt.Errorf("making sure that the schema %s exists: %w (see backend.database.ensureSchemaExists)", t.schema, err)
		}
	}

	db, err := m.openDB(schemaConnector{Connector: stdlib.GetPoolConnector(pool), schema: t.schema}, t)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(t.poolMax)
	db.SetMaxIdleConns(0) // what is idle stays in the pool, for all
	if err := m.onClose(func(context.Context) error { return db.Close() }); err != nil {
		return nil, err
	}
	return bun.NewDB(db, pgdialect.New()), nil
}

// pool is the pool of the target's server, user, role and database.
func (m *Manager) pool(config *pgxpool.Config, t target) (*pgxpool.Pool, error) {
	key := strings.Join([]string{config.ConnString(), t.role, fmt.Sprint(t.connection["ssl"]), fmt.Sprint(t.schema != "")}, "\x00")
	m.mu.Lock()
	defer m.mu.Unlock()
	if pool, found := m.pools[key]; found {
		return pool, nil
	}
	if m.closed {
		return nil, errors.New("the backend has stopped")
	}
	// The context only bounds the connections that the pool opens by itself; they end with the pool.
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	m.pools[key] = pool
	m.closers = append(m.closers, func(ctx context.Context) error { return closePool(ctx, pool) })
	return pool, nil
}

// closePool closes the pool, but doesn't wait longer than the context for connections that are still in use.
func closePool(ctx context.Context, pool *pgxpool.Pool) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pool.Close()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d PostgreSQL connections are still in use: %w", pool.Stat().AcquiredConns(), ctx.Err())
	}
}

// cutter ends what waits for the server when its context ends, but lets what is on the way there arrive: after half a message, the server waits for
// the rest and not for the word that the connection is closed, which TLS could not even send. pgx would then wait for a quarter of a minute.
type cutter struct{ conn net.Conn }

// sending is how long a message may be on its way after its context has ended.
const sending = 5 * time.Second

// HandleCancel implements ctxwatch.Handler. Errors come again when the connection is used.
func (c cutter) HandleCancel(context.Context) {
	now := time.Now()
	_ = c.conn.SetReadDeadline(now)
	_ = c.conn.SetWriteDeadline(now.Add(sending))
}

// HandleUnwatchAfterCancel implements ctxwatch.Handler.
func (c cutter) HandleUnwatchAfterCancel() { _ = c.conn.SetDeadline(time.Time{}) }

func postgresConfig(t target) (*pgxpool.Config, error) {
	secure, err := t.connection.tls(t.key)
	if err != nil {
		return nil, err
	}
	c := t.connection
	settings := map[string]string{
		"host": c.text("host"), "port": c.text("port"), "user": c.text("user"), "password": c.text("password"), "database": t.database,
		"connect_timeout": cmp.Or(c.text("connect_timeout"), "10"),
	}
	for _, name := range []string{"sslmode", "sslcert", "sslkey", "sslrootcert", "sslpassword", "options", "target_session_attrs",
		"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		settings[name] = c.text(name)
	}
	if ms, err := strconv.Atoi(c.text("connectionTimeoutMillis")); err == nil && ms > 0 {
		settings["connect_timeout"] = strconv.Itoa((ms + 999) / 1000)
	}
	if secure != nil {
		settings["sslmode"] = "require" // without a fallback to plain text; how to verify is set below
	} else if c.text("ssl") == "false" {
		settings["sslmode"] = "disable"
	}
	var dsn strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if settings[name] != "" {
			fmt.Fprintf(&dsn, "%s='%s' ", name, escape.Replace(settings[name]))
		}
	}
	config, err := pgxpool.ParseConfig(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.key, withoutSecret(err, c.text("password")))
	}
	if secure != nil {
		config.ConnConfig.TLSConfig = secure
		for _, fallback := range config.ConnConfig.Fallbacks {
			fallback.TLSConfig = secure
		}
	}

	// Not part of the connection string, by which plugins that can share a pool are found.
	name := "backstage_plugin_" + t.pluginID
	if t.schema != "" {
		name = "portico"
	}
	config.ConnConfig.RuntimeParams["application_name"] = cmp.Or(c.text("application_name"), name)

	// bun writes arguments into the statement, so that statements kept for their text would hardly ever be used again.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler { return cutter{conn.Conn()} }
	config.MinConns, config.MaxConns = int32(t.poolMin), int32(t.poolMax)
	if t.schema != "" {
		config.MinConns, config.MaxConns = int32(t.sharedPoolMin), int32(t.sharedPoolMax)
	}
	config.MaxConnIdleTime = time.Minute
	config.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		return p.IdleDuration > time.Second || hasInput(p.Conn.PgConn().Conn())
	}
	config.PrepareConn = enterSchema
	if t.role != "" {
		config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			if _, err := conn.Exec(ctx, "SET ROLE "+pgx.Identifier{t.role}.Sanitize()); err != nil {
				return fmt.Errorf("role %s (see backend.database.role): %w", t.role, err)
			}
			return nil
		}
	}
	return config, nil
}

// schemaConnector hands out connections of a pool that see the schema.
type schemaConnector struct {
	driver.Connector
	schema string
}

type schemaKey struct{}

func (c schemaConnector) Connect(ctx context.Context) (driver.Conn, error) {
	return c.Connector.Connect(context.WithValue(ctx, schemaKey{}, c.schema))
}

// enterSchema points a connection of the pool to the schema of the one who acquires it. A connection that served another schema
// forgets the statements that were prepared on it: they could have been planned for another plugin's table of the same name.
func enterSchema(ctx context.Context, conn *pgx.Conn) (bool, error) {
	schema, _ := ctx.Value(schemaKey{}).(string)
	data := conn.PgConn().CustomData()
	before, used := data["schema"]
	if schema == "" || before == schema {
		return true, nil
	}
	data["schema"] = "" // if the following fails half-way
	if used {
		if err := conn.DeallocateAll(ctx); err != nil {
			return false, ctx.Err()
		}
	}
	if _, err := conn.PgConn().Exec(ctx, "SET search_path TO "+pgx.Identifier{schema}.Sanitize()).ReadAll(); err != nil {
		return false, ctx.Err()
	}
	data["schema"] = schema
	return true, nil
}

// Postgres calls do with what is below a connection to PostgreSQL, for COPY and LISTEN. The connection is not used for anything else meanwhile;
// its transaction, if there is one, is that of do. If do answers [driver.ErrBadConn], the connection is given up.
func Postgres(conn *sql.Conn, do func(*pgx.Conn) error) error {
	return conn.Raw(func(c any) error {
		if observed, ok := c.(interface{ Raw() driver.Conn }); ok {
			c = observed.Raw()
		}
		below, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection of type %T is none to PostgreSQL", c)
		}
		return do(below.Conn())
	})
}

// createPostgresDatabase creates the database of the configuration.
func createPostgresDatabase(ctx context.Context, config *pgx.ConnConfig) error {
	admin := config.Copy()
	admin.Database = "postgres"
	return withConn(ctx, admin, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{config.Database}.Sanitize())
		if hasState(err, sqlStateDuplicateDatabase, sqlStateUniqueViolation) {
			return nil // another replica was faster
		}
		return err
	})
}

func createSchema(ctx context.Context, pool *pgxpool.Pool, t target) error {
	var exists bool
	err := pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", t.schema).Scan(&exists)
	if err != nil || exists {
		return err
	}
	statement := "CREATE SCHEMA IF NOT EXISTS " + pgx.Identifier{t.schema}.Sanitize()
	if t.role != "" {
		statement += " AUTHORIZATION " + pgx.Identifier{t.role}.Sanitize()
	}
	_, err = pool.Exec(ctx, statement)
	if hasState(err, sqlStateDuplicateSchema, sqlStateUniqueViolation) {
		return nil // another replica was faster
	}
	return err
}

func withConn(ctx context.Context, config *pgx.ConnConfig, do func(*pgx.Conn) error) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// postgresFailure marks what trying again won't mend. A server that says that the database is missing can be reached.
func postgresFailure(err error) error {
	var refused *pgconn.PgError
	switch {
	case err == nil || hasState(err, sqlStateUndefinedDatabase):
		return nil
	case errors.As(err, &refused) && (strings.HasPrefix(refused.Code, "28") || strings.HasPrefix(refused.Code, "42")):
		return backoff.Permanent(err) // wrong user or password, missing rights
	}
	return err
}

func hasState(err error, states ...string) bool {
	var failure *pgconn.PgError
	if errors.As(err, &failure) {
		for _, state := range states {
			if failure.Code == state {
				return true
			}
		}
	}
	return false
}
