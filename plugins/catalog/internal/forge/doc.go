// Package forge is what the catalog's modules for forges share: a [Client] for their APIs, and the patterns that choose repositories and
// files.
//
// The APIs are asked with net/http and encoding/json. The vendors' client libraries would be the largest dependencies of a portal, for
// half a dozen requests, and neither waits for rate limits by the clock of the backend nor gives up a list of which a page is missing.
package forge
