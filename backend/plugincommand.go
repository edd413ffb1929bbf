package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/alecthomas/kong"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// pluginCommands are the commands that plugins bring.
func (c *command) pluginCommands() []kong.Option {
	var options []kong.Option
	for _, f := range c.features {
		if p, ok := f.(plugin.Plugin); ok && p.Spec().Commands != nil {
			options = append(options, kong.DynamicCommand(p.ID(), p.Spec().CommandsHelp, "", p.Spec().Commands()))
		}
	}
	return options
}

// runCommand runs the command of a plugin: its method Run, in a container like the one in which the plugin would start. Of the other plugins
// nothing is made, so that calls to them, and to the plugin itself, go to the backend that runs elsewhere.
func (b *Backend) runCommand(ctx context.Context, w io.Writer, pluginID string, target reflect.Value) (err error) {
	run := target.MethodByName("Run")
	if !run.IsValid() {
		return fmt.Errorf("command %s of plugin %s has no method Run", target.Type(), pluginID)
	}
	cfg, features, err := b.loadConfig(ctx)
	if err != nil {
		return err
	}
	sorted, err := expand(ctx, cfg, features)
	if closer, ok := cfg.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	if err != nil {
		return err
	}
	alone := New(b.options)
	alone.quiet = true
	alone.Add(
		plugin.New(pluginID, plugin.Init(run.Interface())),
		service.Root[plugin.Output](func() plugin.Output { return plugin.Output{Writer: w} }),
	)
	for _, s := range sorted.Services {
		alone.Add(s)
	}
	return alone.runAlone(ctx)
}

// runAlone makes the container of the only plugin, which runs its init, and takes everything down again.
func (b *Backend) runAlone(ctx context.Context) (err error) {
	plan, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	lifetime, cancel := context.WithCancel(ctx)
	b.cancel = cancel
	defer func() { err = errors.Join(err, b.stop(context.WithoutCancel(ctx))) }()
	values := wiring.Values{}
	b.rootValues(lifetime, values)
	b.root, err = plan.Root(values, wiring.Lifecycle{Owner: "the root services", StopTimeout: hookTimeout}, rootTypes...)
	if err != nil {
		return err
	}
	pl := plan.Plugins[0]
	values = wiring.Values{}
	wiring.Set(values, plugin.Metadata{ID: pl.ID()})
	var failed []error
	c, err := plan.Plugin(pl, b.root, values, wiring.Lifecycle{Owner: pl.String(), StopTimeout: hookTimeout},
		func(_ string, err error, _ time.Duration) { failed = append(failed, err) })
	b.plugins = append(b.plugins, &runningPlugin{Plugin: pl, container: c})
	return errors.Join(append(failed, err)...)
}
