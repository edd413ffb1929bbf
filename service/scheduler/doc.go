// Package scheduler is the default service.Scheduler: it runs the recurring work of a plugin in this process.
package scheduler
