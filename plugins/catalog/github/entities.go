package github

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// UserTransformer changes the entity that is made of a user. It returns the entity to bring, which need not be of the kind User, or the
// zero Entity to leave the user out. An error ends the run; the catalog stays as it was. It may be called concurrently.
type UserTransformer func(ctx context.Context, user User, entity catalogmodel.Entity) (catalogmodel.Entity, error)

// TeamTransformer changes the entity that is made of a team, as a [UserTransformer] does that of a user. When a team is gone, it is called
// to tell what its entity was: then the team has only what the event told.
type TeamTransformer func(ctx context.Context, team Team, entity catalogmodel.Entity) (catalogmodel.Entity, error)

// transformation makes entities of people.
type transformation struct {
	user     UserTransformer // or nil
	team     TeamTransformer // or nil
	settings *orgSettings
}

// tag is what follows a plus sign in the local part of an address.
var tag = regexp.MustCompile(`\+[^@]*`)

func (t *transformation) email(u User) string {
	if t.settings.DefaultUserTransformer.UseVerifiedEmails && len(u.VerifiedEmails) > 0 {
		return tag.ReplaceAllString(u.VerifiedEmails[0], "")
	}
	return u.Email
}

// ofUser is the entity of a user; the zero Entity if it is left out.
func (t *transformation) ofUser(ctx context.Context, u User) (catalogmodel.Entity, error) {
	e, err := catalogmodel.User.New(u.Login, catalogmodel.UserSpec{
		Profile:  &catalogmodel.Profile{DisplayName: u.Name, Email: t.email(u), Picture: u.AvatarURL},
		MemberOf: []string{},
	})
	if err != nil {
		return e, err
	}
	e = e.WithAnnotation(catalogmodel.AnnotationGitHubUserLogin, u.Login)
	if u.ID != "" {
		e = e.WithAnnotation(catalogmodel.AnnotationGitHubUserID, u.ID)
	}
	e = describe(e, u.Bio)
	if t.user != nil {
		if e, err = t.user(ctx, u, e); err != nil || e.IsZero() {
			return e, err
		}
	}
	login := e.Annotation(catalogmodel.AnnotationGitHubUserLogin)
	if login == "" {
		login = e.Name()
	}
	return t.locate(e, u.Organization, login), nil
}

// ofTeam is the entity of a team; the zero Entity if it is left out.
func (t *transformation) ofTeam(ctx context.Context, team Team) (catalogmodel.Entity, error) {
	members := make([]string, len(team.Members))
	for i, login := range team.Members {
		members[i] = catalogmodel.DefaultNamespace + "/" + login
	}
	e, err := catalogmodel.Group.New(team.Slug, catalogmodel.GroupSpec{
		Type:     "team",
		Profile:  &catalogmodel.Profile{DisplayName: team.Name, Picture: team.AvatarURL},
		Parent:   team.Parent,
		Children: []string{},
		Members:  members,
	})
	if err != nil {
		return e, err
	}
	if !t.settings.oneNamespace {
		e = e.With(catalogmodel.StringValue(strings.ToLower(team.Organization)), "metadata", "namespace")
	}
	e = e.WithAnnotation(catalogmodel.AnnotationGitHubTeamSlug, team.Organization+"/"+team.Slug)
	if team.EditURL != "" {
		e = e.WithAnnotation(catalogmodel.AnnotationEditURL, team.EditURL)
	}
	e = describe(e, team.Description)
	if t.team != nil {
		if e, err = t.team(ctx, team, e); err != nil || e.IsZero() {
			return e, err
		}
	}
	return t.locate(e, team.Organization, e.Name()), nil
}

func describe(e catalogmodel.Entity, description string) catalogmodel.Entity {
	if description == "" {
		return e
	}
	return e.With(catalogmodel.StringValue(description), "metadata", "description")
}

// locate adds the annotations of the page that shows what the entity was made of.
func (t *transformation) locate(e catalogmodel.Entity, org, name string) catalogmodel.Entity {
	page := "https://" + t.settings.host + "/" + name
	if e.Kind() == "Group" {
		if inOrg, slug, ok := strings.Cut(e.Annotation(catalogmodel.AnnotationGitHubTeamSlug), "/"); ok {
			org, name = inOrg, slug
		}
		page = fmt.Sprintf("https://%s/orgs/%s/teams/%s", t.settings.host, org, name)
	}
	location := catalogmodel.LocationRef{Type: "url", Target: page}.String()
	for _, annotation := range []string{catalogmodel.AnnotationManagedByLocation, catalogmodel.AnnotationManagedByOriginLocation} {
		if e.Annotation(annotation) == "" {
			e = e.WithAnnotation(annotation, location)
		}
	}
	return e
}

// tellParents adds the groups to the children of their parents, as far as these are among them.
func tellParents(groups []catalogmodel.Entity) error {
	byName := map[string]int{}
	for i, g := range groups {
		byName[g.Name()] = i
	}
	for _, g := range groups {
		i, ok := byName[g.Get("spec", "parent").Text()]
		if !ok || !catalogmodel.Group.Is(groups[i]) {
			continue
		}
		var err error
		if groups[i], err = withText(groups[i], g.Name(), "spec", "children"); err != nil {
			return err
		}
	}
	return nil
}

// join adds the groups to those of their members, which are by their refs.
func join(users map[string]catalogmodel.Entity, groups []catalogmodel.Entity) error {
	for _, g := range groups {
		name := g.Name()
		if g.Namespace() != catalogmodel.DefaultNamespace {
			name = g.Namespace() + "/" + name
		}
		for _, member := range g.Get("spec", "members").Strings() {
			ref, err := catalogmodel.ParseRef(member, catalogmodel.RefDefaults{Kind: "user", Namespace: catalogmodel.DefaultNamespace})
			if err != nil {
				return fmt.Errorf("a member of the group %s: %w", g.Ref(), err)
			}
			user, ok := users[ref.String()]
			if !ok || !catalogmodel.User.Is(user) {
				continue
			}
			if users[ref.String()], err = withText(user, name, "spec", "memberOf"); err != nil {
				return err
			}
		}
	}
	return nil
}

// withText adds a text to the list at the path, unless it is there already.
func withText(e catalogmodel.Entity, text string, path ...string) (catalogmodel.Entity, error) {
	list := e.Get(path...).Strings()
	if slices.Contains(list, text) {
		return e, nil
	}
	v, err := catalogmodel.ValueOf(append(list, text))
	return e.With(v, path...), err
}
