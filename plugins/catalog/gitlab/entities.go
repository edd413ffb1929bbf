package gitlab

import (
	"context"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service/integration"
)

// UserTransformer changes the entity that is made of a user. It returns the entity to bring, which need not be of the kind User, or the
// zero Entity to leave the user out. An error ends the run; the catalog stays as it was. When a user is gone, it is called to tell what
// its entity was: then the user has only what the event told. It may be called concurrently.
type UserTransformer func(ctx context.Context, user User, entity catalogmodel.Entity) (catalogmodel.Entity, error)

// GroupTransformer changes the entity that is made of a group, as a [UserTransformer] does that of a user.
type GroupTransformer func(ctx context.Context, group Group, entity catalogmodel.Entity) (catalogmodel.Entity, error)

// transformation makes entities of people.
type transformation struct {
	user     UserTransformer  // or nil
	group    GroupTransformer // or nil
	settings *settings
	server   *integration.GitLab
}

// annotation is the name of an annotation of the server. Unlike in Backstage, it is without a port, which would make it invalid.
func (t *transformation) annotation(name string) string {
	host, _, _ := strings.Cut(t.server.Host(), ":")
	return host + "/" + name
}

// nameOf is the name of a group's entity.
func (t *transformation) nameOf(g Group) string {
	path := g.FullPath
	if t.settings.Group != "" {
		path = strings.TrimPrefix(path, t.settings.Group+"/")
	}
	return strings.ReplaceAll(path, "/", "-")
}

// ofUser is the entity of a user; the zero Entity if it is left out.
func (t *transformation) ofUser(ctx context.Context, u User) (catalogmodel.Entity, error) {
	groups := make([]string, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = t.nameOf(g)
	}
	e, err := catalogmodel.User.New(u.Username, catalogmodel.UserSpec{
		Profile:  &catalogmodel.Profile{DisplayName: u.Name, Email: u.Email, Picture: u.AvatarURL},
		MemberOf: groups,
	})
	if err != nil {
		return e, err
	}
	e = e.WithAnnotation(t.annotation("user-login"), u.WebURL).WithAnnotation(t.annotation("user-id"), strconv.FormatInt(u.ID, 10))
	if u.SAML != nil && u.SAML.ExternUID != "" {
		e = e.WithAnnotation(t.annotation("saml-external-uid"), u.SAML.ExternUID)
	}
	if t.user != nil {
		if e, err = t.user(ctx, u, e); err != nil || e.IsZero() {
			return e, err
		}
	}
	return t.locate(e), nil
}

// ofGroup is the entity of a group; the zero Entity if it is left out. The parent is that of the group, if it is brought too, or nil.
func (t *transformation) ofGroup(ctx context.Context, g Group, parent *Group, members []string) (catalogmodel.Entity, error) {
	spec := catalogmodel.GroupSpec{
		Type: "team", Profile: &catalogmodel.Profile{DisplayName: g.Name}, Children: []string{}, Members: members,
	}
	if parent != nil {
		spec.Parent = t.nameOf(*parent)
	}
	e, err := catalogmodel.Group.New(t.nameOf(g), spec)
	if err != nil {
		return e, err
	}
	e = e.WithAnnotation(t.annotation("team-path"), g.FullPath)
	if g.Visibility != "" {
		e = e.WithAnnotation(t.annotation("visibility"), g.Visibility)
	}
	if g.Description != "" {
		e = e.With(catalogmodel.StringValue(g.Description), "metadata", "description")
	}
	if t.group != nil {
		if e, err = t.group(ctx, g, e); err != nil || e.IsZero() {
			return e, err
		}
	}
	return t.locate(e), nil
}

// locate adds the annotations of the page that shows what the entity was made of.
func (t *transformation) locate(e catalogmodel.Entity) catalogmodel.Entity {
	page := e.Name()
	if e.Kind() == "Group" {
		page = e.Annotation(t.annotation("team-path"))
	}
	location := catalogmodel.LocationRef{Type: "url", Target: strings.TrimRight(t.server.Base.String(), "/") + "/" + page}.String()
	for _, annotation := range []string{catalogmodel.AnnotationManagedByLocation, catalogmodel.AnnotationManagedByOriginLocation} {
		if e.Annotation(annotation) == "" {
			e = e.WithAnnotation(annotation, location)
		}
	}
	return e
}
