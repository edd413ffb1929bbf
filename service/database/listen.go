package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// listenCheck is how long [Listen] waits for a notification before it makes sure that the connection is still there, and how long that may take.
const listenCheck = 5 * time.Second

// CanListen tells whether [Listen] is of use: the database is PostgreSQL, and has a connection to spare.
func CanListen(db *bun.DB) bool {
	return db.Dialect().Name() == dialect.PG && db.Stats().MaxOpenConnections != 1
}

// Listen takes a connection for good, and listens on a channel of PostgreSQL. It calls heard with the payload of each notification; with none
// when it has begun to listen, and every five seconds without notifications: what was said before, or while the connection was being lost, is
// not heard. It returns when heard fails, when the connection is lost, or, without an error, when the context ends.
func Listen(ctx context.Context, db *bun.DB, channel string, heard func(payload string) error) error {
	conn, err := db.DB.Conn(ctx)
	if err != nil {
		return unlessDone(ctx, err)
	}
	var failure error
	err = Postgres(conn, func(conn *pgx.Conn) error {
		failure = listen(ctx, conn, channel, heard)
		// It listens, so it is of no use for others.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // the reason is known already, if there is one
		return driver.ErrBadConn
	})
	if errors.Is(err, driver.ErrBadConn) {
		err = nil
	}
	if closed := conn.Close(); !errors.Is(closed, sql.ErrConnDone) {
		err = errors.Join(err, closed)
	}
	return unlessDone(ctx, errors.Join(failure, err))
}

func listen(ctx context.Context, conn *pgx.Conn, channel string, heard func(payload string) error) error {
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return err
	}
	for payload := ""; ; {
		if err := heard(payload); err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, listenCheck)
		notification, err := conn.WaitForNotification(waiting)
		timedOut := waiting.Err() != nil
		cancel()
		switch payload = ""; {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			payload = notification.Payload
		case !timedOut:
			return err
		default:
			checking, cancel := context.WithTimeout(ctx, listenCheck)
			err := conn.Ping(checking)
			cancel()
			if err != nil {
				return err
			}
		}
	}
}

func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
