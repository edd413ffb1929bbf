package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
)

// OwnershipResolver tells by which refs a user of the catalog owns things: its own, those of its groups, or others. It is asked at every
// sign-in and refresh. Safe for concurrent use.
type OwnershipResolver func(ctx context.Context, user catalogmodel.Entity) ([]string, error)

// Ownership lets a module decide what users own.
type Ownership interface {
	// SetOwnershipResolver replaces the default resolver: the user itself, the groups that it is a member of, and all groups above these.
	// There can be only one.
	SetOwnershipResolver(OwnershipResolver)
}

// OwnershipPoint is the extension point for [Ownership].
var OwnershipPoint = extension.NewPoint[Ownership]("auth.ownershipResolution")

// ownership is what a module has decided.
type ownership struct {
	mu       sync.Mutex
	resolver OwnershipResolver
	twice    bool
}

func newOwnership() *ownership { return &ownership{} }

// SetOwnershipResolver implements Ownership.
func (o *ownership) SetOwnershipResolver(r OwnershipResolver) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.twice = o.twice || o.resolver != nil
	o.resolver = r
}

// of is the resolver that a module has set, or the default one.
func (o *ownership) of(catalog *catalogclient.Client) (OwnershipResolver, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.twice:
		return nil, errors.New("auth: two modules set an ownership resolver; leave one of them out")
	case o.resolver != nil:
		return o.resolver, nil
	}
	return groupsAbove{catalog}.resolve, nil
}

// DirectOwnership is the [OwnershipResolver] of Backstage: the user itself, and the groups that it is a direct member of.
func DirectOwnership(_ context.Context, user catalogmodel.Entity) ([]string, error) {
	owned := []string{user.Ref().String()}
	for _, group := range groups(user, catalogmodel.RelationMemberOf) {
		owned = append(owned, group.String())
	}
	return owned, nil
}

// groupsAbove is the default resolver.
type groupsAbove struct{ catalog *catalogclient.Client }

// Who is in more groups is refused: with a part of them, what is denied to the others would be allowed.
const (
	maxGroups = 10_000
	maxLevels = 100
)

// resolve goes up from the user, a level at a time, through each group once: the catalog may have circles.
func (r groupsAbove) resolve(ctx context.Context, user catalogmodel.Entity) ([]string, error) {
	owned := []string{user.Ref().String()}
	seen := map[catalogmodel.Ref]bool{}
	next := groups(user, catalogmodel.RelationMemberOf)
	for level := 1; ; level++ {
		var found []catalogmodel.Ref
		for _, group := range next {
			if !seen[group] {
				seen[group] = true
				found = append(found, group)
				owned = append(owned, group.String())
			}
		}
		switch {
		case len(found) == 0:
			return owned, nil
		case len(seen) > maxGroups:
			return nil, fmt.Errorf("%s is in more than %d groups", user.Ref(), maxGroups)
		case level > maxLevels:
			return nil, fmt.Errorf("%s is in groups that are nested more than %d levels deep", user.Ref(), maxLevels)
		}
		// What nobody has described comes back empty. Users may be in such groups, but nothing is above them.
		entities, err := r.catalog.EntitiesByRefs(ctx, found, catalogclient.Query{Fields: []string{"relations"}})
		if err != nil {
			return nil, err
		}
		next = nil
		for _, group := range entities {
			next = append(next, groups(group, catalogmodel.RelationChildOf)...)
		}
	}
}

// groups are the groups to which the entity has relations of the type.
func groups(e catalogmodel.Entity, relation string) []catalogmodel.Ref {
	var refs []catalogmodel.Ref
	for _, r := range e.Get("relations").Elements() {
		ref, err := catalogmodel.ParseRef(r.Get("targetRef").Text(), catalogmodel.RefDefaults{})
		if r.Get("type").Text() == relation && err == nil && ref.Kind == "group" {
			refs = append(refs, ref)
		}
	}
	return refs
}
