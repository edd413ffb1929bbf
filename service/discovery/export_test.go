package discovery

import (
	"net"

	"github.com/jonboulle/clockwork"
)

// UseDNS has SRV records looked up by the resolver.
func (d *Discovery) UseDNS(dns *net.Resolver, clock clockwork.Clock) {
	d.resolver = newResolver(dns, clock)
}
