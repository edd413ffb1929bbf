package service

import "github.com/eko/gocache/lib/v4/cache"

// Cache is the cache of a plugin: keys and values of other plugins can't be seen through it. Keys are strings. A Get of what is absent
// or expired returns an error for which errors.Is(err, store.NotFound{}) holds; so does one while the cache server can't be
// reached: a cache that is down is an empty cache. Set takes store.WithExpiration; without it, the configured default holds. Safe for
// concurrent use.
type Cache = cache.CacheInterface[[]byte]
