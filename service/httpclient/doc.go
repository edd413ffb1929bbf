// Package httpclient is how plugins call each other: the *http.Client of each plugin.
//
// A plugin asks service.Discovery for the URL of another plugin, and requests what it needs there. The client adds a token that says
// which plugin calls, and for whom if the context says so (service.OnBehalfOf). Requests that bring an Authorization header, and those
// to URLs that belong to no plugin, get none.
//
// A plugin may also run in another backend, where discovery.endpoints says: the request goes there over the network. If nobody listens, the
// error is a service.ServiceUnavailableError that names the plugin. See examples/split.
//
// Plugins of the same backend are not called over the network: the request is handed to the handler in memory. Nobody has to care,
// because it is the same to both sides: headers, bodies that stream in both directions, trailers, cancellation, and errors after the
// beginning of an answer. Values of the context stay on the side of the caller.
package httpclient
