// Package extension declares extension points: the places at which a plugin lets its modules take part.
//
// A plugin declares a [Point] in its public package and provides it with plugin.Provide; a module of that plugin asks for the
// point's type in its init function and registers what it brings. A module reaches only the extension points of its own plugin,
// and the plugin's init runs after its modules, so that it finds everything they registered.
package extension
