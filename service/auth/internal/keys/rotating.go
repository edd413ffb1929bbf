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

const (
	// Lifetime is how long a key signs, and the longest that a token lives.
	Lifetime = time.Hour
	// listed is how long a key is listed from its beginning: a token signed at the end of its time is good for one more [Lifetime], and
	// clocks differ.
	listed = 3 * Lifetime
)

// Store keeps public keys.
type Store interface {
	// Add adds a key with its encoded form.
	Add(ctx context.Context, id string, key []byte, expiry time.Time) error
	// List returns the encoded keys that have not expired. The others may be forgotten.
	List(ctx context.Context, now time.Time) ([]json.RawMessage, error)
}

// Rotating has a key of its own, which is replaced after its [Lifetime] and never leaves the memory of the process. Public keys go to a
// store. Safe for concurrent use.
type Rotating struct {
	store Store
	clock clockwork.Clock
	log   *slog.Logger

	current atomic.Pointer[timedKey]
	turn    chan struct{} // holds a token while a key is being made
}

type timedKey struct {
	*jws.PrivateKey
	until time.Time
}

// NewRotating makes no key before one is asked for.
func NewRotating(store Store, clock clockwork.Clock, log *slog.Logger) *Rotating {
	return &Rotating{store: store, clock: clock, log: log, turn: make(chan struct{}, 1)}
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
	key, err := jws.Generate(uuid.NewString())
	if err != nil {
		return nil, fmt.Errorf("generating a signing key: %w", err)
	}
	public, err := json.Marshal(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding a signing key: %w", err)
	}
	now := r.clock.Now()
	if err := r.store.Add(ctx, key.ID, public, now.Add(listed)); err != nil {
		return nil, fmt.Errorf("storing the public part of a new signing key: %w", err)
	}
	r.log.InfoContext(ctx, "Created new signing key "+key.ID)
	r.current.Store(&timedKey{key, now.Add(Lifetime)})
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
