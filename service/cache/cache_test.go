package cache_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eko/gocache/lib/v4/store"
	"github.com/redis/go-redis/v9"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/cache"
)

// pluginID is unique, since servers are shared with other tests.
func pluginID() string { return "test-" + strings.ToLower(rand.Text()[:10]) }

func set(t *testing.T, c service.Cache, key, value string, options ...store.Option) {
	t.Helper()
	if err := c.Set(t.Context(), key, []byte(value), options...); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, c service.Cache, key, want string) {
	t.Helper()
	if got, err := c.Get(t.Context(), key); err != nil || string(got) != want {
		t.Errorf("Get(%.40q): %.40q, %v; want %.40q", key, got, err, want)
	}
}

func wantNothing(t *testing.T, c service.Cache, key string) {
	t.Helper()
	if got, err := c.Get(t.Context(), key); !errors.Is(err, store.NotFound{}) {
		t.Errorf("Get(%.40q): %.40q, %v; want store.NotFound", key, got, err)
	}
}

func TestCache(t *testing.T) {
	backendtest.EachCache(t, func(t *testing.T, c service.Cache) {
		t.Parallel()
		wantNothing(t, c, "a")
		set(t, c, "a", "1")
		wantValue(t, c, "a", "1")
		set(t, c, "a", "2", store.WithExpiration(time.Hour))
		wantValue(t, c, "a", "2")
		for range 2 { // the second time there is nothing to delete
			if err := c.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			wantNothing(t, c, "a")
		}
		set(t, c, "empty", "")
		wantValue(t, c, "empty", "")
		set(t, c, "long-lived", "x", store.WithExpiration(365*24*time.Hour))
		wantValue(t, c, "long-lived", "x")
	})
}

func TestKeys(t *testing.T) {
	backendtest.EachCache(t, func(t *testing.T, c service.Cache) {
		t.Parallel()
		keys := []string{"", " ", "a b", "a\r\nflush_all\r\n", "über", "a,b", "*", "[a]", strings.Repeat("k", 180), strings.Repeat("k", 181),
			strings.Repeat("k", 100_000), "\x00", "a:b", "generation"}
		for _, key := range keys {
			set(t, c, key, "value of "+key)
		}
		for _, key := range keys {
			wantValue(t, c, key, "value of "+key)
		}
	})
}

func TestValuesAreCopies(t *testing.T) {
	backendtest.EachCache(t, func(t *testing.T, c service.Cache) {
		t.Parallel()
		value := []byte("abc")
		if err := c.Set(t.Context(), "a", value); err != nil {
			t.Fatal(err)
		}
		value[0] = 'x'
		got, err := c.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		got[1] = 'x'
		wantValue(t, c, "a", "abc")
	})
}

func TestLargeValues(t *testing.T) {
	backendtest.EachCache(t, func(t *testing.T, c service.Cache) {
		t.Parallel()
		set(t, c, "half", strings.Repeat("x", 512<<10))
		wantValue(t, c, "half", strings.Repeat("x", 512<<10))
		// More than memcached takes: it may be missing, but what was there before must not stay.
		large := bytes.Repeat([]byte("x"), 4<<20)
		set(t, c, "large", "old")
		if err := c.Set(t.Context(), "large", large); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(t.Context(), "large"); err == nil && !bytes.Equal(got, large) || err != nil && !errors.Is(err, store.NotFound{}) {
			t.Errorf("Get: %d bytes, %v; want all of them, or store.NotFound", len(got), err)
		}
		wantValue(t, c, "half", strings.Repeat("x", 512<<10))
	})
}

func TestExpiration(t *testing.T) {
	backendtest.EachCacheConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		config["defaultTtl"] = 700
		c := manager(t, config, slog.DiscardHandler).Cache(pluginID())
		set(t, c, "by default", "x")
		set(t, c, "soon", "x", store.WithExpiration(time.Millisecond))
		set(t, c, "later", "x", store.WithExpiration(time.Hour))
		deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for _, key := range []string{"by default", "soon"} {
			for {
				if _, err := c.Get(deadline, key); errors.Is(err, store.NotFound{}) {
					break
				} else if err != nil {
					t.Fatalf("%q did not expire: %v", key, err)
				}
			}
		}
		wantValue(t, c, "later", "x")
	})
}

func TestExpirationInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := manager(t, map[string]any{"defaultTtl": "1h"}, slog.DiscardHandler).Cache("todo")
		set(t, c, "by default", "x")
		set(t, c, "soon", "x", store.WithExpiration(time.Minute))
		time.Sleep(time.Minute - 1)
		wantValue(t, c, "soon", "x")
		time.Sleep(time.Nanosecond)
		wantNothing(t, c, "soon")
		time.Sleep(59*time.Minute - 1)
		wantValue(t, c, "by default", "x")
		time.Sleep(time.Nanosecond)
		wantNothing(t, c, "by default")
	})
}

func TestPluginsDoNotSeeEachOther(t *testing.T) {
	backendtest.EachCacheConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		m := manager(t, config, slog.DiscardHandler)
		id := pluginID()
		a, b, alike := m.Cache(id), m.Cache(id+"-b"), m.Cache("x"+id)
		for _, c := range []service.Cache{a, b, alike} {
			wantNothing(t, c, "k")
			set(t, c, "k", "x", store.WithTags([]string{"tag"}))
			set(t, c, "l", "x")
		}
		sameOnAnotherReplica := manager(t, config, slog.DiscardHandler).Cache(id)
		if config["store"] != "memory" {
			wantValue(t, sameOnAnotherReplica, "k", "x")
		}

		if err := a.Invalidate(t.Context(), store.WithInvalidateTags([]string{"tag"})); err != nil {
			t.Fatal(err)
		}
		wantNothing(t, a, "k")
		wantValue(t, a, "l", "x")
		wantValue(t, b, "k", "x")

		set(t, a, "k", "x")
		if err := a.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"k", "l"} {
			wantNothing(t, a, key)
			wantNothing(t, sameOnAnotherReplica, key)
			wantValue(t, b, key, "x")
			wantValue(t, alike, key, "x")
		}
		set(t, a, "k", "again")
		wantValue(t, a, "k", "again")
	})
}

func TestConcurrentUse(t *testing.T) {
	backendtest.EachCache(t, func(t *testing.T, c service.Cache) {
		t.Parallel()
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for j := range 50 {
					key := fmt.Sprint(i, "-", j)
					set(t, c, key, key, store.WithTags([]string{"t"}))
					wantValue(t, c, key, key)
				}
			})
		}
		group.Wait()
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	m := manager(t, map[string]any{"memory": map[string]any{"maxBytes": limit}}, slog.DiscardHandler)
	a, b := m.Cache("a"), m.Cache("b")
	value := strings.Repeat("x", 10<<10)
	set(t, b, "often used", value)
	for i := range 1000 {
		set(t, a, fmt.Sprint(i), value)
		wantValue(t, a, fmt.Sprint(i), value)
		wantValue(t, b, "often used", value)
	}
	kept := 0
	for i := range 1000 {
		if _, err := a.Get(t.Context(), fmt.Sprint(i)); err == nil {
			kept++
		}
	}
	if kept*len(value) > limit || kept*len(value) < limit/2 {
		t.Errorf("%d values of %d bytes are kept, want as many as %d bytes hold", kept, len(value), limit)
	}
	wantNothing(t, a, "0")
	set(t, a, "999", strings.Repeat("x", limit+1))
	wantNothing(t, a, "999")
}

func TestCacheThatIsDown(t *testing.T) {
	backendtest.EachCacheConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if config["store"] == "memory" {
			t.Skip("memory is never down")
		}
		scheme, address, hasScheme := strings.Cut(config["connection"].(string), "://")
		if !hasScheme {
			scheme, address = "memcached", scheme
		}
		proxy := newProxy(t, address)
		config["connection"] = scheme + "://" + proxy.address
		log := &backendtest.Log{}
		c := manager(t, config, slog.NewTextHandler(log, nil)).Cache(pluginID())
		for _, state := range []int32{hangingUp, silent} {
			proxy.become(up)
			await(t, "the cache is up", func() bool {
				return c.Set(t.Context(), "k", []byte("x")) == nil && found(t, c, "k")
			})
			before := log.String()

			proxy.become(state)
			start := time.Now()
			for range 100 {
				wantNothing(t, c, "k")
				set(t, c, "k", "y")
			}
			// A hint rather than a measurement: each call would wait a second by itself.
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("200 calls without a server took %s", took)
			}
			if err := c.Delete(t.Context(), "k"); err == nil {
				t.Error("a Delete that nobody carried out returned no error")
			}
			if err := c.Clear(t.Context()); err == nil {
				t.Error("a Clear that nobody carried out returned no error")
			}
			if n := strings.Count(strings.TrimPrefix(log.String(), before), "level=WARN"); n != 1 {
				t.Errorf("%d warnings of one outage, want 1: %s", n, log)
			}
		}
		proxy.become(up)
		await(t, "the cache is back", func() bool {
			return c.Set(t.Context(), "k", []byte("z")) == nil && found(t, c, "k")
		})
		if n := strings.Count(log.String(), "the cache is back"); n != 2 {
			t.Errorf("the log tells %d times that the cache is back, want 2: %s", n, log)
		}
	})
}

func TestContextThatEnds(t *testing.T) {
	backendtest.EachCacheConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		log := &backendtest.Log{}
		c := manager(t, config, slog.NewTextHandler(log, nil)).Cache(pluginID())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
			t.Errorf("Get: %v, want the context's error", err)
		}
		if err := c.Set(ctx, "k", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Set: %v, want the context's error", err)
		}
		if log.String() != "" {
			t.Errorf("who gives up is no outage: %s", log)
		}
	})
}

func TestRedisKeys(t *testing.T) {
	backendtest.EachCacheConfig(t, func(t *testing.T, config map[string]any) {
		t.Parallel()
		if config["store"] != "redis" {
			t.Skip("another store")
		}
		options, err := redis.ParseURL(config["connection"].(string))
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(options)
		t.Cleanup(func() { client.Close() })
		id := pluginID()
		for want, settings := range map[string]map[string]any{
			id + ":k":             {},
			"portal/" + id + "/k": {"redis": map[string]any{"client": map[string]any{"namespace": "portal", "keyPrefixSeparator": "/", "useUnlink": false, "clearBatchSize": 1}}},
			"vk_" + id + ":k":     {"store": "valkey", "valkey": map[string]any{"client": map[string]any{"keyPrefix": "vk_"}}},
			id + "2:k":            {"connection": map[string]any{"url": config["connection"], "pingInterval": 1000}},
		} {
			for name, value := range config {
				if settings[name] == nil {
					settings[name] = value
				}
			}
			plugin := id
			if want == id+"2:k" {
				plugin = id + "2"
			}
			c := manager(t, settings, slog.DiscardHandler).Cache(plugin)
			set(t, c, "k", "x", store.WithExpiration(time.Minute))
			if ttl, err := client.TTL(t.Context(), want).Result(); err != nil || ttl <= 0 || ttl > time.Minute {
				t.Errorf("Redis has %s for %v (%v), want a minute", want, ttl, err)
			}
			if err := c.Clear(t.Context()); err != nil {
				t.Error(err)
			}
			if n, err := client.Exists(t.Context(), want).Result(); err != nil || n != 0 {
				t.Errorf("after Clear, Redis still has %s (%v)", want, err)
			}
		}
	})
}

func TestConfigurationMistakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config map[string]any
		want   []string
	}{
		"unknown store":         {map[string]any{"store": "disk"}, []string{"backend.cache.store", "disk", "memory"}},
		"Infinispan":            {map[string]any{"store": "infinispan"}, []string{"backend.cache.store", "infinispan"}},
		"no connection":         {map[string]any{"store": "redis"}, []string{"backend.cache.connection"}},
		"no address":            {map[string]any{"store": "memcache"}, []string{"backend.cache.connection", "host:port"}},
		"empty address":         {map[string]any{"store": "memcache", "connection": "a,,b"}, []string{"backend.cache.connection", "empty"}},
		"memcached with login":  {map[string]any{"store": "memcache", "connection": "u:hunter2@db"}, []string{"backend.cache.connection", "not supported"}},
		"not a URL":             {map[string]any{"store": "redis", "connection": "redis://u:hunter2@:x:y"}, []string{"backend.cache.connection", "redis://"}},
		"object without URL":    {map[string]any{"store": "redis", "connection": map[string]any{"host": "x"}}, []string{"backend.cache.connection", "url"}},
		"node without URL":      {map[string]any{"store": "redis", "redis": map[string]any{"cluster": map[string]any{"rootNodes": []any{map[string]any{}}}}}, []string{"backend.cache.redis.cluster.rootNodes[0]"}},
		"negative time to live": {map[string]any{"defaultTtl": -1}, []string{"backend.cache.defaultTtl"}},
		"no time to live":       {map[string]any{"defaultTtl": "soon"}, []string{"backend.cache.defaultTtl"}},
		"negative bound":        {map[string]any{"memory": map[string]any{"maxBytes": -1}}, []string{"backend.cache.memory.maxBytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := cache.NewManager(configuration(test.config), discard(), nil)
			if err == nil {
				t.Fatalf("no error, want one with %q", test.want)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error lacks %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestNegativeExpiration(t *testing.T) {
	backendtest.EachCache(t, func(t *testing.T, c service.Cache) {
		t.Parallel()
		if err := c.Set(t.Context(), "k", nil, store.WithExpiration(-time.Second)); err == nil {
			t.Error("no error for a negative time to live")
		}
	})
}

func found(t *testing.T, c service.Cache, key string) bool {
	_, err := c.Get(t.Context(), key)
	return err == nil
}

// await tries until the condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
