package httprouter

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// trustProxy reads which proxies in front of the backend may tell the address of the client, as the setting "trust proxy" of Express
// does: false or nothing for none, true for all, a number of hops, or addresses, networks and the names loopback, linklocal and
// uniquelocal.
func (r *reader) trustProxy(key string) echo.IPExtractor {
	none := echo.ExtractIPDirect()
	var raw any
	if !r.decode(key, &raw) || raw == nil || raw == false {
		return none
	}
	if raw == true {
		return forwardedIP(func(string, int) bool { return true })
	}
	if hops, ok := number(raw); ok {
		if hops < 0 || hops != float64(int(hops)) {
			r.fail(key, "%v is not a number of proxies", raw)
		}
		return forwardedIP(func(_ string, i int) bool { return i < int(hops) })
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
	return forwardedIP(func(ip string, _ int) bool {
		addr, err := netip.ParseAddr(ip)
		return err == nil && slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr.Unmap()) })
	})
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

// forwardedIP finds the client by walking from the peer of the connection back through X-Forwarded-For, as long as trusted says so of
// the address and its distance.
func forwardedIP(trusted func(ip string, distance int) bool) echo.IPExtractor {
	direct := echo.ExtractIPDirect()
	return func(req *http.Request) string {
		ip := direct(req)
		hops := strings.Split(strings.Join(req.Header["X-Forwarded-For"], ","), ",")
		for distance, i := 0, len(hops)-1; i >= 0 && trusted(ip, distance); distance, i = distance+1, i-1 {
			hop := strings.TrimSpace(hops[i])
			if _, err := netip.ParseAddr(hop); err != nil {
				break
			}
			ip = hop
		}
		return ip
	}
}
