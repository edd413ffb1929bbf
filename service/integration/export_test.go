package integration

import "net/http"

// Through has requests for tokens made by another transport: for those whose addresses can't be configured.
func (i *Integrations) Through(transport http.RoundTripper) {
	i.BitbucketCloud[0].tokens.http.Transport = transport
}
