package index

import (
	"strings"
	"sync"

	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// keys numbers all keys that an entity has had. It is safe for concurrent use.
type keys struct {
	mu      sync.RWMutex
	numbers map[string]uint32
}

// number is the number of a key, if an entity has had it.
func (k *keys) number(key string) (n uint32, known bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	n, known = k.numbers[key]
	return n, known
}

// numbersOf are the numbers of the keys of terms.
func (k *keys) numbersOf(terms []query.Term) []uint32 {
	numbers := make([]uint32, len(terms))
	var news []int // the places of terms whose keys have no number yet
	k.mu.RLock()
	for i, t := range terms {
		n, known := k.numbers[t.Key]
		if numbers[i] = n; !known {
			news = append(news, i)
		}
	}
	k.mu.RUnlock()
	if len(news) == 0 {
		return numbers
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range news {
		n, known := k.numbers[terms[i].Key]
		if !known {
			n = uint32(len(k.numbers))
			k.numbers[strings.Clone(terms[i].Key)] = n
		}
		numbers[i] = n
	}
	return numbers
}
