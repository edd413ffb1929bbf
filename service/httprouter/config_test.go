package httprouter_test

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/service/httprouter"
)

type object = map[string]any

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings object
		want     string // parts of the error
	}{
		{object{"listen": "localhost"}, `backend.listen: "localhost": "localhost" is not a port`},
		{object{"listen": ":70000"}, `backend.listen: ":70000": "70000" is not a port; a port is a number from 0 (any free one) to 65535`},
		{object{"listen": "::1:80"}, `backend.listen: "::1:80" is not an address`},
		{object{"listen": -1}, `backend.listen: "-1" is not a port`},
		{object{"listen": object{"port": "http"}}, `backend.listen.port: "http" is not a port`},
		{object{"listen": object{"host": 5}}, `backend.listen.host: 5 is not a string`},
		{object{"baseUrl": "portal.example.com"}, `backend.baseUrl: "portal.example.com" is not a URL`},
		{object{"baseUrl": "ftp://portal.example.com"}, `backend.baseUrl: "ftp://portal.example.com" is not a URL`},
		{object{"csp": object{"default-src": false}}, `backend.csp.default-src: a policy needs this directive`},
		{object{"csp": object{"script-src": "'self'"}}, `backend.csp.script-src: 'self' is neither a list of sources nor false`},
		{object{"csp": object{"script-src": []any{"a; b"}}}, `backend.csp.script-src: a; b is not a source`},
		{object{"csp": object{"script-src": []any{"a\r\nSet-Cookie: x"}}}, `is not a source`},
		{object{"csp": object{"script src": []any{"a"}}}, `backend.csp: "script src" is not the name of a directive`},
		{object{"referrer": object{"policy": []any{"none"}}}, `backend.referrer.policy: "none" is not a referrer policy; there are no-referrer,`},
		{object{"referrer": object{"policy": []any{"origin", "origin"}}}, `"origin" is there twice`},
		{object{"referrer": object{"policy": []any{}}}, `backend.referrer.policy: the list is empty`},
		{object{"cors": object{"origin": 5}}, `backend.cors.origin: 5 is neither a string nor a list of strings`},
		{object{"cors": object{"origin": []any{5}}}, `backend.cors.origin: item 0 is 5; all items have to be strings`},
		{object{"cors": object{"methods": object{}}}, `backend.cors.methods: map[] is neither a string nor a list of strings`},
		{object{"csp": object{"script-src": []any{5}}}, `backend.csp.script-src: 5 is not a source`},
		{object{"listen": true}, `backend.listen: "true" is not a port`},
		{object{"cors": object{"origin": "http://{a"}}, `backend.cors.origin: "http://{a" is not a pattern`},
		{object{"cors": object{"optionsSuccessStatus": 404}}, `backend.cors.optionsSuccessStatus: 404 is not a status of success`},
		{object{"cors": object{"maxAge": -1}}, `backend.cors.maxAge: -1 is negative`},
		{object{"trustProxy": "localhost"}, `backend.trustProxy: "localhost" is neither an address nor a network nor one of "loopback"`},
		{object{"trustProxy": "10.0.0.0/99"}, `backend.trustProxy: "10.0.0.0/99"`},
		{object{"trustProxy": "10.0.0.0/255.0.255.0"}, `backend.trustProxy: "10.0.0.0/255.0.255.0"`},
		{object{"trustProxy": -1}, `backend.trustProxy: -1 is not a number of proxies`},
		{object{"server": object{"timeout": -5}}, `backend.server.timeout: -5ms is negative`},
		{object{"server": object{"timeout": 1e300}}, `backend.server.timeout: 1e+300 milliseconds are not a time`},
		{object{"server": object{"timeout": "soon"}}, `soon`},
		{object{"server": object{"maxHeadersCount": -1}}, `backend.server.maxHeadersCount: -1 is negative`},
		{object{"rateLimit": 5}, `backend.rateLimit: 5 is neither true nor an object`},
		{object{"rateLimit": object{"window": 0}}, `backend.rateLimit.window: 0s is too short`},
		{object{"rateLimit": object{"ipAllowList": []any{"localhost"}}}, `backend.rateLimit.ipAllowList: "localhost" is not an IP address`},
		{object{"rateLimit": object{"plugin": object{"todo": object{"window": 0}}}}, `backend.rateLimit.plugin.todo.window: 0s is too short`},
		{object{"rateLimit": object{"store": object{"type": "mongo"}}}, `backend.rateLimit.store.type: "mongo" is not a store; there are "memory" and "redis"`},
		{object{"rateLimit": object{"store": object{"type": "redis"}}}, `backend.rateLimit.store.connection: is missing`},
		{object{"rateLimit": object{"store": object{"type": "redis", "connection": "http://user:hunter2@x"}}}, `backend.rateLimit.store.connection: is not the URL`},
	} {
		b := prepare(t, test.settings)
		err := fx.New(b.options()...).Err()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v\ngot  %v\nwant %s", test.settings, err, test.want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// All mistakes are told at once, and where they are.
func TestManyMistakes(t *testing.T) {
	t.Parallel()
	b := prepare(t, object{"listen": "x", "baseUrl": "y", "server": object{"timeout": -1}, "csp": object{"default-src": false}})
	err := fx.New(b.options()...).Err()
	for _, want := range []string{"app-config.yaml:1: backend.listen:", "app-config.yaml:1: backend.baseUrl:", "app-config.yaml:1: backend.server.timeout:", "backend.csp.default-src"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	for _, listen := range []any{"0", ":0", 0, "127.0.0.1:0", "localhost:0", "[::1]:0", object{"port": 0}, object{"port": "0"}, object{"host": "127.0.0.1", "port": 0}} {
		b := newBackend(t, object{"listen": listen})
		if b.server.Addr() != nil {
			t.Error("it listens before it has started")
		}
		if err := b.root.Start(t.Context()); err != nil {
			if strings.Contains(err.Error(), "cannot assign requested address") || strings.Contains(err.Error(), "not supported") {
				continue // no IPv6 here
			}
			t.Fatal(err)
		}
		u, err := url.Parse(b.server.BaseURL())
		if err != nil {
			t.Fatal(err)
		}
		port := b.server.Addr().(*net.TCPAddr).Port
		if got := b.get("/nope"); got.StatusCode != 404 || u.Port() != strconv.Itoa(port) || u.Scheme != "http" {
			t.Errorf("%v: %d from %s", listen, got.StatusCode, u)
		}
		b.client.CloseIdleConnections()
		b.root.RequireStop()
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		settings object
		want     string
	}{
		{object{"listen": ":7007"}, "http://localhost:7007"},
		{object{"listen": "0.0.0.0:80"}, "http://localhost:80"},
		{object{"listen": "[::]:80"}, "http://localhost:80"},
		{object{"listen": object{"host": "::1"}}, "http://[::1]:7007"},
		{object{"listen": object{"host": "portal"}, "https": true}, "https://portal:7007"},
		{object{"baseUrl": "https://portal.example.com/"}, "https://portal.example.com"},
	} {
		if got := newBackend(t, test.settings).server.BaseURL(); got != test.want {
			t.Errorf("%v: %s, want %s", test.settings, got, test.want)
		}
	}
	b := newBackend(t, object{"listen": "127.0.0.1:0", "baseUrl": "https://portal.example.com"}).start()
	if got, want := b.server.LocalURL(), "http://"+b.server.Addr().String(); got != want {
		t.Errorf("on this machine: %s, want %s", got, want)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	first := newBackend(t, nil).start()
	port := first.server.Addr().(*net.TCPAddr).Port
	second := newBackend(t, object{"listen": "127.0.0.1:" + strconv.Itoa(port)})
	err := second.root.Start(t.Context())
	want := "httprouter: port " + strconv.Itoa(port) + " is in use by another process; stop that one, or choose another port (configuration key backend.listen)"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	third := newBackend(t, object{"listen": "no-such-host.invalid:0"})
	if err := third.root.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "can't listen on no-such-host.invalid:0 (configuration key backend.listen)") {
		t.Errorf("%v", err)
	}
}

// The schemas have to be JSON, and to know what the server reads.
func TestSchema(t *testing.T) {
	t.Parallel()
	for _, s := range httprouter.Services() {
		for _, schema := range s.ConfigSchemas() {
			for _, key := range []string{"listen", "baseUrl", "https", "cors", "csp", "referrer", "server", "trustProxy", "rateLimit", "lifecycle"} {
				if !strings.Contains(string(schema), `"`+key+`"`) {
					t.Errorf("%s is missing", key)
				}
			}
		}
	}
}
