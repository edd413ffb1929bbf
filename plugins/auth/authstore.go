package auth

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/service"
)

const (
	maxParameter = 255  // of what is stored in a short column
	maxState     = 2000 // of what is stored in a long one

	// Anybody may register clients and begin sessions. Those that no user has agreed to end, the oldest first.
	clientLifetime = 24 * time.Hour
	maxPending     = 1000

	statusPending  = "pending"
	statusApproved = "approved"
	statusRejected = "rejected"
)

// authStore keeps clients, sessions and codes of the authorization server, in the tables of Backstage.
type authStore struct {
	db    *bun.DB
	clock clockwork.Clock
}

// clientRow is a client that has registered.
type clientRow struct {
	bun.BaseModel `bun:"table:oidc_clients"`

	ID            string `bun:"client_id,pk"`
	Secret        string `bun:"client_secret"`
	Name          string `bun:"client_name"`
	ResponseTypes string `bun:"response_types"`
	GrantTypes    string `bun:"grant_types"`
	RedirectURIs  string `bun:"redirect_uris"`
	Scope         string `bun:"scope,nullzero"`
	// ExpiresAt is null once a user has agreed, and of clients of Backstage.
	ExpiresAt time.Time `bun:"expires_at,nullzero"`
}

// authSession is a user being asked, and what became of it.
type authSession struct {
	bun.BaseModel `bun:"table:oauth_authorization_sessions"`

	ID              string    `bun:"id,pk"`
	ClientID        string    `bun:"client_id"`
	UserEntityRef   string    `bun:"user_entity_ref,nullzero"`
	RedirectURI     string    `bun:"redirect_uri"`
	Scope           string    `bun:"scope,nullzero"`
	State           string    `bun:"state,nullzero"`
	ResponseType    string    `bun:"response_type"`
	Challenge       string    `bun:"code_challenge,nullzero"`
	ChallengeMethod string    `bun:"code_challenge_method,nullzero"`
	Nonce           string    `bun:"nonce,nullzero"`
	Status          string    `bun:"status"`
	ExpiresAt       time.Time `bun:"expires_at"`
}

// authCode is a code, of which only the hash is stored.
type authCode struct {
	bun.BaseModel `bun:"table:oidc_authorization_codes"`

	Hash      string    `bun:"code,pk"`
	SessionID string    `bun:"session_id"`
	ExpiresAt time.Time `bun:"expires_at"`
	Used      bool      `bun:"used"`
}

// client is a client that has registered, or a NotFoundError.
func (s authStore) client(ctx context.Context, id string) (client, error) {
	var row clientRow
	err := s.db.NewSelect().Model(&row).ExcludeColumn("scope").Where("client_id = ?", id).
		Where("expires_at IS NULL OR expires_at > ?", s.clock.Now().UTC()).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return client{}, service.NotFoundError.Errorf("Invalid client_id")
	case err != nil:
		return client{}, fmt.Errorf("auth: reading a client: %w", err)
	}
	found := client{id: row.ID, name: row.Name, secret: row.Secret}
	if err := json.Unmarshal([]byte(row.RedirectURIs), &found.redirectURIs); err != nil {
		return client{}, fmt.Errorf("auth: the redirect URIs of the client %s: %w", id, err)
	}
	return found, nil
}

// addClient adds a client that no user has agreed to yet, and takes others of that kind away: those that have expired or are too many.
func (s authStore) addClient(ctx context.Context, c client, scope string) error {
	uris, err := encode(c.redirectURIs)
	if err != nil {
		return err
	}
	now := s.clock.Now().UTC()
	row := &clientRow{ID: c.id, Secret: c.secret, Name: c.name, ResponseTypes: `["code"]`, GrantTypes: `["authorization_code"]`, RedirectURIs: string(uris),
		Scope: scope, ExpiresAt: now.Add(clientLifetime)}
	if _, err := s.db.NewInsert().Model(row).Exec(ctx); err != nil {
		return fmt.Errorf("auth: storing a client: %w", err)
	}
	if err := s.trim(ctx, (*clientRow)(nil), now, "expires_at IS NOT NULL"); err != nil {
		return fmt.Errorf("auth: removing clients: %w", err)
	}
	return nil
}

// trim removes rows that have expired, and the oldest of those that a condition holds for if they are too many.
func (s authStore) trim(ctx context.Context, model any, now time.Time, pending string, args ...any) error {
	if _, err := s.db.NewDelete().Model(model).Where("expires_at < ?", now).Exec(ctx); err != nil {
		return err
	}
	var oldest time.Time
	err := s.db.NewSelect().Model(model).Column("expires_at").Where(pending, args...).Order("expires_at DESC").Offset(maxPending).Limit(1).Scan(ctx, &oldest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = s.db.NewDelete().Model(model).Where(pending, args...).Where("expires_at <= ?", oldest).Exec(ctx)
	}
	return err
}

// addSession adds a session, and takes others away: those that have expired, with their codes, and of those that no user has decided on the
// oldest, if they are too many.
func (s authStore) addSession(ctx context.Context, session *authSession) error {
	now := s.clock.Now().UTC()
	if _, err := s.db.NewDelete().Model((*authCode)(nil)).Where("expires_at < ?", now).Exec(ctx); err != nil {
		return fmt.Errorf("auth: removing expired codes: %w", err)
	}
	if _, err := s.db.NewInsert().Model(session).Exec(ctx); err != nil {
		return fmt.Errorf("auth: storing a session: %w", err)
	}
	// A code may outlive its session.
	if err := s.trim(ctx, (*authSession)(nil), now.Add(-codeLifetime), "status = ?", statusPending); err != nil {
		return fmt.Errorf("auth: removing sessions: %w", err)
	}
	return nil
}

// pending is a session about which the user hasn't decided yet, or a NotFoundError.
func (s authStore) pending(ctx context.Context, id string) (authSession, error) {
	found, err := s.session(ctx, s.db, id)
	if err == nil && (found.Status != statusPending || !s.clock.Now().Before(found.ExpiresAt)) {
		return found, service.NotFoundError.Errorf("Authorization session not found or expired")
	}
	return found, err
}

func (s authStore) session(ctx context.Context, db bun.IDB, id string) (authSession, error) {
	var found authSession
	err := db.NewSelect().Model(&found).Where("id = ?", id).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return found, service.NotFoundError.Errorf("Invalid authorization session")
	case err != nil:
		return found, fmt.Errorf("auth: reading a session: %w", err)
	}
	return found, nil
}

// decide ends a pending session. Of several who decide at once, one does.
func (s authStore) decide(ctx context.Context, db bun.IDB, id, user, status string) error {
	result, err := db.NewUpdate().Model((*authSession)(nil)).Set("status = ?", status).Set("user_entity_ref = ?", user).
		Where("id = ? AND status = ?", id, statusPending).Exec(ctx)
	if err != nil {
		return fmt.Errorf("auth: deciding on a session: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return service.NotFoundError.Errorf("Authorization session not found or expired")
	}
	return nil
}

// approve ends a pending session with a code. Its client is there to stay, if it has registered.
func (s authStore) approve(ctx context.Context, session authSession, user string, code authCode) error {
	return s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := s.decide(ctx, tx, session.ID, user, statusApproved); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model((*clientRow)(nil)).Set("expires_at = NULL").Where("client_id = ?", session.ClientID).Exec(ctx); err != nil {
			return fmt.Errorf("auth: keeping a client: %w", err)
		}
		if _, err := tx.NewInsert().Model(&code).Exec(ctx); err != nil {
			return fmt.Errorf("auth: storing a code: %w", err)
		}
		return nil
	})
}

// redeem uses up a code and returns its session. Of several who have the code, one gets it.
func (s authStore) redeem(ctx context.Context, hash string) (authSession, error) {
	var code authCode
	err := s.db.NewSelect().Model(&code).Where("code = ?", hash).Scan(ctx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return authSession{}, invalidGrant("Invalid authorization code")
	case err != nil:
		return authSession{}, fmt.Errorf("auth: reading a code: %w", err)
	case !s.clock.Now().Before(code.ExpiresAt):
		return authSession{}, invalidGrant("Authorization code expired")
	}
	result, err := s.db.NewUpdate().Model((*authCode)(nil)).Set("used = ?", true).Where("code = ? AND used = ?", hash, false).Exec(ctx)
	if err != nil {
		return authSession{}, fmt.Errorf("auth: redeeming a code: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return authSession{}, invalidGrant("Authorization code already used")
	}
	return s.session(ctx, s.db, code.SessionID)
}
