package wiring

import (
	"reflect"
	"slices"

	"github.com/portico-dev/portico/service"
)

// Description is what a backend is put together from, for tools.
type Description struct {
	Plugins  []PluginDescription  `json:"plugins"`
	Services []ServiceDescription `json:"services"`
}

// PluginDescription describes a plugin.
type PluginDescription struct {
	ID string `json:"id"`
	// Needs are the types that the plugin itself asks for.
	Needs           []string            `json:"needs"`
	Modules         []ModuleDescription `json:"modules"`
	ExtensionPoints []PointDescription  `json:"extensionPoints"`
	HasMigrations   bool                `json:"hasMigrations"`
	Routes          []RouteDescription  `json:"routes"`
	// Error is why the routes are not known, or empty.
	Error string `json:"error,omitempty"`
}

// ModuleDescription describes a module.
type ModuleDescription struct {
	ID    string   `json:"id"`
	Needs []string `json:"needs"`
}

// PointDescription describes an extension point.
type PointDescription struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	// ProvidedBy is the module that provides it, or empty for the plugin itself.
	ProvidedBy string `json:"providedBy,omitempty"`
	// UsedBy are the modules that use it.
	UsedBy []string `json:"usedBy"`
}

// RouteDescription describes a route of a plugin.
type RouteDescription struct {
	// Method is the HTTP method, or ANY for all.
	Method string `json:"method"`
	Path   string `json:"path"`
}

// ServiceDescription describes a service.
type ServiceDescription struct {
	Type  string        `json:"type"`
	Scope service.Scope `json:"scope"`
	// Origin tells whether the service is built in, was added, or replaces a built-in one.
	Origin string `json:"origin"`
	// Constructors are the functions that make it, with file and line; several for a group.
	Constructors []string `json:"constructors"`
	// Needs are the types that they ask for.
	Needs []string `json:"needs"`
	// UsedBy are the plugins ("catalog") that reach it, themselves or through other services.
	UsedBy []string `json:"usedBy"`
}

// Describe describes the plan, without routes.
func (p *Plan) Describe() Description {
	d := Description{Plugins: []PluginDescription{}, Services: []ServiceDescription{}}
	usedBy := map[*provider][]string{}
	for _, pl := range p.Plugins {
		for _, s := range p.reach(pl, p.pluginNeeds(pl)) {
			usedBy[s] = append(usedBy[s], pl.ID())
		}
		d.Plugins = append(d.Plugins, describePlugin(pl))
	}
	for _, s := range p.services {
		origin := "added"
		switch {
		case s.builtIn:
			origin = "built in"
		case s.overrides:
			origin = "replaces the built-in one"
		}
		sd := ServiceDescription{Type: s.typ.String(), Scope: s.scope, Origin: origin, Needs: names(s.functions), UsedBy: append([]string{}, usedBy[s]...)}
		for _, f := range s.functions {
			sd.Constructors = append(sd.Constructors, f.where)
		}
		d.Services = append(d.Services, sd)
	}
	return d
}

func describePlugin(pl *Plugin) PluginDescription {
	d := PluginDescription{ID: pl.ID(), Needs: names(pl.inits), Modules: []ModuleDescription{}, ExtensionPoints: []PointDescription{},
		Routes: []RouteDescription{}, HasMigrations: len(pl.Migrations()) > 0}
	for _, m := range pl.Modules {
		d.Modules = append(d.Modules, ModuleDescription{ID: m.ID(), Needs: names(m.inits)})
	}
	for _, point := range sortedPoints(pl) {
		pd := PointDescription{ID: point.id, Type: point.typ.String(), UsedBy: []string{}}
		for _, m := range pl.Modules {
			if slices.Contains(m.points, point) {
				pd.ProvidedBy = m.ID()
			} else if slices.ContainsFunc(m.inits, func(f *function) bool { return f.asksFor(point.types()...) }) {
				pd.UsedBy = append(pd.UsedBy, m.ID())
			}
		}
		d.ExtensionPoints = append(d.ExtensionPoints, pd)
	}
	return d
}

func (f *function) asksFor(types ...reflect.Type) bool {
	return slices.ContainsFunc(f.params, func(d param) bool { return slices.Contains(types, d.typ) })
}

// names are the types that the functions ask for, in order, each once.
func names(functions []*function) []string {
	all := []string{}
	for _, f := range functions {
		for _, d := range f.params {
			if n := d.typ.String(); !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}
