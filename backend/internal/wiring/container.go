package wiring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
)

// Values are what the backend itself provides in a container, by type.
type Values map[reflect.Type]reflect.Value

// Set adds the value of type T.
func Set[T any](values Values, value T) {
	values[reflect.TypeFor[T]()] = reflect.ValueOf(&value).Elem()
}

// step is one thing that runs in a container when it is made: the migrations, the init of a module or that of the plugin.
type step struct {
	module    string // empty for the plugin itself
	essential bool   // without it, no later step may run
	functions []*function
}

// Container is the fx container of the root services or of one plugin. It is made by Plan.Root or Plan.Plugin; its methods are not
// safe for concurrent use.
type Container struct {
	app       *fx.App
	lifecycle *lifecycle
	values    Values
	// failed has, for each type that could not be made, why. Errors are kept beside the values instead of going through fx, which would
	// end at the first one: so a service that fails takes down only what asks for it.
	failed map[reflect.Type]error
	// broken is the error of an essential step.
	broken error
}

// Root makes the container of the root services: those of the given types, those that are eager, those that plugins reach, and those
// that they need. A container is returned with an error too, to be abandoned.
func (p *Plan) Root(values Values, l Lifecycle, wanted ...reflect.Type) (*Container, error) {
	var needs []param
	for _, typ := range wanted {
		needs = append(needs, param{typ: typ})
	}
	for _, s := range p.services {
		if s.eager && s.scope == service.ScopeRoot {
			needs = append(needs, param{typ: s.typ})
		}
	}
	for _, pl := range p.Plugins {
		for _, s := range p.reach(pl, p.pluginNeeds(pl)) {
			if s.scope == service.ScopeRoot {
				needs = append(needs, param{typ: s.typ})
			}
		}
	}
	providers := p.reach(nil, needs)
	c := newContainer(l)
	var steps []any
	for _, s := range providers {
		steps = append(steps, c.collect(s.typ))
	}
	c.app = fx.New(append(c.options(values, providers), fx.Invoke(steps...))...)
	for typ, v := range values {
		c.values[typ] = v
	}
	var errs []error
	for _, s := range providers { // in the order of their declaration, not of the map
		if err := c.failed[s.typ]; err != nil && !slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) }) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	return c, c.app.Err()
}

// collect is a function for fx.Invoke that keeps the value of the type.
func (c *Container) collect(typ reflect.Type) any {
	return reflect.MakeFunc(reflect.FuncOf([]reflect.Type{typ}, nil, false), func(args []reflect.Value) []reflect.Value {
		c.values[typ] = args[0]
		return nil
	}).Interface()
}

// Value is the value of type T in the root container. It answers false if nobody reached it.
func Value[T any](c *Container) (T, bool) {
	v, ok := c.values[reflect.TypeFor[T]()]
	if !ok {
		var zero T
		return zero, false
	}
	t, ok := v.Interface().(T)
	return t, ok
}

// pluginNeeds is what a plugin and its modules ask for.
func (p *Plan) pluginNeeds(pl *Plugin) []param {
	var needs []param
	for _, f := range p.steps(pl) {
		for _, fn := range f.functions {
			needs = append(needs, fn.params...)
		}
	}
	for _, s := range p.services {
		if s.eager && s.scope == service.ScopePlugin {
			needs = append(needs, param{typ: s.typ})
		}
	}
	return needs
}

// steps are what runs in the container of a plugin, in order: migrations, modules, the plugin.
func (p *Plan) steps(pl *Plugin) []step {
	var steps []step
	if p.migrate != nil && len(pl.Migrations()) > 0 {
		steps = append(steps, step{essential: true, functions: []*function{p.migrate}})
	}
	for _, m := range pl.Modules {
		steps = append(steps, step{module: m.ID(), functions: m.inits})
	}
	return append(steps, step{functions: pl.inits})
}

// reach are the providers of what is needed, and of what those need in turn, in the order of discovery.
func (p *Plan) reach(pl *Plugin, needs []param) []*provider {
	var reached []*provider
	seen := map[*provider]bool{}
	var visit func(needs []param)
	visit = func(needs []param) {
		for _, d := range needs {
			s := p.provider(pl, d.typ)
			if s == nil || seen[s] {
				continue
			}
			seen[s] = true
			visit(s.params())
			reached = append(reached, s)
		}
	}
	visit(needs)
	return reached
}

// Plugin makes the container of a plugin and runs its steps in it, one after the other; an error of one doesn't stop the next, except that
// nothing runs on a database whose migrations have failed. done gets the outcome of each: of a module, or of the plugin itself (its
// migrations and its init) with an empty module id. The root container
// is the one that Root made.
func (p *Plan) Plugin(pl *Plugin, root *Container, values Values, l Lifecycle, done func(module string, err error, took time.Duration)) (*Container, error) {
	c := newContainer(l)
	all := Values{}
	for typ, v := range root.values {
		if p.rootValues[typ] {
			all[typ] = v
		}
	}
	var own []*provider
	for _, s := range p.reach(pl, p.pluginNeeds(pl)) {
		if s.scope == service.ScopeRoot {
			all[s.typ] = root.values[s.typ]
		} else {
			own = append(own, s)
		}
	}
	maps.Copy(all, values)
	Set(all, pl)
	var steps []any
	for _, s := range own {
		if s.eager {
			steps = append(steps, c.collect(s.typ))
		}
	}
	for _, st := range p.steps(pl) {
		steps = append(steps, c.run(st, done))
	}
	c.app = fx.New(append(c.options(all, own), fx.Invoke(steps...))...)
	for _, s := range own {
		if err := c.failed[s.typ]; s.eager && err != nil {
			return c, err
		}
	}
	return c, c.app.Err()
}

// run is a function for fx.Invoke that runs a step.
func (c *Container) run(st step, done func(module string, err error, took time.Duration)) any {
	var in []reflect.Type
	for _, f := range st.functions {
		in = append(in, f.inputs()...)
	}
	return reflect.MakeFunc(reflect.FuncOf(in, nil, false), func(args []reflect.Value) []reflect.Value {
		if c.broken != nil {
			if st.module != "" {
				done(st.module, c.broken, 0)
			}
			return nil
		}
		began := time.Now()
		var err error
		for _, f := range st.functions {
			n := len(f.inputs())
			if err = c.missing(f); err == nil {
				_, err = f.call(args[:n])
			}
			if err != nil {
				break
			}
			args = args[n:]
		}
		if err != nil && st.essential {
			c.broken = err
		}
		done(st.module, err, time.Since(began))
		return nil
	}).Interface()
}

// missing is why the function can't be called, if one of its dependencies could not be made.
func (c *Container) missing(f *function) error {
	for _, d := range f.params {
		if err := c.failed[d.typ]; err != nil {
			return err
		}
	}
	return nil
}

func newContainer(l Lifecycle) *Container {
	return &Container{values: Values{}, failed: map[reflect.Type]error{}, lifecycle: &lifecycle{Lifecycle: l}}
}

func (c *Container) options(values Values, providers []*provider) []fx.Option {
	options := []fx.Option{fx.NopLogger, fx.Decorate(func(inner fx.Lifecycle) fx.Lifecycle {
		c.lifecycle.inner = inner
		return c.lifecycle
	})}
	var constructors []any
	for typ, v := range values {
		constructors = append(constructors, reflect.MakeFunc(reflect.FuncOf(nil, []reflect.Type{typ}, false), func([]reflect.Value) []reflect.Value {
			return []reflect.Value{v}
		}).Interface())
	}
	for _, s := range providers {
		constructors = append(constructors, c.constructor(s))
	}
	// In one call: fx looks at the stack in each.
	return append(options, fx.Provide(constructors...))
}

// constructor is the function that fx calls to make what s provides. It never fails: see Container.failed.
func (c *Container) constructor(s *provider) any {
	var in []reflect.Type
	for _, f := range s.functions {
		in = append(in, f.inputs()...)
	}
	return reflect.MakeFunc(reflect.FuncOf(in, s.types(), false), func(args []reflect.Value) []reflect.Value {
		out := make([]reflect.Value, len(s.types()))
		for i, typ := range s.types() {
			out[i] = reflect.New(typ).Elem()
		}
		for _, f := range s.functions {
			n := len(f.inputs())
			v, err := reflect.Value{}, c.missing(f)
			if err == nil {
				if v, err = f.call(args[:n]); err != nil {
					err = &ConstructorError{Provider: s.String(), Where: f.where, Err: err}
				}
			}
			if err != nil {
				for _, typ := range s.types() {
					c.failed[typ] = err
				}
				return out
			}
			args = args[n:]
			if s.group {
				out[0].Set(reflect.Append(out[0], v))
				continue
			}
			for i := range out {
				out[i].Set(v)
			}
		}
		return out
	}).Interface()
}

// ConstructorError is the failure of a constructor.
type ConstructorError struct {
	// Provider is what could not be made ("service *bun.DB").
	Provider string
	// Where is the constructor and the place where it is written.
	Where string
	// Err is why.
	Err error
}

// Error is the message.
func (e *ConstructorError) Error() string { return fmt.Sprintf("%s: %v", e.Provider, e.Err) }

// Unwrap is why.
func (e *ConstructorError) Unwrap() error { return e.Err }

// Start runs the OnStart hooks.
func (c *Container) Start(ctx context.Context) error {
	return c.app.Start(ctx)
}

// Stop runs the OnStop hooks in reverse, each with its own deadline within that of ctx. It returns all errors.
func (c *Container) Stop(ctx context.Context) error {
	return c.app.Stop(ctx)
}

// Abandon releases what was acquired in a container that was not started, or whose start failed: it runs, in reverse, the OnStop hooks
// that have no OnStart and have not run yet.
func (c *Container) Abandon(ctx context.Context) error {
	return c.lifecycle.abandon(ctx)
}

// Make calls the constructor of a service with nothing but the given values: for what must be there before anything can be planned.
func Make(s service.Service, values Values) (any, error) {
	f, err := inspect(s.Constructor())
	if err != nil {
		return nil, fmt.Errorf("%s can't be made: its constructor %w", s, err)
	}
	if f.result == nil || !f.result.AssignableTo(s.Type()) {
		return nil, fmt.Errorf("%s can't be made: its constructor %s returns %v", s, f.where, f.result)
	}
	var args []reflect.Value
	for _, typ := range f.inputs() {
		v, ok := values[typ]
		if !ok {
			return nil, fmt.Errorf("%s asks for %s (%s), but it is made before everything else", s, typ, f.where)
		}
		args = append(args, v)
	}
	v, err := f.call(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	return v.Interface(), nil
}
