// Package catalogclient calls the catalog plugin over the wire, wherever it runs.
//
// A plugin or module asks for a *[Client] like for a service; nothing has to be added to the backend for it.
//
//	func start(router *echo.Group, catalog *catalogclient.Client) error { … }
//
// Requests are made as the plugin. To make them for a user, use a context from service.OnBehalfOf.
//
// # Asking for entities
//
// Conditions are either filters, as in the parameter filter of the catalog's API, or a predicate. A filter is a list of which one must hold:
//
//	catalogclient.Query{Filter: []string{"kind=component,spec.type=service", "kind=api"}}
//
// A predicate is a JSON value, which can say more:
//
//	catalogclient.Query{Where: map[string]any{"$all": []any{
//		map[string]any{"kind": "component"},
//		map[string]any{"$not": map[string]any{"spec.lifecycle": "deprecated"}},
//	}}}
//
// [Client.Entities] answers all at once, [Client.Query] page by page, [Client.All] one after the other.
package catalogclient
