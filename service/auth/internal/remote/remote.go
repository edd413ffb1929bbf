package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/service/auth/internal/jws"
)

const (
	fetchTimeout  = 5 * time.Second
	maxBytes      = 1 << 20
	maxEndpoints  = 100
	freshFor      = 10 * time.Minute
	staleFor      = time.Hour
	coolDown      = 30 * time.Second
	forcedFetches = 10
	forcedWindow  = time.Minute
)

// ErrNoEndpoint is the error when the issuer has no endpoint for its keys (status 404).
var ErrNoEndpoint = errors.New("there is no endpoint with public keys")

// Keys has the public keys of issuers by the URLs of their endpoints. Safe for concurrent use.
type Keys struct {
	client *http.Client
	clock  clockwork.Clock
	log    *slog.Logger

	lifetime context.Context
	end      context.CancelFunc
	fetches  sync.WaitGroup

	mu        sync.Mutex
	endpoints *lru.LRU[string, *endpoint] // those that have answered once
	flights   map[string]*flight
}

// endpoint is what is known of one.
type endpoint struct {
	keys      *jws.Keys
	fetched   time.Time   // when it gave the keys
	attempted time.Time   // when it was last asked
	forced    []time.Time // when it was asked for an unknown key, lately
}

// flight is a fetch that is under way. Everybody who wants the same waits for it.
type flight struct {
	done chan struct{}
	err  error
}

// New makes a Keys that fetches with the transport.
func New(transport http.RoundTripper, clock clockwork.Clock, log *slog.Logger) *Keys {
	endpoints, err := lru.NewLRU[string, *endpoint](maxEndpoints, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	k := &Keys{
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		clock: clock, log: log, endpoints: endpoints, flights: map[string]*flight{},
	}
	k.lifetime, k.end = context.WithCancel(context.Background())
	return k
}

// Close cuts what is under way and waits for its end.
func (k *Keys) Close() {
	k.mu.Lock()
	k.end()
	k.mu.Unlock()
	k.fetches.Wait()
}

// Fresh are the keys of the endpoint, if they are there and at this time new enough to be used without a look at the endpoint.
func (k *Keys) Fresh(url string, now time.Time) *jws.Keys {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.endpoints.Get(url); ok && e.usable(now) {
		return e.keys
	}
	return nil
}

// usable tells whether there is no need to ask the endpoint at this time: its keys are fresh, or it has just failed to give others.
func (e *endpoint) usable(now time.Time) bool {
	age := now.Sub(e.fetched)
	return age < freshFor || age < staleFor && now.Sub(e.attempted) < coolDown
}

// Verify checks the signature of the token with the keys of the endpoint. It returns the keys with which the token is good.
func (k *Keys) Verify(ctx context.Context, url string, token *jws.Token) (*jws.Keys, error) {
	keys, err := k.get(ctx, url)
	if err != nil {
		return nil, err
	}
	err = token.Verify(keys)
	// A fetch that was under way may have begun before the key was there.
	for tries := 0; tries < 2 && errors.Is(err, jws.ErrNoKey) && k.mayForce(url); tries++ {
		if fetchErr := k.fetch(ctx, url); fetchErr != nil {
			return nil, fetchErr
		}
		if keys, err = k.get(ctx, url); err != nil {
			return nil, err
		}
		err = token.Verify(keys)
	}
	return keys, err
}

// get are the keys of the endpoint, fetched if need be.
func (k *Keys) get(ctx context.Context, url string) (*jws.Keys, error) {
	if keys := k.Fresh(url, k.clock.Now()); keys != nil {
		return keys, nil
	}
	err := k.fetch(ctx, url)
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.endpoints.Get(url)
	switch {
	case ok && k.clock.Since(e.fetched) < staleFor:
		return e.keys, nil
	case err == nil: // pushed out by others in the meantime
		err = errors.New("too many endpoints with public keys are in use")
	}
	return nil, err
}

// mayForce tells whether the endpoint may be asked because it lacks a key.
func (k *Keys) mayForce(url string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.endpoints.Get(url)
	if !ok {
		return false
	}
	now := k.clock.Now()
	if now.Sub(e.attempted) >= coolDown || k.flights[url] != nil {
		return true
	}
	recent := e.forced[:0]
	for _, at := range e.forced {
		if now.Sub(at) < forcedWindow {
			recent = append(recent, at)
		}
	}
	e.forced = recent
	if len(recent) >= forcedFetches {
		return false
	}
	e.forced = append(recent, now)
	return true
}

// fetch asks the endpoint, or waits for somebody else's answer. The fetch goes on when ctx ends: others may be waiting for it.
func (k *Keys) fetch(ctx context.Context, url string) error {
	k.mu.Lock()
	f := k.flights[url]
	if f == nil {
		if err := k.lifetime.Err(); err != nil {
			k.mu.Unlock()
			return fmt.Errorf("the backend has stopped: %w", err)
		}
		f = &flight{done: make(chan struct{})}
		k.flights[url] = f
		k.fetches.Go(func() { k.fly(url, f) })
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the public keys at %s: %w", url, ctx.Err())
	}
}

func (k *Keys) fly(url string, f *flight) {
	ctx, cancel := context.WithTimeout(k.lifetime, fetchTimeout)
	defer cancel()
	keys, err := k.request(ctx, url)
	if err != nil {
		err = fmt.Errorf("getting the public keys at %s: %w", url, err)
	}

	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock.Now()
	e, known := k.endpoints.Get(url)
	if known {
		e.attempted = now
	}
	switch {
	case err == nil && known:
		e.keys, e.fetched = keys, now
	case err == nil:
		k.endpoints.Add(url, &endpoint{keys: keys, fetched: now, attempted: now})
	case k.lifetime.Err() == nil && !errors.Is(err, ErrNoEndpoint):
		k.log.WarnContext(ctx, "Failed to get public keys", "url", url, "error", err)
	}
	f.err = err
	delete(k.flights, url)
	close(f.done)
}

func (k *Keys) request(ctx context.Context, url string) (*jws.Keys, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	res, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil, ErrNoEndpoint
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the answer has status %s", res.Status)
	}
	content, err := io.ReadAll(io.LimitReader(res.Body, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(content) > maxBytes {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxBytes)
	}
	return jws.ParseKeys(content)
}
