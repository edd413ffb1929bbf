package httprouter_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"
)

// from is a request that comes from an address.
func (b *backend) from(addr, path string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.RemoteAddr = addr
	req.Header.Set("Authorization", "Bearer guest")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	rec := httptest.NewRecorder()
	b.server.ServeHTTP(rec, req)
	return rec
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, map[string]any{"rateLimit": map[string]any{"window": "10s", "incomingRequestLimit": 2}})
		b.echo.GET("/", hello)
		for i, want := range []int{200, 200, 429, 429} {
			rec := b.from("192.0.2.1:1", "/")
			if rec.Code != want || rec.Header().Get("X-RateLimit-Limit") != "2" || rec.Header().Get("X-RateLimit-Remaining") != fmt.Sprint(max(0, 1-i)) {
				t.Errorf("request %d: %d %v", i, rec.Code, rec.Header())
			}
			if want == 429 && (rec.Header().Get("Retry-After") != "10" || rec.Header().Get("Content-Type") != "application/json; charset=utf-8" ||
				rec.Body.String() != `{"error":{"name":"Error","message":"Too many requests, please try again later"},"response":{"statusCode":429}}`) {
				t.Errorf("%v %s", rec.Header(), rec.Body)
			}
		}
		if rec := b.from("192.0.2.2:1", "/"); rec.Code != 200 {
			t.Errorf("another client: %d", rec.Code)
		}
		if rec := b.from("127.0.0.1:1", "/"); rec.Code != 200 || rec.Header().Get("X-RateLimit-Limit") != "" {
			t.Errorf("this machine: %d %v", rec.Code, rec.Header())
		}
		time.Sleep(9 * time.Second)
		if rec := b.from("192.0.2.1:1", "/"); rec.Code != 429 || rec.Header().Get("Retry-After") != "1" {
			t.Errorf("before the window has ended: %d %v", rec.Code, rec.Header())
		}
		time.Sleep(time.Second)
		if rec := b.from("192.0.2.1:1", "/"); rec.Code != 200 {
			t.Errorf("after the window has ended: %d", rec.Code)
		}
		time.Sleep(25 * time.Second)
		if rec := b.from("192.0.2.1:1", "/"); rec.Code != 200 || rec.Header().Get("X-RateLimit-Remaining") != "1" {
			t.Errorf("much later: %d %v", rec.Code, rec.Header())
		}
	})
}

func TestRateLimitSettings(t *testing.T) {
	t.Parallel()
	type rule = map[string]any
	for _, test := range []struct {
		name     string
		limit    any
		requests []string // addresses and paths
		statuses []int
	}{
		{"the default is five a minute", true, []string{"192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /"},
			[]int{200, 200, 200, 200, 200, 429}},
		{"false is no limit", false, []string{"192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /"},
			[]int{200, 200, 200, 200, 200, 200}},
		{"successful ones don't count", rule{"incomingRequestLimit": 1, "skipSuccessfulRequests": true},
			[]string{"192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /nope", "192.0.2.1 /"}, []int{200, 200, 404, 429}},
		{"failed ones don't count", rule{"incomingRequestLimit": 1, "skipFailedRequests": true},
			[]string{"192.0.2.1 /nope", "192.0.2.1 /nope", "192.0.2.1 /", "192.0.2.1 /nope", "192.0.2.1 /nope"}, []int{404, 404, 200, 429, 429}},
		{"addresses without a limit", rule{"incomingRequestLimit": 0, "ipAllowList": []any{"192.0.2.1", "2001:db8::1"}},
			[]string{"192.0.2.1 /", "[::ffff:192.0.2.1] /", "[2001:db8::1] /", "127.0.0.1 /"}, []int{200, 200, 200, 429}},
		{"a network of IPv6 is one client", rule{"incomingRequestLimit": 1},
			[]string{"[2001:db8::1] /", "[2001:db8:0:ff::2] /", "[2001:db8:0:100::1] /"}, []int{200, 429, 200}},
		{"health counts too", rule{"incomingRequestLimit": 1},
			[]string{"192.0.2.1 /", "192.0.2.1 /.backstage/health/v1/liveness"}, []int{200, 429}},
		{"one for a plugin", rule{"global": false, "plugin": rule{"todo": rule{"incomingRequestLimit": 1}}},
			[]string{"192.0.2.1 /", "192.0.2.1 /", "192.0.2.1 /api/todo/", "192.0.2.1 /api/todo/", "192.0.2.1 /"}, []int{200, 200, 200, 429, 200}},
		{"one for all and one for a plugin", rule{"incomingRequestLimit": 2, "plugin": rule{"todo": rule{"incomingRequestLimit": 1}}},
			[]string{"192.0.2.1 /api/todo/", "192.0.2.1 /api/todo/", "192.0.2.1 /"}, []int{200, 429, 429}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, map[string]any{"rateLimit": test.limit})
			b.echo.GET("/", hello)
			group, _ := b.plugin("todo")
			group.GET("/", hello)
			for i, request := range test.requests {
				addr, path, _ := strings.Cut(request, " ")
				if rec := b.from(addr+":1234", path); rec.Code != test.statuses[i] {
					t.Errorf("request %d, %s: %d, want %d", i, request, rec.Code, test.statuses[i])
				}
			}
		})
	}
}

func redisURL(t *testing.T) string {
	t.Helper()
	url := os.Getenv("PORTICO_TEST_REDIS")
	if url == "" {
		url = "redis://127.0.0.1:6379"
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		message := fmt.Sprintf("no Redis server answers (%v); start one, or name one in the environment variable PORTICO_TEST_REDIS", err)
		if os.Getenv("PORTICO_TEST_REQUIRE") == "all" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return url
}

// With Redis the replicas of a backend count together.
func TestRateLimitInRedis(t *testing.T) {
	t.Parallel()
	url := redisURL(t)
	client := fmt.Sprintf("192.%d.%d.%d:1", time.Now().UnixNano()/65536%256, time.Now().UnixNano()/256%256, time.Now().UnixNano()%256)
	replica := func() *backend {
		b := newBackend(t, map[string]any{"rateLimit": map[string]any{
			"store": map[string]any{"type": "redis", "connection": url}, "incomingRequestLimit": 2, "window": 500, "skipFailedRequests": true,
		}})
		b.echo.GET("/", hello)
		return b.start()
	}
	one, two := replica(), replica()
	for i, want := range []int{200, 404, 200, 429} {
		path := "/"
		if want == 404 {
			path = "/nope"
		}
		if rec := []*backend{one, two}[i%2].from(client, path); rec.Code != want {
			t.Errorf("request %d: %d, want %d", i, rec.Code, want)
		}
	}
	deadline := time.After(10 * time.Second)
	for one.from(client, "/").Code != 200 {
		select {
		case <-deadline:
			t.Fatal("the window does not end")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestRateLimitWithoutStore(t *testing.T) {
	t.Parallel()
	for pass, want := range map[bool]int{true: 200, false: 500} {
		b := newBackend(t, map[string]any{"rateLimit": map[string]any{
			"store": map[string]any{"type": "redis", "connection": "redis://127.0.0.1:1?max_retries=-1&dial_timeout=1s"}, "passOnStoreError": pass,
		}})
		b.echo.GET("/", hello)
		b.start()
		if rec := b.from("192.0.2.1:1", "/"); rec.Code != want {
			t.Errorf("pass %v: %d %s", pass, rec.Code, rec.Body)
		}
	}
}

func TestTrustProxy(t *testing.T) {
	t.Parallel()
	const forwarded = "X-Forwarded-For: 198.51.100.9, 10.0.0.2, 192.168.1.1"
	for _, test := range []struct {
		trust  any
		remote string
		header string
		want   string
	}{
		{nil, "10.0.0.1:1", forwarded, "10.0.0.1"},
		{false, "10.0.0.1:1", forwarded, "10.0.0.1"},
		{true, "10.0.0.1:1", forwarded, "198.51.100.9"},
		{true, "10.0.0.1:1", "", "10.0.0.1"},
		{0, "10.0.0.1:1", forwarded, "10.0.0.1"},
		{1, "10.0.0.1:1", forwarded, "192.168.1.1"},
		{2, "10.0.0.1:1", forwarded, "10.0.0.2"},
		{9, "10.0.0.1:1", forwarded, "198.51.100.9"},
		{"loopback", "10.0.0.1:1", forwarded, "10.0.0.1"},
		{"loopback, uniquelocal", "10.0.0.1:1", forwarded, "198.51.100.9"},
		{"uniquelocal", "[::ffff:10.0.0.1]:1", forwarded, "198.51.100.9"},
		{[]any{"10.0.0.1", "192.168.0.0/16"}, "10.0.0.1:1", forwarded, "10.0.0.2"},
		{[]any{"10.0.0.1", "192.168.0.0/255.255.0.0"}, "10.0.0.1:1", forwarded, "10.0.0.2"},
		{true, "10.0.0.1:1", "X-Forwarded-For: evil, 192.0.2.7", "192.0.2.7"},
		{"linklocal", "[fe80::1]:1", "X-Forwarded-For: 192.0.2.7", "192.0.2.7"},
	} {
		settings := map[string]any{}
		if test.trust != nil {
			settings["trustProxy"] = test.trust
		}
		b := newBackend(t, settings)
		realIP := func(c echo.Context) error { return c.String(http.StatusOK, c.RealIP()) }
		b.echo.GET("/", realIP)
		group, _ := b.plugin("todo")
		group.GET("/", realIP)
		for _, path := range []string{"/", "/api/todo/"} {
			if got := b.from(test.remote, path, test.header).Body.String(); got != test.want {
				t.Errorf("trust %v, %s: %q, want %q", test.trust, path, got, test.want)
			}
		}
	}
}
