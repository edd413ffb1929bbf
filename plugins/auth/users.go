package auth

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
)

// Users are the users of the portal, as sign-in resolvers see them. Safe for concurrent use.
type Users interface {
	// Find is the user of the catalog that the query asks for. It is a service.NotFoundError if there is none, and a service.ConflictError
	// if there are several.
	Find(ctx context.Context, q UserQuery) (catalogmodel.Entity, error)
	// SignIn is the identity of the user that Find finds, with what the user owns.
	SignIn(ctx context.Context, q UserQuery) (Identity, error)
}

// UserQuery asks for a user: by its ref, or by annotations and fields that it must all have.
type UserQuery struct {
	// Ref is the ref of the user. With it, nothing else counts.
	Ref catalogmodel.Ref
	// Annotations are annotations with their values, which are compared exactly.
	Annotations map[string]string
	// Fields are further fields with their values ("spec.profile.email"), which are compared regardless of case, as filters of the catalog do.
	Fields map[string]string
}

// catalogUsers implements Users.
type catalogUsers struct {
	catalog   *catalogclient.Client
	ownership OwnershipResolver
}

// Find implements Users.
func (u *catalogUsers) Find(ctx context.Context, q UserQuery) (catalogmodel.Entity, error) {
	none := service.NotFoundError.Errorf("User not found")
	if q.Ref != (catalogmodel.Ref{}) {
		user, err := u.catalog.EntityByRef(ctx, q.Ref)
		if isNotFound(err) {
			return user, none
		}
		return user, err
	}
	filter := []string{"kind=user"}
	for _, name := range slices.Sorted(maps.Keys(q.Annotations)) {
		filter = append(filter, "metadata.annotations."+name+"="+q.Annotations[name])
	}
	for _, name := range slices.Sorted(maps.Keys(q.Fields)) {
		filter = append(filter, name+"="+q.Fields[name])
	}
	if len(filter) == 1 {
		return catalogmodel.Entity{}, service.InputError.Errorf("Invalid user lookup query")
	}
	// A value with a comma would add conditions of its own.
	if slices.ContainsFunc(filter, func(condition string) bool { return strings.Contains(condition, ",") }) {
		return catalogmodel.Entity{}, none
	}
	found, err := u.catalog.Entities(ctx, catalogclient.Query{Filter: []string{strings.Join(filter, ",")}})
	if err != nil {
		return catalogmodel.Entity{}, fmt.Errorf("auth: looking for the user: %w", err)
	}
	found = slices.DeleteFunc(found, func(e catalogmodel.Entity) bool { return !q.matches(e) })
	switch len(found) {
	case 0:
		return catalogmodel.Entity{}, none
	case 1:
		return found[0], nil
	}
	return catalogmodel.Entity{}, service.ConflictError.Errorf("User lookup resulted in multiple matches")
}

// matches tells whether an entity that a filter has found has the annotations, which filters compare regardless of case.
func (q UserQuery) matches(e catalogmodel.Entity) bool {
	for name, value := range q.Annotations {
		if e.Annotation(name) != value {
			return false
		}
	}
	return true
}

// SignIn implements Users.
func (u *catalogUsers) SignIn(ctx context.Context, q UserQuery) (Identity, error) {
	user, err := u.Find(ctx, q)
	if err != nil {
		return Identity{}, err
	}
	refs, err := u.ownership(ctx, user)
	if err != nil {
		return Identity{}, fmt.Errorf("auth: finding out what %s owns: %w", user.Ref(), err)
	}
	return Identity{UserEntityRef: user.Ref().String(), OwnershipEntityRefs: refs}, nil
}
