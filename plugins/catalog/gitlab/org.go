package gitlab

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service/config"
)

// OrgModule adds GitLab's users and groups to the catalog, for those of catalog.providers.gitlab that have orgEnabled.
func OrgModule(options ...OrgOption) plugin.Module {
	return plugin.NewModule("catalog", "gitlabOrgDiscoveryEntityProvider",
		plugin.ConfigSchema(config.SchemaOf[map[string]declared](settingsKey)),
		plugin.Init(func(d deps) error { return d.addOrgs(options) }),
	)
}

// OrgOption is an option of [OrgModule].
type OrgOption func(*transformation)

// TransformUsers has the entities of users changed.
func TransformUsers(t UserTransformer) OrgOption { return func(all *transformation) { all.user = t } }

// TransformGroups has the entities of groups changed. Members and subgroups refer to a group by the name that it has without a change.
func TransformGroups(t GroupTransformer) OrgOption {
	return func(all *transformation) { all.group = t }
}

func (d deps) addOrgs(options []OrgOption) error {
	var missing error
	err := d.providers("GitlabOrgDiscoveryEntityProvider", func(s settings) bool { return s.OrgEnabled }, func(p provider) {
		if p.settings.Group == "" && !p.api.selfManaged() {
			missing = fmt.Errorf("%s.%s: needs a group: the users of gitlab.com are those of a group", settingsKey, p.settings.id)
		}
		o := &organization{provider: p}
		o.transformation = transformation{settings: &o.settings, server: p.api.server}
		for _, option := range options {
			option(&o.transformation)
		}
		d.Providers.AddEntityProvider(o)
	})
	if err != nil {
		return err
	}
	return missing
}

// organization brings users and groups.
type organization struct {
	provider
	transformation transformation
}

// Connect implements catalog.EntityProvider.
func (o *organization) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	return o.connect(conn, orgTopics, o.onEvent, o.refresh)
}

// choosesUser tells whether a user is brought.
func (s *settings) choosesUser(u User) bool {
	name := u.Email
	if name == "" {
		name = u.Username
	}
	return u.State == "active" && s.UserPattern.Match(name)
}

// refresh reads all users and groups and replaces what was read before. If anything can't be read, nothing is replaced.
func (o *organization) refresh(ctx context.Context) error {
	allGroups, allUsers, err := o.api.groupsAndUsers(ctx, &o.settings)
	if err != nil {
		return err
	}
	users := map[int64]*User{}
	for _, u := range allUsers {
		if users[u.ID] == nil && o.settings.choosesUser(u) {
			users[u.ID] = &u
		}
	}
	var groups []Group
	for _, g := range allGroups {
		if o.settings.brings(g.FullPath) {
			groups = append(groups, g)
		}
	}
	if groups, err = o.join(ctx, users, groups); err != nil {
		return err
	}
	entities, err := o.entities(ctx, users, groups)
	if err != nil {
		return err
	}
	if err := o.conn.ApplyMutation(ctx, catalog.FullMutationOf(entities...)); err != nil {
		return err
	}
	o.log.InfoContext(ctx, fmt.Sprintf("Scanned %d users and processed %d users, scanned %d groups and processed %d groups",
		len(allUsers), len(users), len(allGroups), len(groups)))
	return nil
}

// join tells users of their groups, and returns those that have users.
func (o *organization) join(ctx context.Context, users map[int64]*User, groups []Group) ([]Group, error) {
	members := make([][]memberNode, len(groups))
	questions, within := errgroup.WithContext(ctx)
	questions.SetLimit(maxQuestions)
	for i, g := range groups {
		questions.Go(func() (err error) {
			members[i], err = o.api.members(within, g, o.settings.memberRelations())
			return err
		})
	}
	if err := questions.Wait(); err != nil {
		return nil, err
	}
	var joined []Group
	for i, g := range groups {
		used := false
		for _, m := range members[i] {
			if u := users[int64(m.User.ID)]; u != nil {
				u.Groups = append(u.Groups, g)
				used = true
			}
		}
		if used {
			joined = append(joined, g)
		}
	}
	return joined, nil
}

func (o *organization) entities(ctx context.Context, users map[int64]*User, groups []Group) ([]catalog.DeferredEntity, error) {
	var all []catalog.DeferredEntity
	for _, u := range users {
		e, err := o.transformation.ofUser(ctx, *u)
		if err != nil {
			return nil, fmt.Errorf("the user %s: %w", u.Username, err)
		}
		if !e.IsZero() {
			all = append(all, catalog.DeferredEntity{Entity: e, LocationKey: o.Name()})
		}
	}
	byID := map[int64]*Group{}
	for i, g := range groups {
		byID[g.ID] = &groups[i]
	}
	for _, g := range groups {
		e, err := o.transformation.ofGroup(ctx, g, byID[g.ParentID], nil)
		if err != nil {
			return nil, fmt.Errorf("the group %s: %w", g.FullPath, err)
		}
		if !e.IsZero() {
			all = append(all, catalog.DeferredEntity{Entity: e, LocationKey: o.Name()})
		}
	}
	return all, nil
}
