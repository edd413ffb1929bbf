package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service/auth/internal/jws"
)

// Listed is for how many lifetimes a key is listed from its beginning: a token signed at the end of the first is good for one more, and
// clocks differ.
const Listed = 3

// Store keeps public keys.
type Store interface {
	// Add adds a key.
	Add(ctx context.Context, key PublicKey) error
	// List returns the encoded keys that have not expired. The others may be forgotten.
	List(ctx context.Context, now time.Time) ([]json.RawMessage, error)
}

// PublicKey is a key for a [Store].
type PublicKey struct {
	// ID names the key in the headers of tokens.
	ID string
	// Encoded is the JSON Web Key.
	Encoded json.RawMessage
	// Created is when the key was made, and Expiry when there are no tokens left that were signed with it.
	Created, Expiry time.Time
}

// Rotating has a key of its own, which is replaced after its lifetime and never leaves the memory of the process. Public keys go to a
// store. Safe for concurrent use.
type Rotating struct {
	settings RotatingSettings
	store    Store
	clock    clockwork.Clock
	log      *slog.Logger

	current atomic.Pointer[timedKey]
	turn    chan struct{} // holds a token while a key is being made
}

type timedKey struct {
	*jws.PrivateKey
	until time.Time
}

// RotatingSettings are what the keys of a [Rotating] are like.
type RotatingSettings struct {
	// Lifetime is how long a key signs, and the longest that a token lives.
	Lifetime time.Duration
	// Algorithm is the algorithm of the signatures; ES256 if it is empty.
	Algorithm string
}

// NewRotating makes no key before one is asked for. It is an error if there are no keys for the algorithm.
func NewRotating(settings RotatingSettings, store Store, clock clockwork.Clock, log *slog.Logger) (*Rotating, error) {
	if err := jws.CheckAlgorithm(settings.Algorithm); err != nil && settings.Algorithm != "" {
		return nil, err
	}
	return &Rotating{settings: settings, store: store, clock: clock, log: log, turn: make(chan struct{}, 1)}, nil
}

// SigningKey is the key to sign with, whose public key others can already see.
func (r *Rotating) SigningKey(ctx context.Context) (*jws.PrivateKey, error) {
	if key := r.present(); key != nil {
		return key, nil
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a new signing key: %w", ctx.Err())
	}
	if key := r.present(); key != nil {
		return key, nil
	}
	key, err := jws.Generate(uuid.NewString(), r.settings.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("generating a signing key: %w", err)
	}
	public, err := json.Marshal(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding a signing key: %w", err)
	}
	now := r.clock.Now()
	stored := PublicKey{ID: key.ID, Encoded: public, Created: now, Expiry: now.Add(Listed * r.settings.Lifetime)}
	if err := r.store.Add(ctx, stored); err != nil {
		return nil, fmt.Errorf("storing the public part of a new signing key: %w", err)
	}
	r.log.InfoContext(ctx, "Created new signing key "+key.ID)
	r.current.Store(&timedKey{key, now.Add(r.settings.Lifetime)})
	return key, nil
}

func (r *Rotating) present() *jws.PrivateKey {
	if key := r.current.Load(); key != nil && r.clock.Now().Before(key.until) {
		return key.PrivateKey
	}
	return nil
}

// PublicKeys are the keys of all replicas.
func (r *Rotating) PublicKeys(ctx context.Context) ([]json.RawMessage, error) {
	list, err := r.store.List(ctx, r.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("listing public signing keys: %w", err)
	}
	return list, nil
}
