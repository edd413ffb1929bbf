package index

import "sync"

// counts are those of facets that were asked for since the last change of the index: of a large catalog they take a while, and everybody who opens
// the page of the catalog asks for the same. It is used while the index is locked, for reading or for a change.
type counts struct {
	mu    sync.Mutex
	known map[counted][]Count
	size  int
}

// counted is a condition, as JSON, and the key whose values were counted.
type counted struct{ condition, key string }

// mostCounts is how many counts are kept, of 24 bytes each.
const mostCounts = 100_000

// get answers counts, which are made if they are not known.
func (c *counts) get(what counted, count func() []Count) []Count {
	c.mu.Lock()
	found, ok := c.known[what]
	c.mu.Unlock()
	if ok {
		return found
	}
	found = count()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[what]; ok {
		return found
	}
	// Each takes some room of its own, also if nothing was counted.
	size := len(found) + (len(what.condition)+len(what.key)+100)/24
	if c.known == nil || c.size+size > mostCounts {
		c.known, c.size = map[counted][]Count{}, 0
	}
	if size <= mostCounts {
		c.known[what], c.size = found, c.size+size
	}
	return found
}

// forget is called after a change.
func (c *counts) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.size = nil, 0
}
