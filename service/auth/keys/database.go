package keys

import (
	"context"
	"embed"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/uptrace/bun"
)

// Migrations make the table of [Database].
//
//go:embed migrations
var Migrations embed.FS

// timeFormat is that of JavaScript's toISOString.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Database is a [Store] in a table of a plugin's database. It is the table of Backstage, so that replicas of both can share it.
type Database struct {
	open func(context.Context) (*bun.DB, error)
	log  *slog.Logger
}

// NewDatabase makes a store. The database is opened when it is needed; open is called each time.
func NewDatabase(open func(context.Context) (*bun.DB, error), log *slog.Logger) *Database {
	return &Database{open, log}
}

type publicKey struct {
	bun.BaseModel `bun:"table:backstage_backend_public_keys__keys"`

	ID        string `bun:"id,pk"`
	Key       string `bun:"key"`
	ExpiresAt string `bun:"expires_at"`
}

// Add implements [Store].
func (d *Database) Add(ctx context.Context, key PublicKey) error {
	db, err := d.open(ctx)
	if err != nil {
		return err
	}
	_, err = db.NewInsert().Model(&publicKey{ID: key.ID, Key: string(key.Encoded), ExpiresAt: key.Expiry.UTC().Format(timeFormat)}).Exec(ctx)
	return err
}

// List implements [Store].
func (d *Database) List(ctx context.Context, now time.Time) ([]json.RawMessage, error) {
	db, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	var rows []publicKey
	if err := db.NewSelect().Model(&rows).Order("expires_at").Scan(ctx); err != nil {
		return nil, err
	}
	list := []json.RawMessage{}
	var expired []string
	for _, row := range rows {
		expiry, err := time.Parse(time.RFC3339, row.ExpiresAt)
		switch {
		case err != nil || !json.Valid([]byte(row.Key)):
			d.log.WarnContext(ctx, "Ignoring a public key of the database that can't be read", "key", row.ID)
		case now.Before(expiry):
			list = append(list, json.RawMessage(row.Key))
		default:
			expired = append(expired, row.ID)
		}
	}
	if len(expired) > 0 {
		// Whether they are gone is of no importance to who asks for the others.
		if _, err := db.NewDelete().Model((*publicKey)(nil)).Where("id IN ?", bun.Tuple(expired)).Exec(ctx); err != nil {
			d.log.WarnContext(ctx, "Failed to remove expired public keys", "keys", expired, "error", err)
		}
	}
	return list, nil
}
