package keys

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] for a backend without other replicas. The zero value is ready for use.
type Memory struct {
	mu   sync.Mutex
	keys []PublicKey
}

// Add implements [Store].
func (m *Memory) Add(_ context.Context, key PublicKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = append(m.keys, key)
	return nil
}

// List implements [Store].
func (m *Memory) List(_ context.Context, now time.Time) ([]json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = slices.DeleteFunc(m.keys, func(k PublicKey) bool { return !now.Before(k.Expiry) })
	list := make([]json.RawMessage, len(m.keys))
	for i, k := range m.keys {
		list[i] = k.Encoded
	}
	return list, nil
}
