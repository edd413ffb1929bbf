package gitlab

import (
	"context"
	"net/url"
	"strconv"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// orgTopics are Backstage's: gitlab. and the name of the event of a system hook. The payloads are described at
// https://docs.gitlab.com/administration/system_hooks/.
var orgTopics = []string{
	"gitlab.group_create", "gitlab.group_destroy", "gitlab.group_rename", "gitlab.user_create", "gitlab.user_destroy",
	"gitlab.user_add_to_group", "gitlab.user_remove_from_group",
}

// orgEvent is what the events have in common: they say where to look. They don't say at which server: so what they are about has to have
// the same name there.
type orgEvent struct {
	GroupID   int64  `json:"group_id"`
	GroupName string `json:"group_name"`
	Name      string
	FullPath  string `json:"full_path"`
	UserID    int64  `json:"user_id"`
	Username  string
	Email     string
}

// onEvent brings the catalog up to date with what an event is about.
func (o *organization) onEvent(ctx context.Context, event service.Event) error {
	var told orgEvent
	if err := event.Decode(&told); err != nil {
		return o.ignore(ctx, event, err)
	}
	o.log.DebugContext(ctx, "Received event from topic "+event.Topic)
	switch event.Topic {
	case "gitlab.group_create":
		return o.settleGroup(ctx, told.GroupID, told.Name)
	case "gitlab.user_add_to_group", "gitlab.user_remove_from_group":
		return o.settleGroup(ctx, told.GroupID, told.GroupName)
	case "gitlab.group_destroy":
		return o.removeGroup(ctx, Group{ID: told.GroupID, Name: told.Name, FullPath: told.FullPath})
	case "gitlab.group_rename": // the groups below have other names, too
		return o.scheduler.Trigger(ctx, o.task())
	case "gitlab.user_create":
		return o.addUser(ctx, told)
	case "gitlab.user_destroy":
		return o.removeUser(ctx, User{ID: told.UserID, Username: told.Username, Name: told.Name, Email: told.Email, State: "active"})
	}
	return nil
}

// settleGroup brings a group with its members.
func (o *organization) settleGroup(ctx context.Context, id int64, name string) error {
	g, err := o.api.group(ctx, strconv.FormatInt(id, 10))
	if isMissing(err) || err == nil && (g.Name != name || !o.settings.brings(g.FullPath)) {
		return nil
	}
	if err != nil {
		return err
	}
	var parent *Group
	if g.ParentID != 0 {
		above, err := o.api.group(ctx, strconv.FormatInt(g.ParentID, 10))
		if err != nil && !isMissing(err) {
			return err
		}
		if err == nil && o.settings.brings(above.FullPath) {
			parent = &above
		}
	}
	members, err := o.api.members(ctx, g, o.settings.memberRelations())
	if err != nil {
		return err
	}
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.User.Username
	}
	e, err := o.transformation.ofGroup(ctx, g, parent, names)
	if err != nil || e.IsZero() {
		return err
	}
	return o.add(ctx, e)
}

func (o *organization) removeGroup(ctx context.Context, g Group) error {
	if g.FullPath == "" || !o.settings.brings(g.FullPath) {
		return nil
	}
	_, err := o.api.group(ctx, g.FullPath) // it may have been the same one of another server
	if !isMissing(err) {
		return err
	}
	e, err := o.transformation.ofGroup(ctx, g, nil, nil)
	if err != nil || e.IsZero() {
		return err
	}
	return o.remove(ctx, e)
}

// addUser brings a user. That it is a member of groups is told by other events.
func (o *organization) addUser(ctx context.Context, told orgEvent) error {
	u, err := o.api.user(ctx, told.UserID)
	if isMissing(err) || err == nil && (u.Username != told.Username || !o.settings.choosesUser(u)) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.settings.RestrictUsersToGroup {
		if member, err := o.api.isMember(ctx, o.settings.Group, u.ID); err != nil || !member {
			return err
		}
	}
	e, err := o.transformation.ofUser(ctx, u)
	if err != nil || e.IsZero() {
		return err
	}
	return o.add(ctx, e)
}

func (o *organization) removeUser(ctx context.Context, u User) error {
	if u.Username == "" || !o.settings.choosesUser(u) {
		return nil
	}
	named, err := list[User](ctx, o.api, "the user "+u.Username, url.Values{"username": {u.Username}}, "users")
	if err != nil || len(named) > 0 { // it may have been one of another server
		return err
	}
	e, err := o.transformation.ofUser(ctx, u)
	if err != nil || e.IsZero() {
		return err
	}
	return o.remove(ctx, e)
}

func (o *organization) add(ctx context.Context, e catalogmodel.Entity) error {
	return o.conn.ApplyMutation(ctx, catalog.DeltaMutationOf([]catalog.DeferredEntity{{Entity: e, LocationKey: o.Name()}}, nil))
}

func (o *organization) remove(ctx context.Context, e catalogmodel.Entity) error {
	return o.conn.ApplyMutation(ctx, catalog.DeltaMutationOf(nil, []catalogmodel.Ref{e.Ref()}))
}
