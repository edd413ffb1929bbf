package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/uptrace/bun"
)

// refreshSettings are what the configuration says of refresh tokens.
type refreshSettings struct {
	Enabled                                bool
	TokenLifetime                          time.Duration
	MaxRotationLifetime                    time.Duration
	MaxTokensPerUser                       int
	DangerouslyDisableCatalogPresenceCheck bool
}

// defaultRefreshSettings are Backstage's: a token lives for 30 days from its last use, for a year in all.
func defaultRefreshSettings() refreshSettings {
	const day = 24 * time.Hour
	return refreshSettings{TokenLifetime: 30 * day, MaxRotationLifetime: 365 * day, MaxTokensPerUser: 20}
}

func (s refreshSettings) check() error {
	const key = "auth: configuration key auth.experimentalRefreshToken."
	switch {
	case s.TokenLifetime <= 0:
		return errors.New(key + "tokenLifetime must be a positive duration")
	case s.MaxRotationLifetime <= s.TokenLifetime:
		return errors.New(key + "maxRotationLifetime must be greater than tokenLifetime")
	case s.MaxTokensPerUser <= 0:
		return errors.New(key + "maxTokensPerUser must be a positive number")
	}
	return nil
}

// offlineSessions let clients have new tokens of users who have agreed once, by refresh tokens: each is good for one use, and replaced by it.
type offlineSessions struct {
	refreshSettings
	db    *bun.DB
	clock clockwork.Clock
}

// offlineSession is what is stored of a refresh token, in the table of Backstage.
type offlineSession struct {
	bun.BaseModel `bun:"table:offline_sessions"`

	ID            string    `bun:"id,pk"`
	UserEntityRef string    `bun:"user_entity_ref"`
	ClientID      string    `bun:"oidc_client_id,nullzero"`
	TokenHash     string    `bun:"token_hash"`
	CreatedAt     time.Time `bun:"created_at"`
	LastUsedAt    time.Time `bun:"last_used_at"`
}

// errBadRefreshToken is the error of a token that is not good, whatever the reason.
func errBadRefreshToken() error { return invalidGrant("Invalid refresh token") }

// newRefreshToken is a token of a session: the id of that, and a secret.
func newRefreshToken(session string) string { return session + "." + newSecret() }

// issue makes a refresh token. It ends other sessions of the user with the client, those that have expired, and the oldest ones if the user
// has too many.
func (o *offlineSessions) issue(ctx context.Context, user, clientID string) (string, error) {
	now, id := o.clock.Now().UTC(), uuid.NewString()
	token := newRefreshToken(id)
	err := o.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		ended := tx.NewDelete().Model((*offlineSession)(nil)).WhereOr("user_entity_ref = ? AND oidc_client_id = ?", user, clientID).
			WhereOr("last_used_at < ?", now.Add(-o.TokenLifetime)).WhereOr("created_at < ?", now.Add(-o.MaxRotationLifetime))
		if _, err := ended.Exec(ctx); err != nil {
			return err
		}
		session := &offlineSession{ID: id, UserEntityRef: user, ClientID: clientID, TokenHash: hashed(token), CreatedAt: now, LastUsedAt: now}
		if _, err := tx.NewInsert().Model(session).Exec(ctx); err != nil {
			return err
		}
		var ids []string
		if err := tx.NewSelect().Model((*offlineSession)(nil)).Column("id").Where("user_entity_ref = ? AND id <> ?", user, id).
			Order("last_used_at DESC").Scan(ctx, &ids); err != nil {
			return err
		}
		if len(ids) < o.MaxTokensPerUser {
			return nil
		}
		_, err := tx.NewDelete().Model((*offlineSession)(nil)).Where("id IN ?", bun.Tuple(ids[o.MaxTokensPerUser-1:])).Exec(ctx)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("auth: storing a refresh token: %w", err)
	}
	return token, nil
}

// find is the session of a token that is good.
func (o *offlineSessions) find(ctx context.Context, token string) (offlineSession, error) {
	var s offlineSession
	id, _, _ := strings.Cut(token, ".")
	err := o.db.NewSelect().Model(&s).Where("id = ?", id).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return s, errBadRefreshToken()
	case err != nil:
		return s, fmt.Errorf("auth: reading a refresh token: %w", err)
	case !sameSecret(s.TokenHash, token):
		return s, errBadRefreshToken()
	}
	now := o.clock.Now()
	if !now.Before(s.LastUsedAt.Add(o.TokenLifetime)) || !now.Before(s.CreatedAt.Add(o.MaxRotationLifetime)) {
		return s, errors.Join(errBadRefreshToken(), o.end(ctx, s.ID))
	}
	return s, nil
}

// rotate replaces the token of a session. Of several who have it, one gets another.
func (o *offlineSessions) rotate(ctx context.Context, s offlineSession) (string, error) {
	token := newRefreshToken(s.ID)
	result, err := o.db.NewUpdate().Model((*offlineSession)(nil)).Set("token_hash = ?", hashed(token)).Set("last_used_at = ?", o.clock.Now().UTC()).
		Where("id = ? AND token_hash = ?", s.ID, s.TokenHash).Exec(ctx)
	if err != nil {
		return "", fmt.Errorf("auth: replacing a refresh token: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return "", errBadRefreshToken()
	}
	return token, nil
}

// end ends a session.
func (o *offlineSessions) end(ctx context.Context, id string) error {
	if _, err := o.db.NewDelete().Model((*offlineSession)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
		return fmt.Errorf("auth: ending a session: %w", err)
	}
	return nil
}
