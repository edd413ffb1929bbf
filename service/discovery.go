package service

import "context"

// Discovery tells where plugins can be reached: Backstage's core.discovery. URLs have no slash at their end. The plugin need not be part
// of this backend, nor exist. Safe for concurrent use.
//
// The HTTP clients of plugins have to know whose URL they call. They look for the id of the plugin among the segments of the path; an
// implementation whose base URLs don't show it there also has a method
//
//	PluginAt(u *url.URL) (pluginID string, ok bool)
//
// that tells which plugin has the URL at or below its internal base URL.
type Discovery interface {
	// BaseURL is the URL below which the plugin answers requests of other plugins ("http://localhost:7007/api/catalog"): Backstage's
	// getBaseUrl. Ask for it when it is needed, and don't keep it: it may change.
	BaseURL(ctx context.Context, pluginID string) (string, error)
	// ExternalBaseURL is the URL below which browsers and other programs reach the plugin ("https://portal.example.com/api/catalog"):
	// Backstage's getExternalBaseUrl.
	ExternalBaseURL(ctx context.Context, pluginID string) (string, error)
}
