package httprouter

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/service"
)

const (
	// MaxHeaderBytes is the greatest size of a request's headers together; greater ones are refused with status 431.
	MaxHeaderBytes = 64 << 10
	// MaxBodyBytes is the greatest size of a request's body, unless the route has another [BodyLimit]. A handler that reads more
	// gets an error that is answered with status 413.
	MaxBodyBytes = 10 << 20

	defaultPort = 7007
)

// settings is what the server reads from the configuration when it is made.
type settings struct {
	listen        address
	baseURL       string
	tls           bool
	headers       []header
	cors          *corsPolicy // nil when CORS is not configured
	proxies       proxies
	clientIP      echo.IPExtractor
	limit         *limitRule // nil without a limit for all requests
	pluginLimits  map[string]*limitRule
	redis         string // URL of the server that counts requests; empty for memory
	open          bool   // routes need no credentials
	endUser       bool   // spans tell who makes a request
	startupPause  time.Duration
	shutdownDelay time.Duration
	timeouts      timeouts
}

// timeouts are the settings below backend.server.
type timeouts struct {
	headers     time.Duration
	request     time.Duration
	keepAlive   time.Duration
	stall       time.Duration
	maxHeaders  int
	maxRequests int // for each connection; zero is no limit
}

// reader reads single values and collects what is wrong with them, so that all of it is told at once.
type reader struct {
	config service.Config
	errs   []error
}

// fail records what is wrong with the value at key.
func (r *reader) fail(key, format string, args ...any) {
	problem := fmt.Errorf(format, args...)
	if err := r.config.Decode(key, &refusal{problem}); err != nil && strings.Contains(err.Error(), problem.Error()) {
		r.errs = append(r.errs, fmt.Errorf("httprouter: %w", err))
		return
	}
	r.errs = append(r.errs, fmt.Errorf("httprouter: configuration key %s: %w", key, problem))
}

// refusal makes the configuration say where the value stands that is wrong, which only it knows. It does so for strings, numbers and
// booleans.
type refusal struct{ problem error }

func (r *refusal) UnmarshalText([]byte) error { return r.problem }

// decode reads the value at key, if there is one.
func (r *reader) decode(key string, dst any) bool {
	if !r.config.Has(key) {
		return false
	}
	if err := r.config.Decode(key, dst); err != nil {
		r.errs = append(r.errs, fmt.Errorf("httprouter: %w", err))
		return false
	}
	return true
}

func (r *reader) text(key string) (s string) {
	r.decode(key, &s)
	return s
}

func (r *reader) flag(key string) (b bool) {
	r.decode(key, &b)
	return b
}

// count reads a whole number that is not negative.
func (r *reader) count(key string, fallback int) int {
	n := fallback
	if r.decode(key, &n) && n < 0 {
		r.fail(key, "%d is negative", n)
	}
	return n
}

// duration reads a time: a number of milliseconds, or whatever the configuration takes for a time.Duration.
func (r *reader) duration(key string, fallback time.Duration) time.Duration {
	var raw any
	if !r.decode(key, &raw) {
		return fallback
	}
	d := fallback
	if ms, ok := number(raw); ok {
		if math.IsNaN(ms) || math.Abs(ms) > float64(math.MaxInt64/time.Millisecond) {
			r.fail(key, "%v milliseconds are not a time that makes sense", raw)
			return fallback
		}
		d = time.Duration(ms * float64(time.Millisecond))
	} else {
		r.decode(key, &d)
	}
	if d < 0 {
		r.fail(key, "%s is negative", d)
	}
	return d
}

// list reads a string or a list of strings. It is nil when the key is absent.
func (r *reader) list(key string) []string {
	var raw any
	if !r.decode(key, &raw) || raw == nil {
		return nil
	}
	switch v := raw.(type) {
	case string:
		return []string{v}
	case []any:
		list := make([]string, len(v))
		for i, item := range v {
			s, ok := item.(string)
			if !ok {
				r.fail(key, "item %d is %v; all items have to be strings", i, item)
				return nil
			}
			list[i] = s
		}
		return list
	}
	r.fail(key, "%v is neither a string nor a list of strings", raw)
	return nil
}

// number takes the numbers that a configuration has.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func readSettings(config service.Config) (settings, error) {
	r := &reader{config: config}
	s := settings{
		listen:        r.listen("backend.listen"),
		baseURL:       r.baseURL("backend.baseUrl"),
		headers:       r.securityHeaders(),
		cors:          r.cors("backend.cors"),
		proxies:       r.trustProxy("backend.trustProxy"),
		open:          r.flag("backend.auth.dangerouslyDisableDefaultAuthPolicy"),
		endUser:       r.flag("backend.tracing.capture.endUser"),
		startupPause:  r.duration("backend.lifecycle.startupRequestPauseTimeout", 5*time.Second),
		shutdownDelay: r.duration("backend.lifecycle.serverShutdownDelay", 0),
		timeouts: timeouts{
			headers:     r.duration("backend.server.headersTimeout", time.Minute),
			request:     r.duration("backend.server.requestTimeout", 5*time.Minute),
			keepAlive:   r.duration("backend.server.keepAliveTimeout", 65*time.Second),
			stall:       r.duration("backend.server.timeout", time.Minute),
			maxHeaders:  r.count("backend.server.maxHeadersCount", 2000),
			maxRequests: r.count("backend.server.maxRequestsPerSocket", 0),
		},
	}
	s.clientIP = s.proxies.clientIP()
	s.limit, s.pluginLimits, s.redis = r.rateLimits("backend.rateLimit")
	var https any
	if r.decode("backend.https", &https) {
		s.tls = https != false && https != nil
	}
	return s, errors.Join(r.errs...)
}

// address is where the server listens.
type address struct {
	host string
	port int
}

func (a address) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

func (r *reader) listen(key string) address {
	a := address{port: defaultPort}
	var raw any
	if !r.decode(key, &raw) || raw == nil {
		return a
	}
	var err error
	switch v := raw.(type) {
	case string:
		if a, err = parseAddress(v); err != nil {
			r.fail(key, "%w", err)
		}
	case map[string]any:
		if host, ok := v["host"]; ok && host != nil {
			if a.host, ok = host.(string); !ok {
				r.fail(key+".host", "%v is not a string", host)
			}
			a.host = strings.TrimSuffix(strings.TrimPrefix(a.host, "["), "]")
		}
		if port, ok := v["port"]; ok && port != nil {
			if a.port, err = parsePort(fmt.Sprint(port)); err != nil {
				r.fail(key+".port", "%w", err)
			}
		}
	default:
		if a.port, err = parsePort(fmt.Sprint(raw)); err != nil {
			r.fail(key, "%w", err)
		}
	}
	return a
}

// parseAddress reads "7007", ":7007", "host:7007" or "[::1]:7007".
func parseAddress(s string) (address, error) {
	host, port := "", s
	if strings.Contains(s, ":") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return address{}, fmt.Errorf(`%q is not an address; write "<port>", ":<port>", "<host>:<port>" or "[<IPv6>]:<port>"`, s)
		}
	}
	n, err := parsePort(port)
	if err != nil {
		return address{}, fmt.Errorf("%q: %w", s, err)
	}
	return address{host: host, port: n}, nil
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port; a port is a number from 0 (any free one) to 65535", s)
	}
	return int(n), nil
}

func (r *reader) baseURL(key string) string {
	s := r.text(key)
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		r.fail(key, `%q is not a URL; write something like "https://portal.example.com"`, s)
	}
	return strings.TrimRight(s, "/")
}
