// Package urlreader is the default service.URLReader: it reads files and trees of files from GitHub, GitLab, Bitbucket Cloud and Server,
// Azure DevOps, Gitea, Gerrit, and plain HTTP servers.
//
//	func load(reader service.URLReader) error {
//		file, err := reader.ReadURL(ctx, "https://github.com/acme/shop/blob/main/catalog-info.yaml", service.URLReadOptions{ETag: seen})
//		if errors.Is(err, service.NotModifiedError) { … }
//
// # Configuration
//
// Forges are those of package integration. The keys for plain HTTP are Backstage's, except for limits; there is no reader of local files.
//
//	backend:
//	  workingDirectory: /var/tmp   # for archives that can't be read as they arrive
//	  reading:
//	    allow:
//	      - host: example.com                # the usual ports
//	        paths: [/docs/, /catalog.yaml]   # default: all
//	      - host: '*.example.org'
//	      - host: localhost:8000-8100
//	    limits: { maxFileSize: 67108864, maxTreeSize: 2147483648, maxTreeFiles: 500000 }
//
// Proxies are those of HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
//
// # What is refused
//
// URLs are given by users, and servers may be hostile. A request goes only to hosts that the configuration names or allows, and so does
// each redirect, of which there may be five. Names are looked at again when the connection is made, by the address that they have then:
// link-local addresses and the metadata services of clouds are never read by name; private and loopback addresses only for hosts that
// the configuration names without a wildcard. Behind a proxy, that is up to the proxy. Credentials go to the servers of their
// integration, never along a redirect to another one, and appear in no error.
//
// Archives are read as they arrive, with bounds on the number of entries, their sizes, their sum and the rate of compression. Entries
// that lead out of the archive are errors. Tree.Extract writes nothing outside of its directory, and leaves no symbolic link that leads
// out of it.
//
// # Waiting
//
// An answer that says when to come back (429; 403 and 503 with Retry-After; an exhausted X-RateLimit-Remaining) is waited for, if that
// is within 30 seconds, up to two times; otherwise the error is a service.ServiceUnavailableError that tells when. The retry settings of
// GitLab integrations come on top. A server has 10 seconds to accept a connection, 60 to begin an answer and 60 for each further
// part of it.
package urlreader
