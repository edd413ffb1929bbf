// Package backendtest runs a backend in a test, in one line.
//
//	func TestPlugin(t *testing.T) {
//		b := backendtest.Start(t, todo.Plugin())
//		res := b.As(t, "user:default/guest").Get("/api/todo/items")
//		…
//	}
//
// The backend is a real one, with real HTTP on a free port, except that its databases and caches are in memory, its log is recorded
// ([Backend.Log]), its clock stands still until the test moves it ([Backend.Clock]), which tasks follow unless the test runs them
// ([Backend.RunTask]), events stay in the process ([Backend.Publish]), audit events are recorded ([Backend.AuditEntries]), tokens are made
// by the test ([Backend.As], [Backend.AsService]), and users may do everything unless the test decides otherwise ([Permissions]). Plugins
// that call the catalog find it empty, unless catalog.Plugin() is among the features or catalogtest.Service
// has put something in it. A service that is given to [Start] replaces these too. When the test ends, the backend is stopped, and the test
// fails if a goroutine of it is left; the log is printed if the test has failed.
//
// A module is tested alone with [ExtensionPoint], which stands in for its plugin. [EachDatabase] and [EachCache] run a test on every
// server that is available.
package backendtest
