package processor

import (
	"encoding/json"
	"fmt"
)

// MaxCache is how many bytes of JSON a processor may keep in a [Cache].
const MaxCache = 16 << 10

// Cache is what a processor keeps, in the database, from one time that it processes an entity to the next: the ETag of something that it
// has read, for instance. Each processor has one for each entity, which may be lost: a processor must do without it, too. The zero value is
// empty and ready for use; a Cache is not safe for concurrent use.
//
// What a processor sets while it processes an entity is all that is kept: what it set the last time is forgotten then. If it sets nothing, or
// the entity is rejected, everything stays. A value that differs each time has the entity stored each time.
type Cache struct {
	last, next map[string]json.RawMessage
	size       int // of next
}

// Get decodes what was set for the key the last time into the variable that into points to, and tells whether there was anything.
func (c *Cache) Get(key string, into any) (bool, error) {
	value, ok := c.last[key]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(value, into); err != nil {
		return false, fmt.Errorf("what is kept as %q: %w", key, err)
	}
	return true, nil
}

// Set keeps a value, as JSON, for the next time. It is an error if the cache would be larger than MaxCache: nothing is changed then.
func (c *Cache) Set(key string, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keeping %q: %w", key, err)
	}
	size := c.size + len(key) + len(encoded)
	if before, ok := c.next[key]; ok {
		size -= len(key) + len(before)
	}
	if size > MaxCache {
		return fmt.Errorf("keeping %q: the cache of the processor would have %d bytes, which is more than %d", key, size, MaxCache)
	}
	if c.next == nil {
		c.next = map[string]json.RawMessage{}
	}
	c.next[key], c.size = encoded, size
	return nil
}

// MarshalJSON implements json.Marshaler: what is kept for the next time.
func (c *Cache) MarshalJSON() ([]byte, error) {
	if c.next == nil {
		return json.Marshal(c.last)
	}
	return json.Marshal(c.next)
}

// UnmarshalJSON implements json.Unmarshaler: what was kept the last time.
func (c *Cache) UnmarshalJSON(text []byte) error {
	*c = Cache{}
	return json.Unmarshal(text, &c.last)
}
