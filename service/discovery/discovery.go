package discovery

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

//go:embed schema.json
var schema []byte

// Services are the default services of this package.
func Services() []service.Service {
	return []service.Service{service.Root[service.Discovery](New, service.ConfigSchema(schema))}
}

// anyPlugin stands for all plugins without an entry of their own.
const anyPlugin = "*"

// Discovery implements service.Discovery.
type Discovery struct {
	server    *httprouter.Server
	resolver  *resolver
	endpoints atomic.Pointer[endpoints]
}

// endpoints are patterns by the id of a plugin, or by anyPlugin.
type endpoints struct{ internal, external map[string]*pattern }

// New returns a Discovery that follows the configuration until the lifecycle stops.
func New(config service.Config, server *httprouter.Server, clock clockwork.Clock, log service.RootLogger, lifecycle fx.Lifecycle) (*Discovery, error) {
	d := &Discovery{server: server, resolver: newResolver(net.DefaultResolver, clock)}
	if err := d.read(config); err != nil {
		return nil, err
	}
	cancel := config.Subscribe(func() {
		if err := d.read(config); err != nil {
			log.Error("The changed endpoints are not used, those before stay in force", slog.String("service", "discovery"), slog.Any("error", err))
		}
	})
	lifecycle.Append(fx.StopHook(cancel))
	return d, nil
}

// read takes the endpoints from the configuration.
func (d *Discovery) read(config service.Config) error {
	var settings struct {
		Endpoints []struct {
			Target  target   `schema:"required"`
			Plugins []string `schema:"required"`
		}
	}
	if err := config.Decode("discovery", &settings); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	all := &endpoints{internal: map[string]*pattern{}, external: map[string]*pattern{}}
	for _, e := range settings.Endpoints {
		for _, id := range e.Plugins {
			if e.Target.Internal.pattern != nil {
				all.internal[id] = e.Target.Internal.pattern
			}
			if e.Target.External.pattern != nil {
				all.external[id] = e.Target.External.pattern
			}
		}
	}
	d.endpoints.Store(all)
	return nil
}

// of is the pattern for the plugin, or nil.
func of(patterns map[string]*pattern, pluginID string) *pattern {
	if p, ok := patterns[pluginID]; ok {
		return p
	}
	return patterns[anyPlugin]
}

// BaseURL implements service.Discovery. Without an endpoint the plugin is at /api/<id> of the backend itself, whatever backend.baseUrl
// says, which may lead through proxies that are not for requests between plugins.
func (d *Discovery) BaseURL(ctx context.Context, pluginID string) (string, error) {
	p := of(d.endpoints.Load().internal, pluginID)
	switch {
	case p == nil:
		return d.server.LocalURL() + "/api/" + url.PathEscape(pluginID), nil
	case !p.srv:
		return p.base(pluginID), nil
	}
	base, err := d.resolver.resolve(ctx, p, pluginID)
	if err != nil {
		return "", fmt.Errorf("discovery: finding plugin %s by discovery.endpoints: %w", pluginID, err)
	}
	return base, nil
}

// ExternalBaseURL implements service.Discovery. Without an endpoint the plugin is at /api/<id> of backend.baseUrl.
func (d *Discovery) ExternalBaseURL(_ context.Context, pluginID string) (string, error) {
	if p := of(d.endpoints.Load().external, pluginID); p != nil {
		return p.base(pluginID), nil
	}
	return d.server.BaseURL() + "/api/" + url.PathEscape(pluginID), nil
}

// PluginAt tells which plugin has the URL at or below its internal base URL. For a plugin that is found by SRV records, that is on any of
// the hosts that they named last.
func (d *Discovery) PluginAt(u *url.URL) (pluginID string, ok bool) {
	address := u.Scheme + "://" + u.Host + u.EscapedPath()
	internal := d.endpoints.Load().internal
	longest := -1 // base URLs may be below others
	consider := func(id, base string) {
		if rest, below := strings.CutPrefix(address, base); below && (rest == "" || rest[0] == '/') && len(base) > longest {
			pluginID, longest = id, len(base)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(internal)) {
		if p := internal[id]; id != anyPlugin && !p.srv {
			consider(id, p.base(id))
		}
	}
	d.resolver.each(func(id string, p *pattern, base string) {
		if of(internal, id) == p { // it is still so
			consider(id, base)
		}
	})
	rest := internal[anyPlugin]
	if rest == nil {
		rest = &pattern{parts: []string{d.server.LocalURL() + "/api/", ""}}
	}
	if id := rest.id(address); id != "" && !rest.srv && internal[id] == nil {
		consider(id, rest.base(id))
	}
	return pluginID, longest >= 0
}
