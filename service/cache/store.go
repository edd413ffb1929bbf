package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eko/gocache/lib/v4/store"
)

// backing is where the entries of all plugins are. Get returns []byte, or an error that is store.NotFound{}.
type backing interface {
	store.StoreInterface
	// key is what the backing knows the plugin's key, or tag, as.
	key(ctx context.Context, namespace, key string) (string, error)
	// clear removes what is in the namespace.
	clear(ctx context.Context, namespace string) error
	close() error
}

// pluginStore is the part of a backing that one plugin sees.
type pluginStore struct {
	backing    backing
	namespace  string
	defaultTTL time.Duration
	outage     *outage
}

var _ store.StoreInterface = (*pluginStore)(nil)

var errLeftAlone = errors.New("the cache server could not be reached a moment ago")

// do calls the backing with its name for the key, unless that failed a moment ago.
func (s *pluginStore) do(ctx context.Context, key any, call func(key string) error) error {
	return s.guard(ctx, func() error {
		k, err := s.backing.key(ctx, s.namespace, safe(fmt.Sprint(key)))
		if err != nil {
			return err
		}
		return call(k)
	})
}

func (s *pluginStore) guard(ctx context.Context, call func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.outage.mayTry() {
		return errLeftAlone
	}
	err := call()
	switch {
	case errors.Is(err, store.NotFound{}):
		s.outage.report(ctx, nil)
	case ctx.Err() == nil: // the caller's impatience says nothing about the server
		s.outage.report(ctx, err)
	}
	return err
}

// Get returns what is stored under the key, as []byte.
func (s *pluginStore) Get(ctx context.Context, key any) (any, error) {
	var value any
	err := s.do(ctx, key, func(key string) (err error) {
		value, err = s.backing.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, asNotFound(ctx, err)
	}
	return value, nil
}

// GetWithTTL is like Get and also returns how long the value will stay, as far as the store knows.
func (s *pluginStore) GetWithTTL(ctx context.Context, key any) (any, time.Duration, error) {
	var value any
	var ttl time.Duration
	err := s.do(ctx, key, func(key string) (err error) {
		value, ttl, err = s.backing.GetWithTTL(ctx, key)
		return err
	})
	if err != nil {
		return nil, 0, asNotFound(ctx, err)
	}
	return value, ttl, nil
}

// Set stores a []byte. A store that is down is no error.
func (s *pluginStore) Set(ctx context.Context, key, value any, options ...store.Option) error {
	data, ok := value.([]byte)
	if !ok {
		return fmt.Errorf("cache: the value of %v is %T instead of []byte", key, value)
	}
	o := store.ApplyOptions(options...)
	if o.Expiration == 0 {
		o.Expiration = s.defaultTTL
	}
	if o.Expiration < 0 {
		return fmt.Errorf("cache: the time to live of %v is negative", key)
	}
	err := s.do(ctx, key, func(key string) error {
		tags, err := s.tags(ctx, o.Tags)
		if err != nil {
			return err
		}
		return s.backing.Set(ctx, key, data,
			store.WithExpiration(o.Expiration), store.WithTags(tags), store.WithTagsTTL(o.TagsTTL))
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

// Delete removes the value of the key, if there is one.
func (s *pluginStore) Delete(ctx context.Context, key any) error {
	return s.do(ctx, key, func(key string) error { return s.backing.Delete(ctx, key) })
}

// Invalidate removes the values that were stored with one of the tags.
func (s *pluginStore) Invalidate(ctx context.Context, options ...store.InvalidateOption) error {
	return s.guard(ctx, func() error {
		tags, err := s.tags(ctx, store.ApplyInvalidateOptions(options...).Tags)
		if err != nil {
			return err
		}
		return s.backing.Invalidate(ctx, store.WithInvalidateTags(tags))
	})
}

// Clear removes all values of the plugin.
func (s *pluginStore) Clear(ctx context.Context) error {
	return s.guard(ctx, func() error { return s.backing.clear(ctx, s.namespace) })
}

// GetType names the kind of store.
func (s *pluginStore) GetType() string { return s.backing.GetType() }

func (s *pluginStore) tags(ctx context.Context, tags []string) ([]string, error) {
	var names []string
	for _, tag := range tags {
		name, err := s.backing.key(ctx, s.namespace, safe(tag))
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// asNotFound makes a store that is down look like an empty one.
func asNotFound(ctx context.Context, err error) error {
	if errors.Is(err, store.NotFound{}) || ctx.Err() != nil {
		return err
	}
	return store.NotFoundWithCause(err)
}

// safe is the key itself if all stores take it, otherwise its hash. memcached takes 250 bytes without blanks; the comma separates keys in
// lists.
func safe(key string) string {
	unsafe := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' }
	if key != "" && len(key) <= 180 && strings.IndexFunc(key, unsafe) < 0 {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256-" + hex.EncodeToString(sum[:])
}
