package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
)

// Webhook is how far a webhook has got, and how it is doing. Times are milliseconds since 1970; zero is never.
type Webhook struct {
	bun.BaseModel `bun:"table:webhooks"`

	ID string `bun:"id,pk"`
	// Seq is the number of the last entry of the log that was delivered or passed over.
	Seq int64 `bun:"seq"`
	// Lost tells that entries after those that were delivered have been deleted from the log, which nobody has been told yet.
	Lost bool `bun:"lost"`
	// DeliveredAt is when it was called with success.
	DeliveredAt int64 `bun:"delivered_at"`
	// Failures are the attempts since then that have failed, FailingSince when the first of them was, and LastError what was wrong.
	Failures     int    `bun:"failures"`
	FailingSince int64  `bun:"failing_since"`
	LastError    string `bun:"last_error"`
	// NextAttemptAt is when it may be called again.
	NextAttemptAt int64 `bun:"next_attempt_at"`
	// DisabledAt is when it was given up.
	DisabledAt int64 `bun:"disabled_at"`
}

// Webhooks answers what is known of webhooks. Those that have never run are not there.
func (s *Store) Webhooks(ctx context.Context, ids ...string) ([]Webhook, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var rows []Webhook
	if err := s.db.NewSelect().Model(&rows).Where("id IN (?)", bun.List(ids)).OrderExpr("id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("catalog: reading the state of webhooks: %w", err)
	}
	return rows, nil
}

// AddWebhook stores the state of a webhook that has none yet.
func (s *Store) AddWebhook(ctx context.Context, w Webhook) error {
	if _, err := s.db.NewInsert().Model(&w).Ignore().Exec(ctx); err != nil {
		return fmt.Errorf("catalog: storing the state of webhook %s: %w", w.ID, err)
	}
	return nil
}

// SaveWebhook stores how a webhook is doing.
func (s *Store) SaveWebhook(ctx context.Context, w Webhook) error {
	if _, err := s.db.NewUpdate().Model(&w).WherePK().Exec(ctx); err != nil {
		return fmt.Errorf("catalog: storing the state of webhook %s: %w", w.ID, err)
	}
	return nil
}

// EnableWebhook has a webhook that was given up called again. If it was not, nothing happens.
func (s *Store) EnableWebhook(ctx context.Context, id string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE webhooks SET disabled_at = 0, failures = 0, failing_since = 0, next_attempt_at = 0
		WHERE id = ? AND disabled_at > 0`, id)
	if err != nil {
		return fmt.Errorf("catalog: enabling webhook %s: %w", id, err)
	}
	return nil
}
