// Package egress keeps requests to the outside from reaching what is inside: addresses of the machine, of the network and of the cloud
// that no one has named in the configuration.
package egress

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/portico-dev/portico/service"
)

const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 60 * time.Second
)

// Policy says where requests may go, beside public addresses.
type Policy struct {
	// Named are the hosts that the configuration names, without wildcards. They may have private addresses.
	Named map[string]bool
	// Fix tells what to do about a host that has a private address and is not named.
	Fix string
	// Resolver resolves the names of hosts; nil is that of the system.
	Resolver *net.Resolver
}

// guard decides which addresses may be connected to. It looks at the address itself, when the connection is about to be made: a name
// that meant another address when it was looked at before gains nothing.
type guard struct{ Policy }

// NewTransport makes a transport that keeps to the policy. What it refuses is a NotAllowedError. A URL whose host is an address must have been
// checked before. Proxies are those of the environment, as the configuration of Backstage has them.
func NewTransport(policy Policy) *http.Transport {
	proxies := httpproxy.FromEnvironment()
	hosts := map[string]bool{}
	for host := range policy.Named {
		hosts[host] = true
	}
	for _, proxy := range []string{proxies.HTTPProxy, proxies.HTTPSProxy} {
		if !strings.Contains(proxy, "://") {
			proxy = "http://" + proxy
		}
		if u, err := url.Parse(proxy); err == nil && u.Hostname() != "" {
			hosts[u.Hostname()] = true
		}
	}
	policy.Named = hosts
	g := &guard{policy}
	choose := proxies.ProxyFunc()
	return &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return choose(r.URL) },
		DialContext:           g.dial,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   10,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		ExpectContinueTimeout: time.Second,
	}
}

func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{
		Timeout:  dialTimeout,
		Resolver: g.Resolver,
		ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			return g.check(host, resolved)
		},
	}
	return d.DialContext(ctx, network, address)
}

// check tells whether a host may be at an address.
func (g *guard) check(host, resolved string) error {
	at, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return service.NotAllowedError.Errorf("%s: %q is not an address", host, resolved)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil // the URL was allowed, with this very address
	}
	ip := embedded(at.Addr())
	switch {
	case neverAllowed(ip):
		return service.NotAllowedError.Errorf("%s must not be reached: its address %s belongs to the machine or network itself", host, ip)
	case isPublic(ip), g.Named[host]:
		return nil
	}
	return service.NotAllowedError.Errorf("%s must not be reached: its address %s is private, and the configuration doesn't name this host; %s", host, ip, g.Fix)
}

// embedded is the IPv4 address that an IPv6 address stands for, or the address itself.
func embedded(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if !ip.Is6() {
		return ip
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip), ip != netip.IPv6Loopback() && !ip.IsUnspecified() && compatible.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	compatible = netip.MustParsePrefix("::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	// metadata are the services of clouds that give credentials to whoever asks, as far as they are not link-local.
	metadata = []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),
		netip.MustParseAddr("fd20:ce::254"),
		netip.MustParseAddr("100.100.100.200"),
		netip.MustParseAddr("168.63.129.16"),
		netip.MustParseAddr("192.0.0.192"),
	}
	// reserved are networks that are not public, beside those that package netip knows. See the IANA registries of special-purpose
	// addresses.
	reserved = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("64:ff9b:1::/48"),
		netip.MustParsePrefix("100::/64"),
		netip.MustParsePrefix("2001::/23"),
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("fec0::/10"),
	}
)

// neverAllowed tells whether no name may lead to the address.
func neverAllowed(ip netip.Addr) bool {
	return ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() || slices.Contains(metadata, ip)
}

func isPublic(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(ip) })
}
