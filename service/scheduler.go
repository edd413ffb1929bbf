package service

import (
	"context"
	"time"
)

// Scheduler runs recurring work of a plugin: Backstage's core.scheduler. Safe for concurrent use.
type Scheduler interface {
	// Schedule adds a task. It starts when the plugin has started, its start-up hooks included, or at once if it has already. An incomplete
	// task and one whose id the plugin has used already are errors.
	Schedule(task Task) error
}

// Task is a piece of recurring work.
type Task struct {
	// ID names the task; it is unique within the plugin. Required.
	ID string
	// Every is the time from the beginning of one run to the beginning of the next. A run that takes longer delays the next one; runs
	// of one task never overlap. Required, at least one millisecond.
	Every time.Duration
	// InitialDelay is the time before the first run.
	InitialDelay time.Duration
	// Timeout ends the context of a run that takes longer. Zero means no limit.
	Timeout time.Duration
	// Run does the work. It must return soon after its context ends, which it does on shutdown too. An error is logged, as is a panic; the
	// task goes on. Required.
	Run func(context.Context) error
}
