package auth

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/service/auth/keys"
)

// keyStore keeps public keys in the database, in the table of Backstage. It implements keys.Store.
type keyStore struct {
	db     *bun.DB
	listed time.Duration // for how long a key is listed
	log    *slog.Logger
}

type signingKey struct {
	bun.BaseModel `bun:"table:signing_keys"`

	ID        string    `bun:"kid,pk"`
	CreatedAt time.Time `bun:"created_at"`
	Key       string    `bun:"key"`
}

// Add implements keys.Store.
func (s *keyStore) Add(ctx context.Context, key keys.PublicKey) error {
	_, err := s.db.NewInsert().Model(&signingKey{ID: key.ID, CreatedAt: key.Created.UTC(), Key: string(key.Encoded)}).Exec(ctx)
	return err
}

// List implements keys.Store.
func (s *keyStore) List(ctx context.Context, now time.Time) ([]json.RawMessage, error) {
	var rows []signingKey
	if err := s.db.NewSelect().Model(&rows).Order("created_at").Scan(ctx); err != nil {
		return nil, err
	}
	list := []json.RawMessage{}
	var expired []string
	for _, row := range rows {
		switch {
		case !now.Before(row.CreatedAt.Add(s.listed)):
			expired = append(expired, row.ID)
		case !json.Valid([]byte(row.Key)):
			s.log.WarnContext(ctx, "Ignoring a signing key of the database that can't be read", "key", row.ID)
		default:
			list = append(list, json.RawMessage(row.Key))
		}
	}
	if len(expired) > 0 {
		s.log.InfoContext(ctx, "Removing expired signing keys", "keys", expired)
		// Whether they are gone is of no importance to who asks for the others.
		if _, err := s.db.NewDelete().Model((*signingKey)(nil)).Where("kid IN ?", bun.Tuple(expired)).Exec(ctx); err != nil {
			s.log.WarnContext(ctx, "Failed to remove expired signing keys", "keys", expired, "error", err)
		}
	}
	return list, nil
}
