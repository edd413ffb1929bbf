package cache

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eko/gocache/lib/v4/store"
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// memory is a store in memory that drops the least recently used entries when it is full. Ristretto, gocache's own bounded store, was not
// taken because it may drop what was just set. Safe for concurrent use.
type memory struct {
	maxBytes int64

	mu      sync.Mutex
	entries *simplelru.LRU[string, memoryEntry]
	bytes   int64
}

type memoryEntry struct {
	value   []byte
	tags    []string
	expires time.Time // zero: never
}

// entryOverhead is about what an entry costs beside its key and value.
const entryOverhead = 200

func (e memoryEntry) size(key string) int64 { return int64(len(key)+len(e.value)) + entryOverhead }

func newMemory(maxBytes int64) *memory {
	m := &memory{maxBytes: maxBytes}
	entries, err := simplelru.NewLRU(math.MaxInt, func(key string, e memoryEntry) { m.bytes -= e.size(key) })
	if err != nil {
		panic(err) // only if the number of entries were not positive
	}
	m.entries = entries
	return m
}

func (m *memory) Get(ctx context.Context, key any) (any, error) {
	value, _, err := m.GetWithTTL(ctx, key)
	return value, err
}

func (m *memory) GetWithTTL(_ context.Context, key any) (any, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, found := m.entries.Get(key.(string))
	if !found {
		return nil, 0, store.NotFoundWithCause(errors.New("absent"))
	}
	var ttl time.Duration
	if !e.expires.IsZero() {
		if ttl = time.Until(e.expires); ttl <= 0 {
			m.entries.Remove(key.(string))
			return nil, 0, store.NotFoundWithCause(errors.New("expired"))
		}
	}
	return bytes.Clone(e.value), ttl, nil
}

func (m *memory) Set(_ context.Context, key, value any, options ...store.Option) error {
	o := store.ApplyOptions(options...)
	e := memoryEntry{value: append([]byte{}, value.([]byte)...), tags: o.Tags}
	if o.Expiration > 0 {
		e.expires = time.Now().Add(o.Expiration)
	}
	k := key.(string)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries.Remove(k)
	if e.size(k) > m.maxBytes {
		return nil
	}
	m.bytes += e.size(k)
	for m.bytes > m.maxBytes {
		m.entries.RemoveOldest()
	}
	m.entries.Add(k, e)
	return nil
}

func (m *memory) Delete(_ context.Context, key any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries.Remove(key.(string))
	return nil
}

func (m *memory) Invalidate(_ context.Context, options ...store.InvalidateOption) error {
	tags := store.ApplyInvalidateOptions(options...).Tags
	m.removeIf(func(_ string, e memoryEntry) bool {
		return slices.ContainsFunc(e.tags, func(tag string) bool { return slices.Contains(tags, tag) })
	})
	return nil
}

func (m *memory) Clear(context.Context) error {
	m.removeIf(func(string, memoryEntry) bool { return true })
	return nil
}

func (m *memory) clear(_ context.Context, namespace string) error {
	m.removeIf(func(key string, _ memoryEntry) bool { return strings.HasPrefix(key, namespace) })
	return nil
}

func (m *memory) removeIf(unwanted func(string, memoryEntry) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range m.entries.Keys() {
		if e, _ := m.entries.Peek(key); unwanted(key, e) {
			m.entries.Remove(key)
		}
	}
}

func (m *memory) key(_ context.Context, namespace, key string) (string, error) {
	return namespace + key, nil
}

func (m *memory) GetType() string { return "memory" }

func (m *memory) close() error { return m.Clear(context.Background()) }
