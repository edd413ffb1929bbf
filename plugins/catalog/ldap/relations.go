package ldap

import (
	"maps"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// member is an entity, and by what names the directory relates it to others.
type member struct {
	entity   catalogmodel.Entity
	ref      string
	memberOf []string
	members  []string
}

// directory finds entities by the names that the directory has for them.
type directory map[string]*member

func newDirectory(all []*member) directory {
	d := directory{}
	for _, m := range all {
		for _, name := range []string{
			m.ref, m.entity.Annotation(catalogmodel.AnnotationLDAPDN), m.entity.Annotation(catalogmodel.AnnotationLDAPRDN),
			m.entity.Annotation(catalogmodel.AnnotationLDAPUUID),
		} {
			if name != "" {
				d[strings.ToLower(name)] = m
			}
		}
	}
	return d
}

func (d directory) find(name string) *member { return d[strings.ToLower(name)] }

// links are sets of refs, by ref.
type links map[string]map[string]bool

func (l links) add(from, to string) {
	if l[from] == nil {
		l[from] = map[string]bool{}
	}
	l[from][to] = true
}

func (l links) of(ref string) []string { return slices.Sorted(maps.Keys(l[ref])) }

// relate writes into users and groups how they belong together.
func relate(users, groups []*member) error {
	userNames, groupNames := newDirectory(users), newDirectory(groups)
	memberOf, parents, children := links{}, links{}, links{}
	for _, u := range users {
		for _, name := range u.memberOf {
			if g := groupNames.find(name); g != nil {
				memberOf.add(u.ref, g.ref)
			}
		}
	}
	for _, g := range groups {
		for _, name := range g.memberOf {
			if parent := groupNames.find(name); parent != nil {
				parents.add(g.ref, parent.ref)
				children.add(parent.ref, g.ref)
			}
		}
		for _, name := range g.members {
			if u := userNames.find(name); u != nil {
				memberOf.add(u.ref, g.ref)
			} else if child := groupNames.find(name); child != nil {
				parents.add(child.ref, g.ref)
				children.add(g.ref, child.ref)
			}
		}
	}
	for _, u := range users {
		if of := memberOf.of(u.ref); of != nil {
			if err := u.set(of, "memberOf"); err != nil {
				return err
			}
		}
	}
	for _, g := range groups {
		if of := parents.of(g.ref); len(of) == 1 {
			if err := g.set(of[0], "parent"); err != nil {
				return err
			}
		}
		if of := children.of(g.ref); of != nil {
			if err := g.set(of, "children"); err != nil {
				return err
			}
		}
	}
	return adopt(groups)
}

// adopt has parents and children know each other also where only one side says so, as a transformer may.
func adopt(groups []*member) error {
	byRef := map[string]*member{}
	for _, g := range groups {
		byRef[g.ref] = g
	}
	children := func(g *member) []string {
		var refs []string
		for _, child := range g.entity.Get("spec", "children").Elements() {
			refs = append(refs, child.Text())
		}
		return refs
	}
	for _, g := range groups {
		parent := byRef[g.entity.Get("spec", "parent").Text()]
		if parent == nil {
			continue
		}
		if siblings := children(parent); !slices.Contains(siblings, g.ref) {
			if err := parent.set(append(siblings, g.ref), "children"); err != nil {
				return err
			}
		}
	}
	for _, g := range groups {
		for _, ref := range children(g) {
			if child := byRef[ref]; child != nil && child.entity.Get("spec", "parent").Text() == "" {
				if err := child.set(g.ref, "parent"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// set sets a field of the spec.
func (m *member) set(x any, field string) error {
	value, err := catalogmodel.ValueOf(x)
	m.entity = m.entity.With(value, "spec", field)
	return err
}
