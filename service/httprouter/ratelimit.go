package httprouter

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"
)

// limitRule is how many requests a client may make.
type limitRule struct {
	window         time.Duration
	limit          int
	shown          []string            // the limit, as all answers tell it
	allow          map[netip.Addr]bool // clients without a limit
	skipSuccessful bool
	skipFailed     bool
	passOnError    bool
}

// rateLimits reads the limit for all requests, those of plugins, and the URL of Redis if the counts are there.
func (r *reader) rateLimits(key string) (global *limitRule, plugins map[string]*limitRule, redisURL string) {
	var raw any
	if !r.decode(key, &raw) || raw == nil || raw == false {
		return nil, nil, ""
	}
	object, ok := raw.(map[string]any)
	if !ok {
		if raw != true {
			r.fail(key, "%v is neither true nor an object", raw)
		}
		return r.limitRule(key), nil, ""
	}
	if object["global"] != false {
		global = r.limitRule(key)
	}
	plugins = map[string]*limitRule{}
	if list, ok := object["plugin"].(map[string]any); ok {
		for id := range list {
			plugins[id] = r.limitRule(key + ".plugin." + id)
		}
	}
	switch store := r.text(key + ".store.type"); store {
	case "", "memory":
	case "redis":
		if redisURL = r.text(key + ".store.connection"); redisURL == "" {
			r.fail(key+".store.connection", `is missing; write the URL of the server, like "redis://localhost:6379"`)
		} else if _, err := redis.ParseURL(redisURL); err != nil {
			r.fail(key+".store.connection", `is not the URL of a Redis server; write something like "redis://localhost:6379"`)
		}
	default:
		r.fail(key+".store.type", `%q is not a store; there are "memory" and "redis"`, store)
	}
	return global, plugins, redisURL
}

func (r *reader) limitRule(key string) *limitRule {
	rule := &limitRule{window: time.Minute, limit: 5, allow: map[netip.Addr]bool{}}
	allow := []string{"127.0.0.1", "::1"}
	if r.isObject(key) {
		rule.window = r.duration(key+".window", rule.window)
		rule.limit = r.count(key+".incomingRequestLimit", rule.limit)
		rule.skipSuccessful = r.flag(key + ".skipSuccessfulRequests")
		rule.skipFailed = r.flag(key + ".skipFailedRequests")
		rule.passOnError = r.flag(key + ".passOnStoreError")
		if list := r.list(key + ".ipAllowList"); list != nil {
			allow = list
		}
	}
	if rule.window < time.Millisecond {
		r.fail(key+".window", "%s is too short", rule.window)
	}
	rule.shown = []string{strconv.Itoa(rule.limit)}
	for _, s := range allow {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			r.fail(key+".ipAllowList", "%q is not an IP address", s)
		}
		rule.allow[addr.Unmap()] = true
	}
	return rule
}

func (r *reader) isObject(key string) bool {
	var raw any
	r.decode(key, &raw)
	_, ok := raw.(map[string]any)
	return ok
}

// hits counts requests by client, in windows that begin with the first request.
type hits interface {
	// add adds n, which may be negative, and returns the sum and the end of the window.
	add(ctx context.Context, client netip.Prefix, n int, window time.Duration) (int, time.Time, error)
}

// limiter refuses the requests of clients that make too many.
type limiter struct {
	rule     *limitRule
	hits     hits
	clientIP echo.IPExtractor
}

// take counts a request. It returns what to call with the status of the answer, or nil when the request has to be refused; that is answered
// already then.
func (l *limiter) take(w http.ResponseWriter, r *http.Request) (func(status int), error) {
	client, limited := l.client(r)
	if !limited {
		return func(int) {}, nil
	}
	n, reset, err := l.hits.add(r.Context(), client, 1, l.rule.window)
	if err != nil {
		if l.rule.passOnError {
			return func(int) {}, nil
		}
		return nil, fmt.Errorf("counting requests: %w", err)
	}
	h := w.Header()
	counts := []string{strconv.Itoa(max(0, l.rule.limit-n)), strconv.FormatInt(int64(math.Ceil(float64(reset.UnixMilli())/1000)), 10)}
	h["X-Ratelimit-Limit"] = l.rule.shown
	h["X-Ratelimit-Remaining"] = counts[0:1:1]
	h["X-Ratelimit-Reset"] = counts[1:2:2]
	if n > l.rule.limit {
		h.Set("Retry-After", strconv.Itoa(max(0, int(math.Ceil(time.Until(reset).Seconds())))))
		h["Content-Type"] = jsonType
		w.WriteHeader(http.StatusTooManyRequests)
		_, err := w.Write([]byte(`{"error":{"name":"Error","message":"Too many requests, please try again later"},"response":{"statusCode":429}}`))
		_ = err // the client is gone: nobody is left to tell
		l.answered(r, client, reset, http.StatusTooManyRequests)
		return nil, nil
	}
	if !l.rule.skipFailed && !l.rule.skipSuccessful {
		return func(int) {}, nil
	}
	return func(status int) { l.answered(r, client, reset, status) }, nil
}

// answered takes a request back that does not count because of how it was answered.
func (l *limiter) answered(r *http.Request, client netip.Prefix, reset time.Time, status int) {
	failed := status >= 400
	if (failed && l.rule.skipFailed || !failed && l.rule.skipSuccessful) && time.Now().Before(reset) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Second)
		defer cancel()
		_, _, _ = l.hits.add(ctx, client, -1, l.rule.window) // the count is an estimate anyway
	}
}

// client is whom a request counts for. A network of IPv6 is one client, for it is given to one customer as a whole. Requests from within
// the backend have no address and no limit.
func (l *limiter) client(r *http.Request) (client netip.Prefix, limited bool) {
	ip, err := netip.ParseAddr(l.clientIP(r))
	if err != nil {
		return netip.Prefix{}, false
	}
	ip = ip.Unmap().WithZone("")
	if len(l.rule.allow) > 0 {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if l.rule.allow[ip] || err == nil && l.rule.allow[peer.Addr().Unmap()] {
			return netip.Prefix{}, false
		}
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 56
	}
	return netip.PrefixFrom(ip, bits).Masked(), true
}

// memoryHits counts in this process. Windows that have ended are forgotten without a goroutine that looks for them: there are two
// generations, and the older one is dropped when all of its windows must have ended.
type memoryHits struct {
	mu       sync.Mutex
	current  map[netip.Prefix]*windowCount
	previous map[netip.Prefix]*windowCount
	turned   time.Time
}

type windowCount struct {
	n   int
	end time.Time
}

func (m *memoryHits) add(_ context.Context, client netip.Prefix, n int, window time.Duration) (int, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.current == nil || now.Sub(m.turned) >= window {
		m.previous, m.current, m.turned = m.current, map[netip.Prefix]*windowCount{}, now
	}
	count := m.current[client]
	if count == nil {
		if count = m.previous[client]; count == nil {
			count = &windowCount{}
		}
		m.current[client] = count
	}
	if !now.Before(count.end) {
		*count = windowCount{end: now.Add(window)}
	}
	count.n = max(0, count.n+n)
	return count.n, count.end, nil
}

// redisHits counts in Redis, for all replicas together.
type redisHits struct {
	client *redis.Client
	prefix string
}

// countScript adds to a count that ends with its window.
var countScript = redis.NewScript(`
local n = redis.call('INCRBY', KEYS[1], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	left = tonumber(ARGV[2])
end
return {n, left}`)

func (r redisHits) add(ctx context.Context, client netip.Prefix, n int, window time.Duration) (int, time.Time, error) {
	got, err := countScript.Run(ctx, r.client, []string{r.prefix + client.String()}, n, window.Milliseconds()).Int64Slice()
	if err != nil {
		return 0, time.Time{}, err
	}
	return int(got[0]), time.Now().Add(time.Duration(got[1]) * time.Millisecond), nil
}
