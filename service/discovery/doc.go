// Package discovery is the default service.Discovery: it finds plugins in the backend itself.
package discovery
