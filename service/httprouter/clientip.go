package httprouter

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// proxies tell whether the peer of a connection (distance 0), or what is a number of hops behind it, is a proxy whose word is taken.
type proxies func(ip string, distance int) bool

// trustProxy reads which proxies in front of the backend may tell the address of the client, as the setting "trust proxy" of Express
// does: false or nothing for none, true for all, a number of hops, or addresses, networks and the names loopback, linklocal and
// uniquelocal.
func (r *reader) trustProxy(key string) proxies {
	none := func(string, int) bool { return false }
	var raw any
	if !r.decode(key, &raw) || raw == nil || raw == false {
		return none
	}
	if raw == true {
		return func(string, int) bool { return true }
	}
	if hops, ok := number(raw); ok {
		if hops < 0 || hops != float64(int(hops)) {
			r.fail(key, "%v is not a number of proxies", raw)
		}
		return func(_ string, i int) bool { return i < int(hops) }
	}
	var networks []netip.Prefix
	for _, item := range r.list(key) {
		for _, name := range strings.Split(item, ",") {
			found, err := parseNetwork(strings.TrimSpace(name))
			if err != nil {
				r.fail(key, "%w", err)
			}
			networks = append(networks, found...)
		}
	}
	return func(ip string, _ int) bool {
		addr, err := netip.ParseAddr(ip)
		return err == nil && slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr.Unmap()) })
	}
}

// parseNetwork reads an address, a network ("10.0.0.0/8", "10.0.0.0/255.0.0.0") or the name of some.
func parseNetwork(s string) ([]netip.Prefix, error) {
	prefixes := func(list ...string) (all []netip.Prefix) {
		for _, p := range list {
			all = append(all, netip.MustParsePrefix(p))
		}
		return all
	}
	switch s {
	case "loopback":
		return prefixes("127.0.0.0/8", "::1/128"), nil
	case "linklocal":
		return prefixes("169.254.0.0/16", "fe80::/10"), nil
	case "uniquelocal":
		return prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"), nil
	}
	ip, mask, hasMask := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(ip)
	bits := addr.BitLen()
	if err == nil && hasMask {
		if bits, err = strconv.Atoi(mask); err != nil {
			var dotted netip.Addr
			if dotted, err = netip.ParseAddr(mask); err == nil && dotted.Is4() {
				var size int
				if bits, size = net.IPMask(dotted.AsSlice()).Size(); size == 0 {
					err = fmt.Errorf("%q is not a mask", mask)
				}
			}
		}
	}
	var prefix netip.Prefix
	if err == nil {
		prefix, err = addr.Prefix(bits)
	}
	if err != nil {
		return nil, fmt.Errorf(`%q is neither an address nor a network nor one of "loopback", "linklocal" and "uniquelocal"`, s)
	}
	return []netip.Prefix{prefix}, nil
}

// clientIP finds the client by walking from the peer of the connection back through X-Forwarded-For, as long as the proxies are trusted.
func (trusted proxies) clientIP() echo.IPExtractor {
	direct := echo.ExtractIPDirect()
	return func(req *http.Request) string {
		ip := direct(req)
		forwarded := req.Header["X-Forwarded-For"]
		if len(forwarded) == 0 {
			return ip
		}
		hops := strings.Split(strings.Join(forwarded, ","), ",")
		for distance, i := 0, len(hops)-1; i >= 0 && trusted(ip, distance); distance, i = distance+1, i-1 {
			hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break
			}
			ip = hop.WithZone("").String()
		}
		return ip
	}
}

// hostname is the host that the client asked, without the port: of X-Forwarded-Host, if the peer of the connection is a trusted proxy.
func (trusted proxies) hostname(r *http.Request) string {
	host := r.Host
	if forwarded, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Host"), ","); forwarded != "" && trusted(echo.ExtractIPDirect()(r), 0) {
		host = strings.TrimSpace(forwarded)
	}
	return (&url.URL{Host: host}).Hostname()
}
