package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/eko/gocache/lib/v4/store"
	memcachestore "github.com/eko/gocache/store/memcache/v4"
)

// maxMemcachedTTL is the longest time to live in memcached: greater numbers are taken for dates.
const maxMemcachedTTL = 30 * 24 * time.Hour

// memcachedBacking is gocache's store for memcached, which is made to clear only what is its own: the original empties the server.
// memcached can't list keys. So keys hold a generation, which is stored under a key of its own, and clearing makes a new one.
type memcachedBacking struct {
	*memcachestore.MemcacheStore
	client *memcache.Client
}

func newMemcached(s settings) (*memcachedBacking, error) {
	text, isString := s.Connection.(string)
	if !isString {
		return nil, errors.New("backend.cache.connection: must be the address of a memcached, host:port, or several with commas between them")
	}
	if strings.Contains(text, "@") {
		return nil, errors.New("backend.cache.connection: memcached with user and password is not supported; use host:port of a memcached " +
			"that only the backend can reach")
	}
	var servers addresses
	for server := range strings.SplitSeq(text, ",") {
		server = strings.TrimPrefix(strings.TrimSpace(server), "memcached://")
		if server == "" {
			return nil, errors.New("backend.cache.connection: an address is empty")
		}
		if _, _, err := net.SplitHostPort(server); err != nil {
			server = net.JoinHostPort(server, "11211")
		}
		servers = append(servers, address(server))
	}
	client := memcache.NewFromSelector(servers)
	client.Timeout = patience
	client.MaxIdleConns = 10
	return &memcachedBacking{MemcacheStore: memcachestore.NewMemcache(client), client: client}, nil
}

// address is a server by its name, which is looked up for each new connection.
type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

// addresses tells the client which server has a key.
type addresses []address

func (a addresses) PickServer(key string) (net.Addr, error) {
	return a[crc32.ChecksumIEEE([]byte(key))%uint32(len(a))], nil
}

func (a addresses) Each(call func(net.Addr) error) error {
	for _, server := range a {
		if err := call(server); err != nil {
			return err
		}
	}
	return nil
}

func (b *memcachedBacking) Set(ctx context.Context, key, value any, options ...store.Option) error {
	o := store.ApplyOptions(options...)
	seconds := math.Ceil(min(o.Expiration, maxMemcachedTTL).Seconds())
	err := b.MemcacheStore.Set(ctx, key, value, store.WithExpiration(time.Duration(seconds)*time.Second), store.WithTags(o.Tags))
	if err != nil && strings.Contains(err.Error(), "too large") {
		// What was there before must not stay.
		return b.Delete(ctx, key)
	}
	return err
}

func (b *memcachedBacking) key(_ context.Context, namespace, key string) (string, error) {
	generation, err := b.generation(namespace)
	if err != nil {
		return "", err
	}
	return namespace + generation + ":" + key, nil
}

func generationKey(namespace string) string { return namespace + "generation" }

func (b *memcachedBacking) generation(namespace string) (string, error) {
	key := generationKey(namespace)
	for {
		item, err := b.client.Get(key)
		switch {
		case err == nil:
			return string(item.Value), nil
		case !errors.Is(err, memcache.ErrCacheMiss):
			return "", err
		}
		err = b.client.Add(&memcache.Item{Key: key, Value: newGeneration()})
		if err != nil && !errors.Is(err, memcache.ErrNotStored) { // another replica was faster
			return "", fmt.Errorf("naming a generation of keys: %w", err)
		}
	}
}

func newGeneration() []byte { return []byte(rand.Text()[:12]) }

func (b *memcachedBacking) clear(_ context.Context, namespace string) error {
	return b.client.Set(&memcache.Item{Key: generationKey(namespace), Value: newGeneration()})
}

func (b *memcachedBacking) close() error { return b.client.Close() }
