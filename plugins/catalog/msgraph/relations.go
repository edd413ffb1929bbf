package msgraph

import (
	"maps"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// relate writes into the entities how they belong together, and answers them all: users, then groups, each sorted by name.
func (r *reading) relate() ([]catalogmodel.Entity, error) {
	parents := links{}
	for group, members := range r.members {
		for member := range members {
			parents.add(member, group)
		}
	}
	for id := range r.groups {
		if r.root != "" && id != r.root && parents[id] == nil {
			parents.add(id, r.root)
			r.members.add(r.root, id)
		}
	}
	users, groups := r.users, make([]catalogmodel.Entity, 0, len(r.groups))
	for i, u := range users {
		of := r.refs(r.memberOf[u.Annotation(catalogmodel.AnnotationAzureUserID)])
		slices.Sort(of)
		var err error
		if users[i], err = with(u, of, "memberOf"); err != nil {
			return nil, err
		}
	}
	for id, g := range r.groups {
		g, err := with(g, r.refs(r.members[id]), "children")
		if err != nil {
			return nil, err
		}
		if of := r.refs(parents[id]); len(of) > 0 && g.Get("spec", "parent").Text() == "" {
			value, err := catalogmodel.ValueOf(of[0])
			if err != nil {
				return nil, err
			}
			g = g.With(value, "spec", "parent")
		}
		groups = append(groups, g)
	}
	for _, entities := range [][]catalogmodel.Entity{users, groups} {
		slices.SortFunc(entities, func(a, b catalogmodel.Entity) int {
			return strings.Compare(a.Name()+"/"+a.String(), b.Name()+"/"+b.String())
		})
	}
	return slices.Concat(users, groups), nil
}

// refs are the refs of groups, in the order of the ids.
func (r *reading) refs(ids map[string]bool) []string {
	var refs []string
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if g, ok := r.groups[id]; ok {
			refs = append(refs, g.Ref().String())
		}
	}
	return refs
}

// with adds refs to a list of the spec.
func with(e catalogmodel.Entity, refs []string, field string) (catalogmodel.Entity, error) {
	var all []string
	for _, element := range e.Get("spec", field).Elements() {
		all = append(all, element.Text())
	}
	for _, ref := range refs {
		if !slices.Contains(all, ref) {
			all = append(all, ref)
		}
	}
	if all == nil {
		return e, nil
	}
	value, err := catalogmodel.ValueOf(all)
	return e.With(value, "spec", field), err
}
