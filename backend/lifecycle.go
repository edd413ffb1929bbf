package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/internal/panics"
)

type hook = func(context.Context) error

// rootLifecycle is the service.RootLifecycle.
type rootLifecycle struct {
	mu                                   sync.Mutex
	started, beforeShutdown, afterPlugin []hook
}

// OnStarted implements service.RootLifecycle.
func (l *rootLifecycle) OnStarted(h func(context.Context) error) { l.add(&l.started, h) }

// BeforeShutdown implements service.RootLifecycle.
func (l *rootLifecycle) BeforeShutdown(h func(context.Context) error) { l.add(&l.beforeShutdown, h) }

// OnShutdown implements service.RootLifecycle.
func (l *rootLifecycle) OnShutdown(h func(context.Context) error) { l.add(&l.afterPlugin, h) }

func (l *rootLifecycle) add(hooks *[]hook, h hook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*hooks = append(*hooks, h)
}

// runStarted runs the OnStarted hooks in order, up to the first that fails.
func (l *rootLifecycle) runStarted(ctx context.Context) error {
	for _, h := range l.take(&l.started) {
		if err := contain(ctx, h); err != nil {
			return fmt.Errorf("OnStarted hook: %w", err)
		}
	}
	return nil
}

// runBeforeShutdown runs the BeforeShutdown hooks, last added first, and returns all their errors.
func (l *rootLifecycle) runBeforeShutdown(ctx context.Context) error {
	return runReverse(ctx, "BeforeShutdown", l.take(&l.beforeShutdown))
}

// runShutdown runs the OnShutdown hooks, last added first, and returns all their errors.
func (l *rootLifecycle) runShutdown(ctx context.Context) error {
	return runReverse(ctx, "OnShutdown", l.take(&l.afterPlugin))
}

func (l *rootLifecycle) take(hooks *[]hook) []hook {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := *hooks
	*hooks = nil
	return taken
}

func runReverse(ctx context.Context, kind string, hooks []hook) error {
	var errs []error
	for _, h := range slices.Backward(hooks) {
		if err := wiring.Bounded(ctx, hookTimeout, h); err != nil {
			errs = append(errs, fmt.Errorf("%s hook: %w", kind, err))
		}
	}
	return errors.Join(errs...)
}

func contain(ctx context.Context, h hook) (err error) {
	defer panics.Recover(&err)
	return h(ctx)
}
