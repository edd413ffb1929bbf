package service

import (
	"context"
	"time"
)

// State is where a backend, a plugin or a module is in its life.
type State string

// The states of a backend, a plugin or a module.
const (
	// StateStarting is the state from the beginning until the start has succeeded or failed.
	StateStarting State = "starting"
	// StateRunning is the state after a start without errors.
	StateRunning State = "running"
	// StateFailed is the state after a start with errors.
	StateFailed State = "failed"
	// StateStopping is the state from the beginning of the stop.
	StateStopping State = "stopping"
	// StateStopped is the state after the stop.
	StateStopped State = "stopped"
)

// Status tells how the start of a backend, a plugin or a module went, and in which state it is.
type Status struct {
	// ID is the id of the plugin, or of the module within its plugin; empty for the backend.
	ID string
	// State is the present state.
	State State
	// Err is why the start failed, or nil.
	Err error
	// Duration is how long the start took; while starting, how long it has taken so far.
	Duration time.Duration
	// Modules are the modules of a plugin, ordered by id. They are not to be changed.
	Modules []Status
}

// Instance tells what runs in this backend: Backstage's core.rootInstanceMetadata, and the states of all of it. Safe for concurrent
// use.
type Instance interface {
	// Status is the state of the backend as a whole: StateRunning when all plugins have started that must.
	Status() Status
	// Plugins are the plugins with their modules, ordered by id.
	Plugins() []Status
	// Plugin is the status of one plugin. It answers false for a plugin that is not in this backend.
	Plugin(id string) (Status, bool)
	// Await waits while the plugin is starting and returns its state then. It returns the context's error when ctx ends first.
	Await(ctx context.Context, pluginID string) (State, error)
}
