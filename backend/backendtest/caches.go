package backendtest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/cache"
	"github.com/portico-dev/portico/service/config"
)

// EachCache runs a test on a cache in memory, in Redis and in memcached, each time with an empty one that is cleared afterwards. The
// runs are subtests; they are parallel if test calls t.Parallel.
//
// The servers are those that the environment variables PORTICO_TEST_REDIS (a URL like redis://user:password@host:6379) and
// PORTICO_TEST_MEMCACHED (host:port) name, or else those at their usual ports on this machine. Where no server answers, the subtest is
// skipped, or fails if PORTICO_TEST_REQUIRE is all.
func EachCache(t *testing.T, test func(t *testing.T, c service.Cache)) {
	t.Helper()
	EachCacheConfig(t, func(t *testing.T, section map[string]any) {
		var lifecycle hooks
		t.Cleanup(func() { lifecycle.stop(t) })
		manager, err := cache.NewManager(config.Static(map[string]any{"backend": map[string]any{"cache": section}}),
			service.RootLogger{Logger: slog.New(slog.DiscardHandler)}, &lifecycle)
		if err != nil {
			t.Fatal(err)
		}
		c := manager.Cache(uniquePrefix() + "cache")
		t.Cleanup(func() {
			if err := c.Clear(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
		test(t, c)
	})
}

// EachCacheConfig runs a test as [EachCache] does, with a configuration for backend.cache. Servers are shared with other tests: plugins
// need unique ids.
func EachCacheConfig(t *testing.T, test func(t *testing.T, section map[string]any)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		test(t, map[string]any{"store": "memory"})
	})
	t.Run("Redis", func(t *testing.T) {
		address := serverAddress(t, "PORTICO_TEST_REDIS", "redis://127.0.0.1:6379")
		options, err := redis.ParseURL(address)
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(options)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := errors.Join(client.Ping(ctx).Err(), client.Close()); err != nil {
			skipWithout(t, "PORTICO_TEST_REDIS", err)
		}
		test(t, map[string]any{"store": "redis", "connection": address})
	})
	t.Run("memcached", func(t *testing.T) {
		address := serverAddress(t, "PORTICO_TEST_MEMCACHED", "127.0.0.1:11211")
		client := memcache.New(address)
		if err := errors.Join(client.Ping(), client.Close()); err != nil {
			skipWithout(t, "PORTICO_TEST_MEMCACHED", err)
		}
		test(t, map[string]any{"store": "memcache", "connection": address})
	})
}
