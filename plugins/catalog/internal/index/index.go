package index

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
)

// Entry is an entity, or the news that there is none any more.
type Entry struct {
	Ref string
	UID string
	// JSON is the final entity, or nil if it was deleted.
	JSON []byte
}

// Index holds entities. It is safe for concurrent use; the JSON that it answers must not be changed.
type Index struct {
	mu     sync.RWMutex
	docs   []doc    // by ordinal
	free   []uint32 // ordinals of entities that went
	all    *roaring.Bitmap
	byRef  map[string]uint32
	byUID  map[string]uint32
	keys   map[string]uint32 // numbers of all keys that an entity has had
	fields map[uint32]*field // by number of the key
	orders map[string]*order // by key
	clock  atomic.Int64      // counts queries
}

// The most fields and orders that are kept. What has not been used for the longest time goes first.
const (
	maxFields = 1000
	maxOrders = 50
)

// doc is an entity.
type doc struct {
	ref, uid string
	json     []byte
	packed
}

// New returns an empty index.
func New() *Index {
	return &Index{
		all: roaring.New(), byRef: map[string]uint32{}, byUID: map[string]uint32{},
		keys: map[string]uint32{}, fields: map[uint32]*field{}, orders: map[string]*order{},
	}
}

// Apply brings the index up to date. An entity that can't be searched is left as it was, and named in the error.
func (x *Index) Apply(entries []Entry) error {
	terms, failures := extract(entries)
	x.mu.Lock()
	defer x.mu.Unlock()
	changed := roaring.New()
	for i, entry := range entries {
		switch {
		case entry.JSON == nil:
			x.remove(entry.Ref, changed)
		case terms[i] != nil:
			x.put(entry, terms[i], changed)
		}
	}
	for _, o := range x.orders {
		o.update(x, changed)
	}
	if len(failures) > 0 {
		return fmt.Errorf("entities that can't be searched: %s", strings.Join(failures, "; "))
	}
	return nil
}

// extract finds the terms of the entities, on all cores.
func extract(entries []Entry) (terms [][]query.Term, failures []string) {
	terms = make([][]query.Term, len(entries))
	errs := make([]error, len(entries))
	var workers sync.WaitGroup
	share := max(32, (len(entries)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	for from := 0; from < len(entries); from += share {
		workers.Go(func() {
			for i := from; i < min(from+share, len(entries)); i++ {
				if entries[i].JSON == nil {
					continue
				}
				e, err := catalogmodel.ParseJSON(entries[i].JSON)
				if err == nil {
					terms[i], err = query.Terms(e)
				}
				errs[i] = err
			}
		})
	}
	workers.Wait()
	for i, err := range errs {
		if err != nil {
			failures = append(failures, entries[i].Ref+": "+err.Error())
		}
	}
	return terms, failures
}

func (x *Index) put(entry Entry, terms []query.Term, changed *roaring.Bitmap) {
	x.remove(entry.Ref, changed)
	ordinal := uint32(len(x.docs))
	if n := len(x.free); n > 0 {
		ordinal, x.free = x.free[n-1], x.free[:n-1]
	} else {
		x.docs = append(x.docs, doc{})
	}
	d := &x.docs[ordinal]
	*d = doc{ref: entry.Ref, uid: entry.UID, json: entry.JSON, packed: pack(terms, x.number)}
	x.byRef[d.ref], x.byUID[d.uid] = ordinal, ordinal
	x.all.Add(ordinal)
	changed.Add(ordinal)
	for i := range d.entries {
		if f := x.fields[d.entries[i].key]; f != nil {
			f.add(ordinal, d.term(i))
		}
	}
}

func (x *Index) remove(ref string, changed *roaring.Bitmap) {
	ordinal, ok := x.byRef[ref]
	if !ok {
		return
	}
	d := &x.docs[ordinal]
	for i := range d.entries {
		if f := x.fields[d.entries[i].key]; f != nil {
			f.remove(ordinal, d.term(i))
		}
	}
	delete(x.byRef, d.ref)
	delete(x.byUID, d.uid)
	x.all.Remove(ordinal)
	changed.Add(ordinal)
	*d = doc{}
	x.free = append(x.free, ordinal)
}

// number is the number of a key.
func (x *Index) number(key string) uint32 {
	n, ok := x.keys[key]
	if !ok {
		n = uint32(len(x.keys))
		x.keys[strings.Clone(key)] = n
	}
	return n
}

// ByRef answers the JSON of the entities with these refs, nil for those that there are none of or for which the predicate does not hold.
func (x *Index) ByRef(refs []string, where query.Predicate) [][]byte {
	defer x.read(where, nil)()
	found := make([][]byte, len(refs))
	var set *roaring.Bitmap
	if where != nil {
		set = x.eval(where)
	}
	for i, ref := range refs {
		if ordinal, ok := x.byRef[ref]; ok && (set == nil || set.Contains(ordinal)) {
			found[i] = x.docs[ordinal].json
		}
	}
	return found
}

// ByUID answers the JSON of the entity with this uid, or nil.
func (x *Index) ByUID(uid string) []byte {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if ordinal, ok := x.byUID[uid]; ok {
		return x.docs[ordinal].json
	}
	return nil
}

// read locks the index for reading, with the fields that the predicate needs, those for the keys, and the orders. It returns what unlocks it.
func (x *Index) read(where query.Predicate, keys []string, orders ...string) (unlock func()) {
	keys = appendKeys(keys, where)
	for {
		x.mu.RLock()
		if x.prepared(keys, orders) {
			return x.mu.RUnlock
		}
		x.mu.RUnlock()
		x.prepare(keys, orders)
	}
}

// prepared tells whether everything is there, but for keys that no entity has.
func (x *Index) prepared(keys, orders []string) bool {
	now := x.clock.Add(1)
	for _, key := range keys {
		n, known := x.keys[key]
		f := x.fields[n]
		if known && f == nil {
			return false
		} else if known {
			f.used.Store(now)
		}
	}
	for _, key := range orders {
		_, known := x.keys[key]
		o := x.orders[key]
		if o == nil && (known || isPseudo(key)) {
			return false
		} else if o != nil {
			o.used.Store(now)
		}
	}
	return true
}

func (x *Index) prepare(keys, orders []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	made := map[uint32]*field{}
	for _, key := range keys {
		if n, known := x.keys[key]; known && x.fields[n] == nil {
			made[n] = newField()
		}
	}
	if len(made) > 0 {
		for ordinal := range x.docs {
			d := &x.docs[ordinal]
			for i := range d.entries {
				if f := made[d.entries[i].key]; f != nil {
					f.add(uint32(ordinal), d.term(i))
				}
			}
		}
		for n, f := range made {
			x.fields[n] = f
		}
	}
	for _, key := range orders {
		if _, known := x.keys[key]; x.orders[key] == nil && (known || isPseudo(key)) {
			o := newOrder(key)
			o.update(x, x.all)
			x.orders[key] = o
		}
	}
	shrink(x.fields, max(maxFields, len(keys)), func(f *field) int64 { return f.used.Load() })
	shrink(x.orders, max(maxOrders, len(orders)), func(o *order) int64 { return o.used.Load() })
}

// shrink takes away what has not been used for the longest time, until most are left. What was never used is new, and stays.
func shrink[K comparable, V any](all map[K]V, most int, used func(V) int64) {
	for len(all) > most {
		var oldest K
		least := int64(math.MaxInt64)
		for key, v := range all {
			if at := used(v); at > 0 && at < least {
				oldest, least = key, at
			}
		}
		if least == math.MaxInt64 {
			return
		}
		delete(all, oldest)
	}
}

// isPseudo tells whether a key of an order is none of terms.
func isPseudo(key string) bool { return key == refOrder || key == uidOrder }

// order is that of the key, which is empty if no entity has it.
func (x *Index) order(key string) *order {
	if o := x.orders[key]; o != nil {
		return o
	}
	return newOrder(key)
}

// field is that of the key, or nil if no entity has it.
func (x *Index) field(key string) *field {
	n, known := x.keys[key]
	if !known {
		return nil
	}
	return x.fields[n]
}
