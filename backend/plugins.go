package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/internal/panics"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// runningPlugin is a plugin whose container has been made.
type runningPlugin struct {
	*wiring.Plugin
	container *wiring.Container
}

// startPlugins starts the plugins side by side. The error is a *StartError if any failed that must not.
func (b *Backend) startPlugins(ctx context.Context, plan *wiring.Plan) error {
	policy, err := readPolicy(b.config)
	if err != nil {
		return err
	}
	progress := b.reportProgress()
	defer progress()
	b.plugins = make([]*runningPlugin, len(plan.Plugins))
	var all sync.WaitGroup
	for n, pl := range plan.Plugins {
		b.plugins[n] = &runningPlugin{Plugin: pl}
		all.Go(func() {
			err := b.startPlugin(ctx, plan, b.plugins[n], policy)
			b.instance.setStarted(pl.ID(), err)
			b.logOutcome(pl.ID(), policy)
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("starting the plugins: %w", err)
	}
	failed := &StartError{}
	for _, status := range b.instance.Plugins() {
		if policy.aborts(status) {
			failed.Plugins = append(failed.Plugins, status)
		}
	}
	if len(failed.Plugins) > 0 {
		return failed
	}
	return nil
}

// startPlugin makes the container of a plugin, which runs the inits of its modules and its own, and then its start-up hooks.
func (b *Backend) startPlugin(ctx context.Context, plan *wiring.Plan, pl *runningPlugin, policy policy) error {
	values := wiring.Values{}
	wiring.Set(values, plugin.Metadata{ID: pl.ID()})
	var own, modules []error
	var err error
	pl.container, err = plan.Plugin(pl.Plugin, b.root, values, wiring.Lifecycle{Owner: pl.String(), StopTimeout: hookTimeout},
		func(module string, err error, took time.Duration) {
			if module == "" {
				own = append(own, err)
				return
			}
			b.instance.setModule(pl.ID(), module, err, took)
			if err != nil && policy.module(pl.ID(), module) == abort {
				modules = append(modules, fmt.Errorf("module %s failed to start", module))
			}
		})
	if err := errors.Join(append(own, err)...); err != nil {
		return err
	}
	if len(modules) > 0 {
		return errors.Join(modules...)
	}
	return pl.container.Start(ctx)
}

// stopPlugins stops the plugins side by side and returns all errors.
func (b *Backend) stopPlugins(ctx context.Context) error {
	errs := make([]error, len(b.plugins))
	var all sync.WaitGroup
	for n, pl := range b.plugins {
		if pl == nil || pl.container == nil {
			continue
		}
		all.Go(func() {
			errs[n] = errors.Join(pl.container.Stop(ctx), pl.container.Abandon(ctx))
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// logOutcome logs how the start of a plugin and its modules went.
func (b *Backend) logOutcome(id string, policy policy) {
	status, _ := b.instance.Plugin(id)
	for _, m := range status.Modules {
		if m.Err != nil {
			b.logFailure(fmt.Sprintf("module %s/%s failed to start", id, m.ID), id, m.Err, policy.module(id, m.ID))
		}
	}
	if status.Err != nil {
		b.logFailure(fmt.Sprintf("plugin %s failed to start", id), id, status.Err, policy.plugin(id))
		return
	}
	b.log.Debug(fmt.Sprintf("plugin %s started in %s", id, status.Duration.Round(time.Microsecond)), "plugin", id)
}

func (b *Backend) logFailure(message, id string, err error, then reaction) {
	if then == proceed {
		message += ", and the backend goes on without it, as configured"
	}
	b.log.Error(message, panics.Attrs(err, "plugin", id)...)
}

// reportProgress logs now and then which plugins are still starting, until the returned function is called.
func (b *Backend) reportProgress() (stop func()) {
	done := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		for interval := time.Second; ; interval = min(2*interval, time.Minute) {
			select {
			case <-done:
				return
			case <-time.After(interval):
			}
			var waiting []string
			for _, p := range b.instance.Plugins() {
				if p.State == service.StateStarting {
					waiting = append(waiting, p.ID)
				}
			}
			b.log.Info("plugins are still starting: " + strings.Join(waiting, ", "))
		}
	})
	return func() {
		close(done)
		reporter.Wait()
	}
}
