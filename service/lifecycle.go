package service

import "context"

// RootLifecycle has hooks around the life of the whole backend: Backstage's core.rootLifecycle. Hooks of a plugin go to its
// fx.Lifecycle instead. Hooks are added while the backend starts; a hook that panics is logged, and counts as failed. Safe for
// concurrent use.
type RootLifecycle interface {
	// OnStarted adds a hook that runs after all plugins have started. If it fails, so does the start of the backend.
	OnStarted(hook func(context.Context) error)
	// BeforeShutdown adds a hook that runs when the backend begins to stop: readiness fails already, requests are still served.
	BeforeShutdown(hook func(context.Context) error)
	// OnShutdown adds a hook that runs after all plugins have stopped. Hooks run in reverse order.
	OnShutdown(hook func(context.Context) error)
}
