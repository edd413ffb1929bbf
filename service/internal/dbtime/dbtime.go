// Package dbtime tells the time by the clock of the database, so that replicas whose own clocks differ agree on it.
package dbtime

import (
	"context"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Now is an SQL expression: the milliseconds since 1970 at the beginning of the statement, as an integer.
func Now(db bun.IDB) bun.Safe {
	switch db.Dialect().Name() {
	case dialect.PG:
		return "CAST(extract(epoch FROM statement_timestamp()) * 1000 AS bigint)"
	case dialect.MySQL:
		return "CAST(unix_timestamp(now(3)) * 1000 AS signed)"
	default:
		return "CAST(unixepoch('now', 'subsec') * 1000 AS integer)"
	}
}

// Read reads the clock.
func Read(ctx context.Context, db bun.IDB) (time.Time, error) {
	var ms int64
	err := db.NewRaw("SELECT ?", Now(db)).Scan(ctx, &ms)
	return time.UnixMilli(ms), err
}
