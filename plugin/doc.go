// Package plugin is what the author of a plugin or a module writes against.
//
// A plugin is a part of the portal with an id, its own routes below /api/<id>, its own logical database, cache and logger. A
// module extends one plugin through the plugin's extension points. Both are descriptions: functions whose parameters say what they
// depend on. Describing runs nothing; a backend that the description is added to wires and runs it.
//
//	func Plugin() plugin.Plugin {
//		return plugin.New("todo",
//			plugin.Migrations(migrations),
//			plugin.Provide(SourcesPoint, newSources),
//			plugin.Init(start),
//		)
//	}
//
//	func start(router *echo.Group, db *bun.DB, log *slog.Logger, sources *sources) error { … }
//
// # Dependencies
//
// A parameter of an init function or of a constructor is a service (identified by its Go type), the [Metadata] of the plugin, an
// fx.Lifecycle for start-up and shutdown hooks, or, in a module, an extension point of its plugin. A struct that embeds fx.In works
// too, with `optional:"true"` for what may be absent. A context.Context ends when the backend begins to stop.
//
// # Life
//
// Plugins start side by side. Within one: its migrations, then the init functions of its modules (a module that provides an extension
// point after those that use it), then its own, then the OnStart hooks in the order in which they were appended. On stop, the OnStop
// hooks run in reverse. A hook without OnStart releases what its constructor acquired: it also runs when the start fails.
package plugin
