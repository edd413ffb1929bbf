package discovery

import (
	"context"
	"net/url"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

// Services are the default services of this package.
func Services() []service.Service {
	return []service.Service{service.Root[service.Discovery](New)}
}

// Discovery implements service.Discovery.
type Discovery struct{ server *httprouter.Server }

// New returns a Discovery for a backend that has all plugins in it.
func New(server *httprouter.Server) *Discovery { return &Discovery{server: server} }

// BaseURL implements service.Discovery: the plugin is at /api/<id> of the backend itself, whatever backend.baseUrl says, which may lead
// through proxies that are not for requests between plugins.
func (d *Discovery) BaseURL(_ context.Context, pluginID string) (string, error) {
	return d.server.LocalURL() + "/api/" + url.PathEscape(pluginID), nil
}
