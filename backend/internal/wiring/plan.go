package wiring

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

// Features are what a backend is put together from.
type Features struct {
	// Defaults are the built-in services; one in Services replaces the one of its type.
	Defaults []service.Service
	Services []service.Service
	Plugins  []plugin.Plugin
	Modules  []plugin.Module
	// RootValues are the types of what the backend itself provides in every container.
	RootValues []reflect.Type
	// PluginValues are the types of what the backend provides in the containers of plugins, beside the root values.
	PluginValues []reflect.Type
	// Migrate is a function that brings the database of a plugin up to date. It runs in the containers of plugins that have migrations, as
	// part of the plugin and before any init; it may ask for the *Plugin.
	Migrate any
}

// Plan is the checked wiring of a backend.
type Plan struct {
	// Plugins, ordered by id.
	Plugins []*Plugin

	rootValues   map[reflect.Type]bool
	pluginValues map[reflect.Type]bool
	root         map[reflect.Type]*provider
	perPlugin    map[reflect.Type]*provider
	services     []*provider // in the order they were added, defaults first
	byID         map[string]*Plugin
	foreign      map[reflect.Type]string // type of an extension point -> its plugin
	migrate      *function
	schemas      service.ConfigSchemas
	problems     []Problem
}

// Plugin is the wiring of one plugin.
type Plugin struct {
	plugin.Plugin
	// Modules in the order in which they start.
	Modules []*Module

	inits  []*function
	points map[reflect.Type]*provider
}

// Migrations are the SQL files of a plugin or a module.
type Migrations struct {
	// Owner is the id of the plugin, or <plugin>/<module>.
	Owner string
	// Files has the SQL files.
	Files fs.FS
}

// Migrations are those of the plugin and of its modules.
func (pl *Plugin) Migrations() []Migrations {
	var all []Migrations
	if files := pl.Spec().Migrations; files != nil {
		all = append(all, Migrations{Owner: pl.ID(), Files: files})
	}
	for _, m := range pl.Modules {
		if files := m.Spec().Migrations; files != nil {
			all = append(all, Migrations{Owner: pl.ID() + "/" + m.ID(), Files: files})
		}
	}
	return all
}

// Module is the wiring of one module.
type Module struct {
	plugin.Module

	inits  []*function
	points []*provider
}

// provider is what makes the value of a type.
type provider struct {
	typ         reflect.Type // the type that is asked for
	concrete    reflect.Type // of an extension point: the type that its constructor returns
	id          string       // of an extension point
	scope       service.Scope
	functions   []*function // several for a group
	group       bool
	eager       bool
	builtIn     bool
	overrides   bool // replaces a built-in service
	declaration string
}

// String is how messages name the provider.
func (p *provider) String() string { return p.declaration }

// types are the types that the provider provides.
func (p *provider) types() []reflect.Type {
	if p.concrete != nil && p.concrete != p.typ {
		return []reflect.Type{p.typ, p.concrete}
	}
	return []reflect.Type{p.typ}
}

// params are the dependencies of all of the provider's functions.
func (p *provider) params() []param {
	var all []param
	for _, f := range p.functions {
		all = append(all, f.params...)
	}
	return all
}

// NewPlan checks the features. The error is an *Error with everything that is wrong.
func NewPlan(f Features) (*Plan, error) {
	p := &Plan{
		rootValues:   setOf(f.RootValues),
		pluginValues: setOf(append(f.PluginValues, reflect.TypeFor[*Plugin]())),
		root:         map[reflect.Type]*provider{},
		perPlugin:    map[reflect.Type]*provider{},
		byID:         map[string]*Plugin{},
		foreign:      map[reflect.Type]string{},
	}
	if f.Migrate != nil {
		p.migrate, _ = inspect(f.Migrate)
	}
	for _, s := range f.Defaults {
		p.addService(s, true)
	}
	for _, s := range f.Services {
		p.addService(s, false)
	}
	p.addPlugins(f.Plugins)
	p.addModules(f.Modules)
	slices.SortFunc(p.Plugins, func(a, b *Plugin) int { return cmp.Compare(a.ID(), b.ID()) })
	p.check()
	if len(p.problems) > 0 {
		return nil, &Error{Problems: p.problems}
	}
	return p, nil
}

func (p *Plan) report(who any, fix, format string, args ...any) {
	problem := Problem{Who: fmt.Sprint(who), What: fmt.Sprintf(format, args...), Fix: fix}
	if !slices.Contains(p.problems, problem) {
		p.problems = append(p.problems, problem)
	}
}

// ConfigSchemas are the schemas of all features, those of built-in services that have been replaced included.
func (p *Plan) ConfigSchemas() service.ConfigSchemas { return p.schemas }

func (p *Plan) addSchemas(feature fmt.Stringer, schemas [][]byte) {
	for _, schema := range schemas {
		p.schemas = append(p.schemas, service.ConfigSchemaSource{Feature: feature.String(), Schema: schema})
	}
}

func (p *Plan) addService(s service.Service, builtIn bool) {
	p.addSchemas(s, s.ConfigSchemas())
	typ := s.Type()
	f, err := inspect(s.Constructor())
	switch {
	case err != nil:
		p.report(s, "give a function that returns "+typ.String()+", and perhaps an error", "can't be made: its constructor %v", err)
		f = nil
	case f.result == nil:
		p.report(s, "return "+typ.String(), "can't be made: its constructor %s returns no value", f.where)
	case !f.result.AssignableTo(typ):
		p.report(s, "return "+typ.String()+", or declare the service as what is returned", "can't be made: its constructor %s returns %s", f.where, f.result)
	}
	if s.InGroup() {
		typ = reflect.SliceOf(typ)
	}
	registry, other := p.root, p.perPlugin
	if s.Scope() == service.ScopePlugin {
		registry, other = p.perPlugin, p.root
	}
	if p.rootValues[typ] || p.pluginValues[typ] {
		p.report(s, "remove it", "can't be added: the backend itself provides %s", typ)
		return
	}
	if was := other[typ]; was != nil {
		p.report(s, fmt.Sprintf("declare it with service.%s", declarationFor(was)), "has the scope %q, but %s is declared with the scope %q%s", s.Scope(), typ, was.scope, at(was))
		return
	}
	old := registry[typ]
	switch {
	case old == nil, old.builtIn && !builtIn && !s.InGroup():
		next := &provider{typ: typ, scope: s.Scope(), group: s.InGroup(), eager: s.IsEager(), builtIn: builtIn, overrides: old != nil, declaration: s.String()}
		if f != nil {
			next.functions = []*function{f}
		}
		if old != nil {
			next.eager = next.eager || old.eager
			p.services[slices.Index(p.services, old)] = next
		} else {
			p.services = append(p.services, next)
		}
		registry[typ] = next
	case s.InGroup() && old.group:
		old.eager = old.eager || s.IsEager()
		if f != nil {
			old.functions = append(old.functions, f)
		}
	default:
		where := "twice"
		if f != nil {
			where = "by " + f.where + " too"
		}
		p.report(s, "add one of them, or declare both with service.RootGroup or service.PluginGroup", "is added more than once: %s%s", where, at(old))
	}
}

// at tells where a provider is written.
func at(p *provider) string {
	if len(p.functions) == 0 {
		return ""
	}
	return ", at " + p.functions[0].where
}

func declarationFor(p *provider) string {
	if p.scope == service.ScopeRoot {
		return "Root"
	}
	return "PerPlugin"
}

var idPattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

const idRule = "use lower-case letters, digits and single dashes, beginning with a letter"

// Ids of modules may have capitals, as some of Backstage's have.
var moduleIDPattern = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*$`)

const moduleIDRule = "use letters, digits and single dashes, beginning with a lower-case letter"

func (p *Plan) addPlugins(plugins []plugin.Plugin) {
	for _, added := range plugins {
		if !idPattern.MatchString(added.ID()) {
			p.report(added, idRule, "has the invalid id %q", added.ID())
		}
		if p.byID[added.ID()] != nil {
			p.report(added, "add it once", "is added more than once")
			continue
		}
		p.addSchemas(added, added.Spec().ConfigSchemas)
		pl := &Plugin{Plugin: added, points: map[reflect.Type]*provider{}}
		pl.inits = p.inits(added, added.Spec())
		p.byID[added.ID()] = pl
		p.Plugins = append(p.Plugins, pl)
		p.addPoints(added, pl, added.Spec())
	}
}

func (p *Plan) addModules(modules []plugin.Module) {
	seen := map[string]bool{}
	for _, added := range modules {
		if !moduleIDPattern.MatchString(added.ID()) {
			p.report(added, moduleIDRule, "has the invalid id %q", added.ID())
		}
		pl := p.byID[added.PluginID()]
		if pl == nil {
			p.report(added, fmt.Sprintf("add the plugin, or leave the module out%s", didYouMean(added.PluginID(), slices.Sorted(maps.Keys(p.byID)))),
				"extends plugin %s, which is not in this backend", added.PluginID())
			continue
		}
		if seen[added.String()] {
			p.report(added, "add it once", "is added more than once")
			continue
		}
		seen[added.String()] = true
		p.addSchemas(added, added.Spec().ConfigSchemas)
		m := &Module{Module: added, inits: p.inits(added, added.Spec())}
		m.points = p.addPoints(added, pl, added.Spec())
		pl.Modules = append(pl.Modules, m)
	}
}

func (p *Plan) inits(who any, spec plugin.Spec) []*function {
	var all []*function
	for _, init := range spec.Inits {
		f, err := inspect(init)
		if err != nil {
			p.report(who, "give plugin.Init a function that returns nothing or an error", "has an init function that can't be called: it %v", err)
			continue
		}
		if f.result != nil {
			p.report(who, "return nothing or an error", "has an init function, %s, that returns %s", f.where, f.result)
			continue
		}
		all = append(all, f)
	}
	return all
}

func (p *Plan) addPoints(owner fmt.Stringer, pl *Plugin, spec plugin.Spec) []*provider {
	var added []*provider
	for _, point := range spec.Points {
		name := fmt.Sprintf("extension point %s of %s", point.ID, owner)
		if !strings.HasPrefix(point.ID, pl.ID()+".") || len(point.ID) == len(pl.ID())+1 {
			p.report(owner, fmt.Sprintf("call it %q or the like", pl.ID()+".something"), "provides an extension point with the id %q, which doesn't begin with the id of its plugin", point.ID)
		}
		f, err := inspect(point.Constructor)
		if err != nil {
			p.report(name, "give a function that returns "+point.Type.String(), "can't be made: its constructor %v", err)
			continue
		}
		if f.result == nil || !f.result.AssignableTo(point.Type) {
			p.report(name, "return "+point.Type.String()+" or what implements it", "can't be made: its constructor %s returns %v", f.where, f.result)
			continue
		}
		next := &provider{typ: point.Type, concrete: f.result, id: point.ID, scope: service.ScopePlugin, functions: []*function{f}, declaration: name}
		for _, other := range pl.points {
			if other.id == point.ID {
				p.report(owner, "provide each extension point once", "provides the extension point %s, which is provided already%s", point.ID, at(other))
			}
		}
		for _, typ := range next.types() {
			if other := pl.points[typ]; other != nil && other.id != point.ID {
				p.report(name, "return the interface from one of the constructors", "provides %s, as does %s", typ, other)
			} else if p.isService(typ) {
				p.report(name, "use a type of its own", "provides %s, which is a service", typ)
			}
			pl.points[typ] = next
		}
		p.foreign[point.Type] = pl.ID()
		added = append(added, next)
	}
	return added
}

func (p *Plan) isService(typ reflect.Type) bool {
	return p.root[typ] != nil || p.perPlugin[typ] != nil || p.rootValues[typ] || p.pluginValues[typ]
}

func setOf(types []reflect.Type) map[reflect.Type]bool {
	set := map[reflect.Type]bool{}
	for _, t := range types {
		set[t] = true
	}
	return set
}
