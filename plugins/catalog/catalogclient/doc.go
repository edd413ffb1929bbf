// Package catalogclient calls the catalog plugin over the wire, wherever it runs.
//
// A plugin or module asks for a *[Client] like for a service; nothing has to be added to the backend for it.
//
//	func start(router *echo.Group, catalog *catalogclient.Client) error { … }
package catalogclient
