// Package cache gives each plugin a cache: in memory, in Redis or Valkey, or in memcached.
//
// [Services] declares the service.Cache of plugins, a cache of gocache for byte slices with string keys. A plugin sees only what it
// has stored itself, on any replica:
//
//	func start(cache service.Cache) error {
//		err := cache.Set(ctx, "answer", body, store.WithExpiration(time.Minute))
//		body, err := cache.Get(ctx, "answer")
//		if errors.Is(err, store.NotFound{}) { … }
//
// # Configuration
//
// The keys are Backstage's, below backend.cache; nothing has to be configured.
//
//	backend:
//	  cache:
//	    store: redis                     # memory (default), redis, valkey or memcache
//	    connection: redis://:secret@cache.example.com:6379
//	    defaultTtl: 1h                   # a number is in milliseconds; default: values stay
//	    memory: { maxBytes: 67108864 }   # of all plugins together; beyond Backstage's keys
//	    redis:
//	      client: { namespace: portal, keyPrefixSeparator: ':', clearBatchSize: 1000, useUnlink: true }
//	      cluster: { rootNodes: [{ url: redis://node:6379 }], defaults: { password: secret } }
//	    valkey:
//	      client: { keyPrefix: 'portal:' }
//
// A memcached connection is one or several addresses, host:port, with commas between them.
//
// # Keys
//
// A key is stored as [namespace:]plugin:key. Keys that are longer than 180 bytes, or hold anything but printable ASCII, are replaced by
// their SHA-256. Backstage encodes keys differently, so that the two don't read each other's values from a cache that both use.
//
// # Bounds
//
// The memory cache drops what was not used for longest when it is full, and never holds more than maxBytes of keys and values. In
// memcached, a time to live is a whole number of seconds (rounded up) and at most 30 days; a value is at most what the server takes (1
// MiB by default): larger ones are not stored. Values with tags (store.WithTags) can be invalidated together.
//
// # A cache that is down
//
// A cache server that can't be reached, or answers with errors, is an empty cache: Get answers that nothing was found, Set stores
// nothing and returns no error. Each call waits a second at most; after a failure the server is left alone for a second. The log tells
// once when an outage begins and once when it ends. Delete, Clear and Invalidate do return errors, for who must know that a value is
// gone.
package cache
