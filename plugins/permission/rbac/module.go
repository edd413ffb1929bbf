package rbac

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// Module is the module.
func Module() plugin.Module {
	return plugin.NewModule("permission", "rbac", plugin.ConfigSchema(config.SchemaOf[settings](settingsKey)), plugin.Init(start))
}

type dependencies struct {
	fx.In

	Context   context.Context
	Metadata  plugin.Metadata
	Policies  permission.Policies
	Config    service.Config
	Instance  service.Instance
	Discovery service.Discovery
	HTTP      *http.Client
	Log       *slog.Logger
	Lifecycle fx.Lifecycle
}

// module is the policy that follows the configuration.
type module struct {
	config  service.Config
	asker   asker
	log     *slog.Logger
	current atomic.Pointer[policy]
}

func start(d dependencies) error {
	m := &module{config: d.Config, log: d.Log, asker: asker{
		ownID: d.Metadata.ID, own: permission.Permissions(), instance: d.Instance, discovery: d.Discovery, http: d.HTTP,
	}}
	if _, err := m.read(); err != nil {
		return err
	}
	if err := d.Policies.SetPolicy(m); err != nil {
		return err
	}
	var stop func()
	d.Lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			// Changes count from now on, so that none is missed while plugins are being asked.
			stop = d.Config.Subscribe(func() { m.reload(d.Context) })
			return m.load(ctx)
		},
		OnStop: func(context.Context) error {
			if stop != nil {
				stop()
			}
			return nil
		},
	})
	return nil
}

// read reads the roles.
func (m *module) read() (s settings, err error) {
	if err := m.config.Decode(settingsKey, &s); err != nil {
		return s, err
	}
	return s, config.Join(s.problems())
}

// load reads the roles and puts them in force.
func (m *module) load(ctx context.Context) error {
	s, err := m.read()
	if err != nil {
		return err
	}
	d, err := m.asker.ask(ctx, s.PluginsWithPermission)
	if err != nil {
		return fmt.Errorf("rbac: asking plugins for their permissions: %w", err)
	}
	unknown, mistakes := d.problems(s)
	if len(d.silent) == 0 {
		mistakes, unknown = append(mistakes, unknown...), nil
	}
	if err := config.Join(mistakes); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(d.silent)) {
		m.log.Warn("A plugin could not be asked for its permissions", "asked", id, "error", d.silent[id])
	}
	for _, p := range unknown {
		m.log.Warn(p.String())
	}
	compiled, err := compile(s, d)
	if err != nil {
		return err
	}
	m.current.Store(compiled)
	return nil
}

func (m *module) reload(ctx context.Context) {
	if err := m.load(ctx); err != nil {
		m.log.ErrorContext(ctx, "The changed roles are not used, those before stay in force", "error", err)
		return
	}
	m.log.InfoContext(ctx, "The roles have been read again")
}

// Decide implements permission.Policy.
func (m *module) Decide(ctx context.Context, p service.Permission, user *permission.User) (service.Decision, error) {
	current := m.current.Load()
	if current == nil {
		return service.Decision{}, service.ServiceUnavailableError.Errorf("The roles have not been read yet")
	}
	return current.Decide(ctx, p, user)
}

// Explain implements permission.Explainer.
func (m *module) Explain(name string, user *permission.User) (permission.Explanation, error) {
	current := m.current.Load()
	if current == nil {
		return permission.Explanation{}, service.ServiceUnavailableError.Errorf("The roles have not been read yet")
	}
	return current.Explain(name, user)
}

// reason is what a JSON Schema says is wrong, in few words.
func reason(err error) string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err.Error()
	}
	var all []string
	var collect func(*jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			collect(cause)
		}
		if len(e.Causes) == 0 {
			all = append(all, strings.TrimSpace(strings.ReplaceAll(strings.TrimPrefix(e.InstanceLocation, "/"), "/", ".")+" "+e.Message))
		}
	}
	collect(invalid)
	return strings.Join(all, ", ")
}
