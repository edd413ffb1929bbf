package ingest

import (
	"bytes"
	"encoding/json"
	"maps"

	"github.com/portico-dev/portico/plugins/catalog/processor"
)

// memory is what is kept of one time that an entity was processed for the next.
type memory struct {
	// ETags are those of the targets of a Location. If they are what they were, and all else is too, nothing needs to be read, parsed or
	// stored.
	ETags map[string]string `json:"etags,omitempty"`
	// Rest is the hash of what does not come from the targets.
	Rest string `json:"rest,omitempty"`
	// Caches are those of processors.
	Caches map[string]json.RawMessage `json:"caches,omitempty"`
}

func decodeMemory(text string) (m memory) {
	if text != "" && json.Unmarshal([]byte(text), &m) != nil {
		return memory{} // everything is read anew
	}
	return m
}

func (m memory) sameCaches(other memory) bool {
	return maps.EqualFunc(m.Caches, other.Caches, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

func (m memory) encode() string {
	if len(m.ETags)+len(m.Caches) == 0 {
		return ""
	}
	text, err := json.Marshal(m)
	if err != nil { // it has only text
		panic(err)
	}
	return string(text)
}

// cached is the cache with a key: that of a processor, or of one for a location.
func (r *run) cached(key string) processor.Cache {
	cache, ok := r.caches[key]
	if last := r.last.Caches[key]; !ok && last != nil {
		if err := json.Unmarshal(last, &cache); err != nil {
			return processor.Cache{}
		}
	}
	return cache
}

// kept are the caches that processors have filled.
func (r *run) kept() map[string]json.RawMessage {
	kept := map[string]json.RawMessage{}
	for key, cache := range r.caches {
		if text, err := json.Marshal(&cache); err == nil && len(text) > len("null") {
			kept[key] = text
		}
	}
	return kept
}
