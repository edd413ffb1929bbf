package service

import "context"

// Discovery tells where plugins can be reached: Backstage's core.discovery. Safe for concurrent use.
type Discovery interface {
	// BaseURL is the URL below which the plugin answers requests of other plugins ("http://localhost:7007/api/catalog"), without a slash
	// at its end. The plugin need not be part of this backend, nor exist.
	BaseURL(ctx context.Context, pluginID string) (string, error)
}
