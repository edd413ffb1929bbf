package wiring

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/internal/panics"
)

// Lifecycle says how the hooks of a container run.
type Lifecycle struct {
	// Owner names the container in errors of hooks ("plugin catalog").
	Owner string
	// StopTimeout is how long one OnStop hook may take before the others go on without it.
	StopTimeout time.Duration
}

// lifecycle is the fx.Lifecycle that constructors and init functions get: it contains panics, says whose hook failed, and limits how
// long a hook can hold up the stop.
type lifecycle struct {
	Lifecycle
	inner fx.Lifecycle

	mu    sync.Mutex
	hooks []fx.Hook
}

// Append adds a hook.
func (l *lifecycle) Append(h fx.Hook) {
	guarded := fx.Hook{}
	if h.OnStart != nil {
		guarded.OnStart = func(ctx context.Context) error { return l.start(ctx, h.OnStart) }
	}
	if h.OnStop != nil {
		var once sync.Once // after a failed start both fx and abandon want to run it
		guarded.OnStop = func(ctx context.Context) (err error) {
			once.Do(func() { err = l.stop(ctx, h.OnStop) })
			return err
		}
	}
	l.mu.Lock()
	l.hooks = append(l.hooks, guarded)
	l.mu.Unlock()
	l.inner.Append(guarded)
}

func (l *lifecycle) start(ctx context.Context, hook func(context.Context) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("start-up hook %s of %s: %w", location(reflect.ValueOf(hook)), l.Owner, err)
		}
	}()
	defer panics.Recover(&err)
	return hook(ctx)
}

func (l *lifecycle) stop(ctx context.Context, hook func(context.Context) error) error {
	if err := Bounded(ctx, l.StopTimeout, hook); err != nil {
		return fmt.Errorf("shutdown hook %s of %s: %w", location(reflect.ValueOf(hook)), l.Owner, err)
	}
	return nil
}

// Bounded runs a shutdown hook with a deadline. It runs in a goroutine of its own, as one that ignores its context must not keep the
// others from running; such a goroutine is left behind, and the error says so. A panic is returned as a *panics.Error.
func Bounded(ctx context.Context, timeout time.Duration, hook func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer panics.Recover(&err)
		err = hook(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(hookGrace):
		return errors.New("did not return after its deadline and was left behind")
	}
}

// hookGrace is the time a hook has to return after its context has ended.
const hookGrace = 100 * time.Millisecond

// abandon runs the OnStop hooks that have no OnStart, in reverse.
func (l *lifecycle) abandon(ctx context.Context) error {
	l.mu.Lock()
	hooks := slices.Clone(l.hooks)
	l.mu.Unlock()
	var errs []error
	for _, h := range slices.Backward(hooks) {
		if h.OnStart == nil && h.OnStop != nil {
			errs = append(errs, h.OnStop(ctx))
		}
	}
	return errors.Join(errs...)
}
