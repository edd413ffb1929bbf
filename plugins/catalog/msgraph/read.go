package msgraph

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/portico-dev/portico/catalogmodel"
)

// parallel is how many requests are made at once.
const parallel = 10

// reading is one reading of a tenant.
type reading struct {
	*session
	transforms *transforms

	mu     sync.Mutex
	users  []catalogmodel.Entity
	groups map[string]catalogmodel.Entity // by id
	root   string                         // the id of the organisation, if it is among the groups
	// members are the groups in a group, and memberOf the groups of a user, by ids.
	members, memberOf links
}

// links are sets of ids, by id.
type links map[string]map[string]bool

func (l links) add(from, to string) {
	if l[from] == nil {
		l[from] = map[string]bool{}
	}
	l[from][to] = true
}

// each runs fn for the objects of a collection, several at once.
func (r *reading) each(ctx context.Context, path string, q query, fn func(context.Context, Object) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var failed error
	for o, err := range r.collection(inner, path, q, r.settings.QueryMode) {
		if err != nil {
			failed = err
			break
		}
		group.Go(func() error { return fn(inner, o) })
	}
	if err := group.Wait(); err != nil {
		return err // which has ended the collection, if that failed too
	}
	return failed
}

// defaultUserFields are what is asked for if nothing is configured; neededUserFields anyway.
var (
	defaultUserFields = []string{
		"businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation", "preferredLanguage",
		"surname", "userPrincipalName",
	}
	neededUserFields = []string{"id", "accountEnabled"}
)

func userFields(selected []string) []string {
	if len(selected) == 0 {
		selected = defaultUserFields
	}
	all := slices.Clone(selected)
	for _, needed := range neededUserFields {
		if !slices.ContainsFunc(all, func(s string) bool { return strings.EqualFold(s, needed) }) {
			all = append(all, needed)
		}
	}
	return all
}

// readUsers reads all users, or those of some groups.
func (r *reading) readUsers(ctx context.Context) error {
	s := r.settings
	q := query{filter: s.User.Filter, expand: s.User.Expand, fields: userFields(s.User.Select)}
	if s.UserGroupMember == (memberSettings{}) {
		return r.each(ctx, s.User.Path, q, r.addUser)
	}
	path := strings.Trim(s.UserGroupMember.Path, "/")
	if path == "" {
		path = "groups"
	}
	found := map[string]Object{}
	groups := query{filter: s.UserGroupMember.Filter, search: s.UserGroupMember.Search, expand: s.Group.Expand, fields: []string{"id", "displayName"}}
	err := r.each(ctx, path, groups, func(ctx context.Context, group Object) error {
		members := "groups/" + url.PathEscape(group.Text("id")) + "/members/microsoft.graph.user/"
		for user, err := range r.collection(ctx, members, q, s.QueryMode) {
			if err != nil {
				return err
			}
			r.mu.Lock()
			found[user.Text("id")] = user
			r.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return err
	}
	loading, inner := errgroup.WithContext(ctx)
	loading.SetLimit(parallel)
	for _, user := range found {
		loading.Go(func() error { return r.addUser(inner, user) })
	}
	return loading.Wait()
}

func (r *reading) addUser(ctx context.Context, o Object) error {
	if enabled, told := o["accountEnabled"].(bool); told && !enabled {
		return nil
	}
	photo := ""
	if load := r.settings.User.LoadPhotos; load == nil || *load {
		var err error
		if photo, err = r.photo(ctx, o.Text("id")); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.log.DebugContext(ctx, "A photo can't be loaded", "user", o.Text("id"), "error", err.Error())
		}
	}
	e, err := r.transform(ctx, r.transforms.user, o, func() catalogmodel.Entity { return userEntity(o, photo) })
	if err != nil || e.IsZero() {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users = append(r.users, e)
	return nil
}

// readGroups reads the organisation, the groups, and who is in them.
func (r *reading) readGroups(ctx context.Context) error {
	organization, err := r.object(ctx, "organization/"+url.PathEscape(r.settings.TenantID))
	if err != nil {
		return err
	}
	root, err := r.transform(ctx, r.transforms.organization, organization, func() catalogmodel.Entity { return organizationEntity(organization) })
	if err != nil {
		return err
	}
	if !root.IsZero() {
		r.root = organization.Text("id")
		r.groups[r.root] = root
	}
	s := r.settings.Group
	return r.each(ctx, s.Path, query{filter: s.Filter, search: s.Search, expand: s.Expand, fields: s.Select}, func(ctx context.Context, group Object) error {
		return r.addGroup(ctx, group, s.IncludeSubGroups)
	})
}

// addGroup adds a group, and those in it if they are to be included; their own are not.
func (r *reading) addGroup(ctx context.Context, o Object, includeSubGroups bool) error {
	e, err := r.transform(ctx, r.transforms.group, o, func() catalogmodel.Entity { return groupEntity(o) })
	if err != nil || e.IsZero() {
		return err
	}
	id := o.Text("id")
	r.mu.Lock()
	r.groups[id] = e
	r.mu.Unlock()
	for member, err := range r.collection(ctx, "groups/"+url.PathEscape(id)+"/members", query{}, "basic") {
		if err != nil {
			return err
		}
		r.mu.Lock()
		switch member.Text("@odata.type") {
		case "#microsoft.graph.user":
			r.memberOf.add(member.Text("id"), id)
		case "#microsoft.graph.group":
			r.members.add(id, member.Text("id"))
		}
		r.mu.Unlock()
		if includeSubGroups && member.Text("@odata.type") == "#microsoft.graph.group" {
			if err := r.addGroup(ctx, member, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// transform makes an entity. One without a name is left out.
func (r *reading) transform(ctx context.Context, t Transformer, o Object, standard func() catalogmodel.Entity) (e catalogmodel.Entity, err error) {
	if t == nil {
		e = standard()
	} else if e, err = t(ctx, o, standard); err != nil {
		return e, err
	}
	if !e.IsZero() && e.Name() == "" {
		r.log.WarnContext(ctx, "An object of Microsoft Graph was left out: there is nothing to make a name from", "id", o.Text("id"))
		return catalogmodel.Entity{}, nil
	}
	return e, nil
}
