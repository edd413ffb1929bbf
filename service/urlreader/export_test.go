package urlreader

import (
	"net"
	"net/http"
)

// NewWithResolver is New with a resolver for the names of hosts.
func NewWithResolver(p Parameters, resolver *net.Resolver) (*Reader, error) {
	return newReader(p, resolver)
}

// Through has the reader's requests made by another transport: for forges whose addresses can't be configured.
func (r *Reader) Through(transport func(http.RoundTripper) http.RoundTripper) {
	c := r.sources[len(r.sources)-1].(*plain).client
	c.transport = transport(c.transport)
}
