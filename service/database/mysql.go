package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-sql-driver/mysql"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
)

const (
	mysqlAccessDeniedDatabase = 1044
	mysqlUnknownDatabase      = 1049
	mysqlHostNotPrivileged    = 1130
)

func (m *Manager) openMySQL(ctx context.Context, t target) (*bun.DB, error) {
	config, err := mysqlConfig(t)
	if err != nil {
		return nil, err
	}
	err = m.reach(ctx, "mysql "+t.server+" "+config.User, t, func(ctx context.Context) error {
		return mysqlFailure(withMySQL(ctx, config, func(conn *sql.DB) error { return conn.PingContext(ctx) }))
	})
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.key, err)
	}
	db, err := m.openDB(connector, t)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(t.poolMax)
	db.SetMaxIdleConns(min(max(t.poolMin, 4), t.poolMax))
	db.SetConnMaxIdleTime(time.Minute)
	err = db.PingContext(ctx)
	if hasNumber(err, mysqlUnknownDatabase) && t.create {
		if err = createMySQLDatabase(ctx, config); err == nil {
			err = db.PingContext(ctx)
		}
	}
	if err != nil {
		err = fmt.Errorf("connecting to the database %s on %s, which is created if it is missing unless "+
			"backend.database.ensureExists is false: %w (see %s)", t.database, t.server, err, t.key)
		return nil, errors.Join(err, db.Close())
	}
	if err := m.onClose(func(context.Context) error { return db.Close() }); err != nil {
		return nil, err
	}
	return bun.NewDB(db, mysqldialect.New()), nil
}

func mysqlConfig(t target) (*mysql.Config, error) {
	secure, err := t.connection.tls(t.key)
	if err != nil {
		return nil, err
	}
	c := t.connection
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", t.server
	if socket := c.text("socketPath"); socket != "" {
		config.Net, config.Addr = "unix", socket
	}
	config.User, config.Passwd, config.DBName = c.text("user"), c.text("password"), t.database
	config.TLS = secure
	config.ParseTime, config.Loc = true, time.UTC
	// Sessions count time in UTC, whatever the server does, and keep to standard SQL where MySQL would cut values short.
	config.Params = map[string]string{"time_zone": "'+00:00'", "sql_mode": "CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"}
	config.Timeout = 10 * time.Second
	if ms, err := strconv.Atoi(c.text("connectTimeout")); err == nil && ms > 0 {
		config.Timeout = time.Duration(ms) * time.Millisecond
	}
	config.Logger = &mysql.NopLogger{}
	return config, nil
}

func createMySQLDatabase(ctx context.Context, config *mysql.Config) error {
	admin := config.Clone()
	admin.DBName = ""
	return withMySQL(ctx, admin, func(db *sql.DB) error {
		name := "`" + strings.ReplaceAll(config.DBName, "`", "``") + "`"
		_, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+name+" CHARACTER SET utf8mb4")
		return err
	})
}

func withMySQL(ctx context.Context, config *mysql.Config, do func(*sql.DB) error) error {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	return errors.Join(do(db), db.Close())
}

// mysqlFailure marks what trying again won't mend. A server that says that the database is missing can be reached, one that denies the
// access to it too.
func mysqlFailure(err error) error {
	var failure *mysql.MySQLError
	switch {
	case hasNumber(err, mysqlUnknownDatabase, mysqlAccessDeniedDatabase):
		return nil
	case hasNumber(err, mysqlHostNotPrivileged), errors.As(err, &failure) && string(failure.SQLState[:]) == "28000":
		return backoff.Permanent(err) // wrong user or password
	}
	return err
}

func hasNumber(err error, numbers ...uint16) bool {
	var failure *mysql.MySQLError
	if errors.As(err, &failure) {
		for _, number := range numbers {
			if failure.Number == number {
				return true
			}
		}
	}
	return false
}
