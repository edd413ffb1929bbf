package httprouter

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// parser_test.go is inside the package, for these parsers meet hostile input that the public way would filter or take long to bring.

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"7007", ":7007", "localhost:7007", "[::1]:7007", "::1:7007", "", ":", "0", "65536", "a:b:c", "[::1]", "１:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err != nil {
			return
		}
		if a.port < 0 || a.port > 65535 {
			t.Errorf("port %d", a.port)
		}
		again, err := parseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("%q is %+v, which reads as %+v, %v", s, a, again, err)
		}
		if _, port, err := net.SplitHostPort(a.String()); err != nil || port != strconv.Itoa(a.port) {
			t.Errorf("%q: %v", a, err)
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"/", "*", "/a", "/:x/b", "/a/*", "/a//b", "a", "/..", "/%2e"} {
		f.Add(s, "/a/b/../c")
	}
	f.Add("/public", "/public/%2E%2e/secret")
	f.Add("/public", "/public/a%2f../secret")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p := &policies{}
		if _, err := parsePattern(pattern); err != nil {
			return
		}
		p.AllowUnauthenticated(pattern)
		if strings.Trim(pattern, "/") == "" || pattern == "*" {
			if !p.unauthenticated.match(path) {
				t.Errorf("%q is closed by %q", path, pattern)
			}
			return
		}
		// What no cleaning can lead out of the open part has to begin with the pattern's first segment.
		if first, _, _ := strings.Cut(strings.Trim(pattern, "/"), "/"); p.unauthenticated.match(path) && first != "*" && !strings.HasPrefix(first, ":") {
			cleaned := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(path, "%2e", "."), "%2E", "."), "%2F", "/")
			if !strings.HasPrefix(strings.TrimPrefix(path, "/"), first) || strings.Contains("/"+cleaned+"/", "/../") {
				t.Errorf("%q is opened by %q", path, pattern)
			}
		}
	})
}

func FuzzParseNetwork(f *testing.F) {
	for _, s := range []string{"loopback", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "::1", "fe80::/10", "10.0.0.0/0.255.0.0", "::ffff:1.2.3.4/96", "fe80::1%eth0/10", "/", "1.2.3.4/-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		networks, err := parseNetwork(s)
		if err == nil && len(networks) == 0 {
			t.Errorf("%q is no network, and no error", s)
		}
		for _, n := range networks {
			if !n.IsValid() {
				t.Errorf("%q: %v", s, n)
			}
		}
	})
}

func FuzzForwardedIP(f *testing.F) {
	f.Add("198.51.100.9, 10.0.0.2", "10.0.0.1:1")
	f.Add(",, ,", "[::1]:1")
	f.Add("evil\x00, 1.2.3.4", "x")
	f.Fuzz(func(t *testing.T, header, remote string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {header}}}
		ip := proxies(func(string, int) bool { return true }).clientIP()(r)
		if _, err := netip.ParseAddr(ip); err != nil && !strings.Contains(remote, ip) {
			t.Errorf("%q of %q is no address", ip, header)
		}
	})
}

func FuzzAcceptsGzip(f *testing.F) {
	for _, s := range []string{"gzip", "gzip;q=0", "br;q=1, *;q=0.1", "*;q=0", "GZIP ; q = 1", ";;;", "gzip;q=NaN", "identity", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if acceptsGzip([]string{s}) && !strings.Contains(strings.ToLower(s), "gzip") && !strings.Contains(s, "*") {
			t.Errorf("%q", s)
		}
	})
}

func FuzzDirectives(f *testing.F) {
	f.Add("connectSrc", "'self'")
	f.Add("script-src", "a; b")
	f.Add("ſandbox", "a\nb")
	f.Fuzz(func(t *testing.T, name, source string) {
		values, err := directiveValues([]any{source})
		if err == nil && strings.ContainsAny(values[0], ";,\r\n\x00") {
			t.Errorf("%q", values)
		}
		if n := kebab(name); directiveName.MatchString(n) && strings.ContainsAny(n, " ;\r\n") {
			t.Errorf("%q", n)
		}
	})
}
