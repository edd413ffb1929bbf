package index

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"runtime"
	"slices"
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

// Index holds entities. It is safe for concurrent use.
type Index struct {
	applying   sync.Mutex  // held during a change, most of which readers need not wait for
	dictionary *dictionary // with which entities are packed
	trained    int         // how many entities there were when it was made
	unpacked   *unpacked

	mu     sync.RWMutex
	docs   []doc    // by ordinal
	free   []uint32 // ordinals of entities that went
	all    *roaring.Bitmap
	byRef  map[string]uint32
	byUID  map[string]uint32
	keys   *keys
	fields map[uint32]*field // by number of the key
	orders map[string]*order // by key
	clock  atomic.Int64      // counts queries
	counts counts
}

// The most fields and orders that are kept. What has not been used for the longest time goes first.
const (
	maxFields = 1000
	maxOrders = 50
)

// doc is an entity.
type doc struct {
	ref, uid string
	Entity
}

// New returns an empty index.
func New() *Index {
	return &Index{
		unpacked: &unpacked{seed: maphash.MakeSeed()}, all: roaring.New(), byRef: map[string]uint32{}, byUID: map[string]uint32{},
		keys: &keys{numbers: map[string]uint32{}}, fields: map[uint32]*field{}, orders: map[string]*order{},
	}
}

// Apply brings the index up to date. An entity that can't be searched is left as it was, and named in the error.
func (x *Index) Apply(entries []Entry) error {
	x.applying.Lock()
	defer x.applying.Unlock()
	x.train(entries)
	extracts, failures := x.extract(entries)
	x.mu.Lock()
	defer x.mu.Unlock()
	changed := map[uint32][]query.Term{}
	for i, entry := range entries {
		switch {
		case entry.JSON == nil:
			x.remove(entry.Ref, changed)
		case extracts[i].Exists():
			x.remove(entry.Ref, changed)
			x.put(entry, extracts[i], changed)
		}
	}
	for _, o := range x.orders {
		o.update(x, changed)
	}
	x.counts.forget()
	if len(failures) > 0 {
		return fmt.Errorf("entities that can't be searched: %s", strings.Join(failures, "; "))
	}
	return nil
}

// train makes a dictionary whenever there are twice as many entities as for the last one: until then, those that it was made from are not much
// unlike the others. Not more often, for each is kept as long as an entity is packed with it.
func (x *Index) train(entries []Entry) {
	n := len(x.docs) + len(entries)
	if x.dictionary != nil && n < 2*x.trained {
		return
	}
	x.trained = n
	x.dictionary = &dictionary{unpacked: x.unpacked, words: newDictionary(func(yield func([]byte) bool) {
		const samples = 64
		for i := 0; i < n; i += 1 + n/samples {
			if i < len(entries) && !yield(entries[i].JSON) || i >= len(entries) && !yield(x.docs[i-len(entries)].JSON()) {
				return
			}
		}
	})}
}

// extracted is an entity with its terms.
type extracted struct {
	Entity
	terms []query.Term
	keys  []uint32 // of the terms
}

// extract packs the entities, on all cores.
func (x *Index) extract(entries []Entry) (all []extracted, failures []string) {
	all = make([]extracted, len(entries))
	errs := make([]error, len(entries))
	var workers sync.WaitGroup
	share := max(32, (len(entries)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	for from := 0; from < len(entries); from += share {
		workers.Go(func() {
			p := packer{dictionary: x.dictionary}
			for i := from; i < min(from+share, len(entries)); i++ {
				if entries[i].JSON == nil {
					continue
				}
				e, err := catalogmodel.ParseJSON(entries[i].JSON)
				if err == nil {
					all[i].terms, err = query.Terms(e)
				}
				if errs[i] = err; err == nil {
					all[i].keys = x.keys.numbersOf(all[i].terms)
					all[i].Entity = p.pack(entries[i].JSON, all[i].terms, all[i].keys)
				}
			}
		})
	}
	workers.Wait()
	for i, err := range errs {
		if err != nil {
			failures = append(failures, entries[i].Ref+": "+err.Error())
		}
	}
	return all, failures
}

func (x *Index) put(entry Entry, e extracted, changed map[uint32][]query.Term) {
	ordinal := uint32(len(x.docs))
	if n := len(x.free); n > 0 {
		ordinal, x.free = x.free[n-1], x.free[:n-1]
	} else {
		x.docs = append(x.docs, doc{})
	}
	x.docs[ordinal] = doc{ref: entry.Ref, uid: entry.UID, Entity: e.Entity}
	x.byRef[entry.Ref], x.byUID[entry.UID] = ordinal, ordinal
	x.all.Add(ordinal)
	changed[ordinal] = e.terms
	for i, t := range e.terms {
		if f := x.fields[e.keys[i]]; f != nil {
			f.add(ordinal, t)
		}
	}
}

func (x *Index) remove(ref string, changed map[uint32][]query.Term) {
	ordinal, ok := x.byRef[ref]
	if !ok {
		return
	}
	d := &x.docs[ordinal]
	var room []byte
	for key, t := range d.termsOf(&room, func(key uint32) bool { return x.fields[key] != nil }) {
		x.fields[key].remove(ordinal, t)
	}
	delete(x.byRef, d.ref)
	delete(x.byUID, d.uid)
	x.all.Remove(ordinal)
	changed[ordinal] = nil
	*d = doc{}
	x.free = append(x.free, ordinal)
}

// ByRef answers the entities with these refs; none where there is none or the predicate does not hold for it.
func (x *Index) ByRef(refs []string, where query.Predicate) []Entity {
	defer x.read(where, nil)()
	found := make([]Entity, len(refs))
	var set *roaring.Bitmap
	if where != nil {
		set = x.eval(where)
	}
	for i, ref := range refs {
		if ordinal, ok := x.byRef[ref]; ok && (set == nil || set.Contains(ordinal)) {
			found[i] = x.docs[ordinal].Entity
		}
	}
	return found
}

// ByUID answers the entity with this uid, or none if there is none or the predicate does not hold for it.
func (x *Index) ByUID(uid string, where query.Predicate) Entity {
	defer x.read(where, nil)()
	if ordinal, ok := x.byUID[uid]; ok && (where == nil || x.eval(where).Contains(ordinal)) {
		return x.docs[ordinal].Entity
	}
	return Entity{}
}

// read locks the index for reading, with the fields that the predicate needs, those for the keys, and the orders with theirs. It returns what
// unlocks it.
func (x *Index) read(where query.Predicate, keys []string, orders ...string) (unlock func()) {
	keys = slices.AppendSeq(slices.Clip(keys), query.Keys(where))
	keys = append(keys, orders...)
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
		n, known := x.keys.number(key)
		f := x.fields[n]
		if known && f == nil {
			return false
		} else if known {
			f.used.Store(now)
		}
	}
	for _, key := range orders {
		if o := x.orders[key]; o != nil {
			o.used.Store(now)
		} else if isPseudo(key) || x.field(key) != nil {
			return false
		}
	}
	return true
}

func (x *Index) prepare(keys, orders []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	made := map[uint32]*field{}
	for _, key := range keys {
		if n, known := x.keys.number(key); known && x.fields[n] == nil {
			made[n] = newField()
			x.fields[n] = made[n]
		}
	}
	if len(made) > 0 {
		var room []byte
		for ordinal := range x.docs {
			for key, t := range x.docs[ordinal].termsOf(&room, func(key uint32) bool { return made[key] != nil }) {
				made[key].add(uint32(ordinal), t)
			}
		}
	}
	shrink(x.fields, max(maxFields, len(keys)), func(f *field) int64 { return f.used.Load() })
	maps.DeleteFunc(x.orders, func(key string, _ *order) bool { return !isPseudo(key) && x.field(key) == nil })
	for _, key := range orders {
		if x.orders[key] == nil && (isPseudo(key) || x.field(key) != nil) {
			x.orders[key] = newOrder(x, key)
		}
	}
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
	return &order{has: roaring.New()}
}

// field is that of the key, or nil if no entity has it.
func (x *Index) field(key string) *field {
	n, known := x.keys.number(key)
	if !known {
		return nil
	}
	return x.fields[n]
}
