package discovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jonboulle/clockwork"
)

const (
	recordsFreshFor = time.Second // as in Backstage
	lookupTimeout   = 5 * time.Second
	maxResolved     = 1000
)

// resolver finds hosts and ports by SRV records. Safe for concurrent use.
type resolver struct {
	dns   *net.Resolver
	clock clockwork.Clock

	mu       sync.Mutex
	resolved *lru.LRU[resolvedFor, *records]
}

type resolvedFor struct {
	*pattern
	pluginID string
}

// records is what was found for a plugin. It does not change.
type records struct {
	scheme, path string
	list         []*net.SRV // of the highest priority
	until        time.Time
}

func newResolver(dns *net.Resolver, clock clockwork.Clock) *resolver {
	resolved, err := lru.NewLRU[resolvedFor, *records](maxResolved, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return &resolver{dns: dns, clock: clock, resolved: resolved}
}

// resolve is the base URL of a plugin, on one of the hosts that the records name, chosen by their weights.
func (r *resolver) resolve(ctx context.Context, p *pattern, pluginID string) (string, error) {
	key := resolvedFor{p, pluginID}
	r.mu.Lock()
	found, ok := r.resolved.Get(key)
	r.mu.Unlock()
	if !ok || !r.clock.Now().Before(found.until) {
		var err error
		if found, err = r.lookup(ctx, p.base(pluginID)); err != nil {
			return "", err
		}
		r.mu.Lock()
		r.resolved.Add(key, found)
		r.mu.Unlock()
	}
	return found.base(pick(found.list)), nil
}

func (r *resolver) lookup(ctx context.Context, base string) (*records, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	_, list, err := r.dns.LookupSRV(ctx, "", "", u.Hostname())
	if none := (*net.DNSError)(nil); errors.As(err, &none) && none.IsNotFound || err == nil && len(list) == 0 {
		return nil, fmt.Errorf("there are no SRV records for %s", u.Hostname())
	}
	if err != nil {
		return nil, fmt.Errorf("looking up the SRV records of %s: %w", u.Hostname(), err)
	}
	first := 1 // they are ordered by priority
	for first < len(list) && list[first].Priority == list[0].Priority {
		first++
	}
	return &records{
		scheme: strings.TrimSuffix(u.Scheme, srvSuffix), path: u.EscapedPath(), list: list[:first], until: r.clock.Now().Add(recordsFreshFor),
	}, nil
}

// base is the base URL on the host of the record.
func (r *records) base(on *net.SRV) string {
	host := net.JoinHostPort(strings.TrimSuffix(on.Target, "."), strconv.Itoa(int(on.Port)))
	return r.scheme + "://" + host + r.path
}

// pick chooses a record by chance and weight.
func pick(list []*net.SRV) *net.SRV {
	total := 0
	for _, record := range list {
		total += int(record.Weight)
	}
	if total == 0 {
		return list[rand.IntN(len(list))]
	}
	at := rand.IntN(total)
	for _, record := range list {
		if at -= int(record.Weight); at < 0 {
			return record
		}
	}
	return list[0]
}

// each calls visit with the base URLs on all hosts that were last found.
func (r *resolver) each(visit func(pluginID string, p *pattern, base string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range r.resolved.Keys() {
		found, _ := r.resolved.Peek(key)
		for _, record := range found.list {
			visit(key.pluginID, key.pattern, found.base(record))
		}
	}
}
