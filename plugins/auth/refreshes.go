package auth

import (
	"context"
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/singleflight"

	"github.com/portico-dev/portico/service"
)

const (
	maxRefreshes   = 1000
	refreshFresh   = 10 * time.Second
	refreshTimeout = 30 * time.Second
)

// refreshes has each refresh token used once, by all the tabs of a browser that use it at about the same time: a provider that replaces the
// token at each use would sign out all but the first.
type refreshes struct {
	clock  clockwork.Clock
	flight singleflight.Group
	recent *lru.Cache[[sha256.Size]byte, refreshed] // by refresh token
}

type refreshed struct {
	scope string
	login OAuthLogin
	until time.Time
}

func newRefreshes(clock clockwork.Clock) *refreshes {
	recent, err := lru.New[[sha256.Size]byte, refreshed](maxRefreshes)
	if err != nil {
		panic(err) // the size is positive
	}
	return &refreshes{clock: clock, recent: recent}
}

// do refreshes, unless that has just been done. It goes on when ctx ends: others may be waiting
// for it.
func (s *refreshes) do(ctx context.Context, r OAuthRefresh, refresh func(context.Context, OAuthRefresh) (OAuthLogin, error)) (OAuthLogin, error) {
	key := sha256.Sum256([]byte(r.RefreshToken.Reveal()))
	if known, ok := s.recent.Get(key); ok && known.scope == r.Scope && s.clock.Now().Before(known.until) {
		return known.login, nil
	}
	result, err, _ := s.flight.Do(string(key[:])+r.Scope, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
		defer cancel()
		login, err := refresh(ctx, r)
		if err == nil {
			s.recent.Add(key, refreshed{r.Scope, login, s.clock.Now().Add(refreshFresh)})
		}
		return login, err
	})
	login, _ := result.(OAuthLogin)
	return login, err
}

// forget forgets what came of a token.
func (s *refreshes) forget(token service.Token) {
	s.recent.Remove(sha256.Sum256([]byte(token.Reveal())))
}
