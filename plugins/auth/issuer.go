package auth

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/feature"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auth/usertoken"
)

// issuer makes the tokens of users.
type issuer struct {
	keys          keySource
	lifetime      time.Duration
	omitOwnership bool
	url           func() string // of this plugin, as browsers see it
	db            *bun.DB
	clock         clockwork.Clock
	log           *slog.Logger
}

// keySource has the keys of the issuer.
type keySource interface {
	SigningKey(context.Context) (*usertoken.Key, error)
	PublicKeys(context.Context) ([]json.RawMessage, error)
}

// backstageIdentity tells the frontend who the user is.
type backstageIdentity struct {
	Token            string       `json:"token"`
	ExpiresInSeconds int64        `json:"expiresInSeconds"`
	Identity         userIdentity `json:"identity"`
}

type userIdentity struct {
	Type                string   `json:"type"`
	UserEntityRef       string   `json:"userEntityRef"`
	OwnershipEntityRefs []string `json:"ownershipEntityRefs"`
}

// ownershipClaim has the refs by which a user owns things.
const ownershipClaim = "ent"

// issue makes a token, and remembers what the user owns for who asks by it.
func (i *issuer) issue(ctx context.Context, identity Identity) (*backstageIdentity, error) {
	ref, err := catalogmodel.ParseRef(identity.UserEntityRef, catalogmodel.RefDefaults{})
	if err != nil {
		return nil, fmt.Errorf("auth: the sign-in resolver gives %q, which is not the ref of a user: %w", identity.UserEntityRef, err)
	}
	subject, owned := ref.String(), identity.OwnershipEntityRefs
	if owned == nil {
		owned = []string{subject}
	}
	key, err := i.keys.SigningKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("auth: issuing a token of %s: %w", subject, err)
	}
	claims := maps.Clone(identity.Claims)
	if claims == nil {
		claims = map[string]any{}
	}
	claims[ownershipClaim] = owned
	if err := i.remember(ctx, subject, claims); err != nil {
		return nil, fmt.Errorf("auth: storing the user info of %s: %w", subject, err)
	}
	if i.omitOwnership {
		delete(claims, ownershipClaim)
	}
	now := i.clock.Now()
	token, err := usertoken.Issue(key, usertoken.Claims{
		Issuer: i.url(), Subject: subject, IssuedAt: now, Expiry: now.Add(i.lifetime), Custom: claims,
	})
	if err != nil {
		return nil, fmt.Errorf("auth: issuing a token: %w", err)
	}
	i.log.InfoContext(ctx, "Issued a token", "user", subject, "owners", len(owned))
	return &backstageIdentity{Token: token, ExpiresInSeconds: int64(i.lifetime / time.Second),
		Identity: userIdentity{Type: "user", UserEntityRef: subject, OwnershipEntityRefs: owned}}, nil
}

// userInfo is what is known of a user since the last sign-in.
type userInfo struct {
	bun.BaseModel `bun:"table:user_info"`

	UserEntityRef string    `bun:"user_entity_ref,pk"`
	UserInfo      string    `bun:"user_info"`
	UpdatedAt     time.Time `bun:"updated_at"`
	CreatedAt     time.Time `bun:"created_at"`
}

type userInfoContent struct {
	Claims map[string]any `json:"claims"`
}

// remember stores the claims of a user in place of those of the last sign-in.
func (i *issuer) remember(ctx context.Context, subject string, claims map[string]any) error {
	all := maps.Clone(claims)
	all["sub"] = subject
	encoded, err := encode(userInfoContent{all})
	if err != nil {
		return err
	}
	now := i.clock.Now().UTC()
	row := &userInfo{UserEntityRef: subject, UserInfo: string(encoded), UpdatedAt: now, CreatedAt: now}
	insert := i.db.NewInsert().Model(row)
	if i.db.HasFeature(feature.InsertOnDuplicateKey) {
		insert = insert.On("DUPLICATE KEY UPDATE")
	} else {
		insert = insert.On("CONFLICT (user_entity_ref) DO UPDATE")
	}
	_, err = insert.Set("user_info = ?", row.UserInfo).Set("updated_at = ?", now).Exec(ctx)
	return err
}

// info is what is known of a user, as JSON. It is a service.NotFoundError if that is nothing.
func (i *issuer) info(ctx context.Context, subject string) (json.RawMessage, error) {
	var text string
	err := i.db.NewSelect().Model((*userInfo)(nil)).Column("user_info").Where("user_entity_ref = ?", subject).Scan(ctx, &text)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, service.NotFoundError.Errorf("User info not found")
	case err != nil:
		return nil, fmt.Errorf("auth: reading the user info of %s: %w", subject, err)
	}
	return json.RawMessage(text), nil
}
