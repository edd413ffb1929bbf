package wiring

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/portico-dev/portico/service"
)

// asker is a plugin, module or provider whose dependencies are checked.
type asker struct {
	name     string
	scope    service.Scope
	plugin   *Plugin // nil for services
	isModule bool
}

// check looks for missing dependencies, cycles and modules that wait for each other.
func (p *Plan) check() {
	for _, s := range slices.Clone(p.services) {
		p.checkService(s)
	}
	for _, pl := range p.Plugins {
		for _, point := range sortedPoints(pl) {
			p.checkParams(asker{name: point.String(), scope: service.ScopePlugin, plugin: pl}, point.functions[0])
		}
		for _, f := range pl.inits {
			p.checkParams(asker{name: pl.String(), scope: service.ScopePlugin, plugin: pl}, f)
		}
		for _, m := range pl.Modules {
			for _, f := range m.inits {
				p.checkParams(asker{name: m.String(), scope: service.ScopePlugin, plugin: pl, isModule: true}, f)
			}
		}
	}
	p.checkCycles()
	for _, pl := range p.Plugins {
		p.orderModules(pl)
	}
}

func (p *Plan) checkService(s *provider) {
	for _, f := range s.functions {
		p.checkParams(asker{name: s.String(), scope: s.scope}, f)
	}
}

func sortedPoints(pl *Plugin) []*provider {
	points := slices.SortedFunc(maps.Values(pl.points), func(a, b *provider) int { return cmp.Compare(a.id, b.id) })
	return slices.Compact(points)
}

func (p *Plan) checkParams(a asker, f *function) {
	for _, d := range f.params {
		if p.available(a, d.typ) || p.addDefault(d.typ) && p.available(a, d.typ) {
			continue
		}
		if d.optional && p.foreign[d.typ] == "" && p.perPlugin[d.typ] == nil {
			continue
		}
		p.reportMissing(a, f, d.typ)
	}
}

// available tells whether the asker can have a value of the type.
func (p *Plan) available(a asker, typ reflect.Type) bool {
	if p.rootValues[typ] || p.root[typ] != nil {
		return true
	}
	if a.scope == service.ScopeRoot {
		return false
	}
	if p.pluginValues[typ] || p.perPlugin[typ] != nil {
		return true
	}
	if a.plugin == nil {
		return false
	}
	point := a.plugin.points[typ]
	return point != nil && (a.isModule || typ == point.concrete)
}

// addDefault adds the service that the type itself brings, if it does.
func (p *Plan) addDefault(typ reflect.Type) bool {
	if p.isService(typ) || !typ.Implements(reflect.TypeFor[service.Defaulter]()) || typ.Kind() == reflect.Interface {
		return false
	}
	s := reflect.Zero(typ).Interface().(service.Defaulter).DefaultService()
	if s.Type() != typ {
		p.report(typ, "return the service of the type itself", "has a DefaultService for another type, %s", s.Type())
		return false
	}
	p.addService(s, true)
	if added := p.provider(nil, typ); added != nil {
		p.checkService(added)
	}
	return true
}

func (p *Plan) reportMissing(a asker, f *function, typ reflect.Type) {
	asks := fmt.Sprintf("asks for %s (%s)", typ, f.where)
	if a.plugin != nil {
		if point := a.plugin.points[typ]; point != nil {
			p.report(a.name, fmt.Sprintf("ask for %s, which its constructor returns", point.concrete), "%s: it is %s, which is for its modules", asks, point)
			return
		}
	}
	if owner := p.foreign[typ]; owner != "" {
		if a.plugin == nil {
			p.report(a.name, fmt.Sprintf("make it part of a module of plugin %s", owner), "%s: it is an extension point of plugin %s, and services can't ask for extension points", asks, owner)
			return
		}
		p.report(a.name, fmt.Sprintf("make it a module of plugin %s, or call the plugin over HTTP", owner),
			"%s: it is an extension point of plugin %s; a module reaches only its own plugin's extension points", asks, owner)
		return
	}
	if a.scope == service.ScopeRoot && (p.perPlugin[typ] != nil || p.pluginValues[typ]) {
		p.report(a.name, "declare it with service.PerPlugin, or ask for a root service",
			"%s: there is one of those for each plugin, and a root service belongs to none", asks)
		return
	}
	fix := fmt.Sprintf("add service.PerPlugin[%[1]s](…) or service.Root[%[1]s](…) to the backend", typ)
	if s := p.similar(typ); s != "" {
		fix = "ask for " + s + ", or " + fix
	}
	p.report(a.name, fix, "%s: no service has that type", asks)
}

// similar is a type that may have been meant: the pointer to it, what it points to, or one with the same name.
func (p *Plan) similar(typ reflect.Type) string {
	candidates := slices.Concat(slices.Collect(maps.Keys(p.root)), slices.Collect(maps.Keys(p.perPlugin)),
		slices.Collect(maps.Keys(p.rootValues)), slices.Collect(maps.Keys(p.pluginValues)))
	slices.SortFunc(candidates, func(a, b reflect.Type) int { return cmp.Compare(a.String(), b.String()) })
	name := func(t reflect.Type) string { return path.Base(strings.TrimLeft(t.String(), "*")) }
	for _, c := range candidates {
		switch {
		case name(c) != name(typ):
		case c.String() != typ.String():
			return c.String()
		case c.PkgPath() != typ.PkgPath() || c.Kind() == reflect.Pointer:
			full := c
			if c.Kind() == reflect.Pointer {
				full = c.Elem()
			}
			return fmt.Sprintf("%s of package %s", c, full.PkgPath())
		}
	}
	return ""
}

// checkCycles reports services and extension points that need themselves.
func (p *Plan) checkCycles() {
	type state int
	const (
		unseen state = iota
		open
		done
	)
	states := map[*provider]state{}
	var stack []*provider
	var visit func(pl *Plugin, s *provider)
	visit = func(pl *Plugin, s *provider) {
		switch states[s] {
		case done:
			return
		case open:
			from := slices.Index(stack, s)
			var steps []string
			for _, x := range append(slices.Clone(stack[from:]), s) {
				steps = append(steps, fmt.Sprintf("%s%s", x, at(x)))
			}
			p.report(s, "break the circle: have one of them look the other up when it is used, or split off what both need", "needs itself: %s", strings.Join(steps, " needs "))
			return
		}
		states[s] = open
		stack = append(stack, s)
		for _, d := range s.params() {
			if next := p.provider(pl, d.typ); next != nil {
				visit(pl, next)
			}
		}
		stack = stack[:len(stack)-1]
		states[s] = done
	}
	for _, s := range p.services {
		visit(nil, s)
	}
	for _, pl := range p.Plugins {
		for _, point := range sortedPoints(pl) {
			visit(pl, point)
		}
	}
}

// provider is what provides the type in the container of the plugin, or in that of the root if pl is nil; nil if the backend itself does.
func (p *Plan) provider(pl *Plugin, typ reflect.Type) *provider {
	if pl != nil {
		if point := pl.points[typ]; point != nil {
			return point
		}
	}
	if s := p.perPlugin[typ]; s != nil {
		return s
	}
	return p.root[typ]
}

// orderModules puts modules that provide extension points after those that use them, and otherwise keeps the order of their ids.
func (p *Plan) orderModules(pl *Plugin) {
	slices.SortFunc(pl.Modules, func(a, b *Module) int { return cmp.Compare(a.ID(), b.ID()) })
	providedBy := map[*provider]*Module{}
	for _, m := range pl.Modules {
		for _, point := range m.points {
			providedBy[point] = m
		}
	}
	users := map[*Module][]*Module{} // of a module's extension points
	for _, m := range pl.Modules {
		for _, f := range m.inits {
			for _, d := range f.params {
				point := pl.points[d.typ]
				if owner := providedBy[point]; point != nil && owner != nil && owner != m {
					users[owner] = append(users[owner], m)
				}
			}
		}
	}
	var ordered, stack []*Module
	var visit func(m *Module)
	visit = func(m *Module) {
		if slices.Contains(ordered, m) {
			return
		}
		if from := slices.Index(stack, m); from >= 0 {
			var steps []string
			for _, x := range append(slices.Clone(stack[from:]), m) {
				steps = append(steps, x.String())
			}
			p.report(m, "move the extension points to a module that uses none of the others", "can't be ordered, as each of these modules uses an extension point of the one before: %s", strings.Join(steps, ", "))
			return
		}
		stack = append(stack, m)
		for _, user := range users[m] {
			visit(user)
		}
		stack = stack[:len(stack)-1]
		if !slices.Contains(ordered, m) {
			ordered = append(ordered, m)
		}
	}
	for _, m := range pl.Modules {
		visit(m)
	}
	pl.Modules = ordered
}

// didYouMean suggests the nearest of the known names, if one is near.
func didYouMean(name string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := levenshtein.ComputeDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}
