// Package discovery is the default service.Discovery: Backstage's HostDiscovery.
//
// Plugins are in this backend unless discovery.endpoints says otherwise:
//
//	discovery:
//	  endpoints:
//	    - target: https://catalog.internal.example.com/api/{{pluginId}} # for other plugins and for browsers
//	      plugins: [catalog]
//	    - target:
//	        internal: http+srv://portal-{{pluginId}}.service.consul/api/{{pluginId}} # hosts and ports are in SRV records
//	        external: https://portal.example.com/api/{{pluginId}}
//	      plugins: ['*'] # all that have no entry of their own
//
// A later entry for the same plugin wins. Without one, the internal URL of a plugin is that of this backend's own listener, whatever
// backend.baseUrl says, and the external one is below backend.baseUrl. Changes of the configuration are followed.
//
// An entry for a plugin that also runs in this backend has requests go out to that URL, as in Backstage. If that is the URL of this very
// backend, they stay in memory.
package discovery
