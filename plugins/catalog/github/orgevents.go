package github

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

const (
	installationTopic = "github.installation"
	membershipTopic   = "github.membership"
	organizationTopic = "github.organization"
	teamTopic         = "github.team"
)

// orgEvent is what the events about organizations have in common: they say where to look.
type orgEvent struct {
	Action       string
	Organization struct{ Login string }
	Installation struct{ Account struct{ Login string } }
	Membership   struct{ User struct{ Login string } }
	Member       struct{ Login string }
	Team         struct {
		Slug, Name string
		Parent     *struct{ Slug string }
	}
	Changes struct {
		Name *struct{ From string }
	}
}

func isMissing(err error) bool { return errors.Is(err, service.NotFoundError) }

// onEvent brings the catalog up to date with what an event is about: it is asked for, not taken from the event.
func (o *organizations) onEvent(ctx context.Context, event service.Event) error {
	var told orgEvent
	if err := event.Decode(&told); err != nil {
		o.log.WarnContext(ctx, "An event is ignored", "topic", event.Topic, "error", err)
		return nil
	}
	if event.Topic == installationTopic {
		return o.onInstallation(ctx, told)
	}
	org := told.Organization.Login
	all, err := o.orgs(ctx)
	if err != nil || !slices.ContainsFunc(all, func(one string) bool { return strings.EqualFold(one, org) }) {
		return err
	}
	o.log.DebugContext(ctx, "Received event from "+event.Topic, "action", told.Action, "organization", org)
	switch event.Topic + " " + told.Action {
	case organizationTopic + " member_added", organizationTopic + " member_removed":
		return o.settleUser(ctx, org, told.Membership.User.Login, told.Action == "member_added")
	case teamTopic + " edited":
		if told.Changes.Name != nil { // the slug is another, and its members have to be told
			return o.trigger(ctx)
		}
		return o.settleTeam(ctx, org, told)
	case teamTopic + " created", teamTopic + " deleted":
		return o.settleTeam(ctx, org, told)
	case membershipTopic + " added", membershipTopic + " removed":
		if told.Team.Slug == "" { // it was deleted
			return nil
		}
		return errors.Join(o.settleTeam(ctx, org, told), o.settleUser(ctx, org, told.Member.Login, true))
	}
	return nil
}

// onInstallation has all read when the app was installed in another organization.
func (o *organizations) onInstallation(ctx context.Context, told orgEvent) error {
	org := told.Installation.Account.Login
	if told.Action != "created" || len(o.settings.Orgs) > 0 && !o.settings.includes(org) {
		return nil
	}
	// Asking for credentials has installations looked for that aren't known yet.
	if _, err := o.api.server.Credentials(ctx, integration.Location{Owner: org}); err != nil {
		return err
	}
	return o.trigger(ctx)
}

// trigger has all organizations read.
func (o *organizations) trigger(ctx context.Context) error { return o.scheduler.Trigger(ctx, o.task()) }

// settleTeam brings or removes the group of a team.
func (o *organizations) settleTeam(ctx context.Context, org string, told orgEvent) error {
	team, err := o.api.team(ctx, org, told.Team.Slug, &o.settings)
	if err != nil {
		return err
	}
	if gone := team == nil; gone {
		team = &Team{Organization: org, Slug: told.Team.Slug, Name: told.Team.Name}
		if told.Team.Parent != nil {
			team.Parent = told.Team.Parent.Slug
		}
		e, err := o.transformation.ofTeam(ctx, *team)
		if err != nil || e.IsZero() {
			return err
		}
		return o.conn.ApplyMutation(ctx, catalog.DeltaMutationOf(nil, []catalogmodel.Ref{e.Ref()}))
	}
	e, err := o.transformation.ofTeam(ctx, *team)
	if err != nil || e.IsZero() {
		return err
	}
	return o.conn.ApplyMutation(ctx, catalog.DeltaMutationOf([]catalog.DeferredEntity{o.deferred(e)}, nil))
}

// settleUser brings the entity of a user with its groups, or removes it if the user belongs to no organization that is read. Whether it
// belongs to org is known; GitHub may tell it late.
func (o *organizations) settleUser(ctx context.Context, org, login string, member bool) error {
	user, orgs, err := o.api.user(ctx, org, login, &o.settings)
	if err != nil {
		return err
	}
	exists := user != nil
	if !exists {
		user = &User{Organization: org, Login: login}
	}
	e, err := o.transformation.ofUser(ctx, *user)
	if err != nil || e.IsZero() {
		return err
	}
	orgs, err = o.among(ctx, orgs, org, member)
	if err != nil {
		return err
	}
	if !exists || user.isSuspended() || len(orgs) == 0 {
		return o.conn.ApplyMutation(ctx, catalog.DeltaMutationOf(nil, []catalogmodel.Ref{e.Ref()}))
	}
	users := map[string]catalogmodel.Entity{e.Ref().String(): e}
	for _, one := range orgs {
		teams, err := o.api.teamsOfUser(ctx, one, login, &o.settings)
		if err != nil {
			return err
		}
		for i := range teams {
			teams[i].Members = []string{login}
		}
		groups, err := o.groups(ctx, teams)
		if err != nil {
			return err
		}
		if err := join(users, groups); err != nil {
			return err
		}
	}
	return o.conn.ApplyMutation(ctx, catalog.DeltaMutationOf([]catalog.DeferredEntity{o.deferred(users[e.Ref().String()])}, nil))
}

// among are those of the organizations that are read. Of org it is known whether it is one of them.
func (o *organizations) among(ctx context.Context, orgs []string, org string, member bool) ([]string, error) {
	all, err := o.orgs(ctx)
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool {
		if strings.EqualFold(one, org) {
			return !member
		}
		return !slices.ContainsFunc(orgs, func(of string) bool { return strings.EqualFold(of, one) })
	}), err
}
