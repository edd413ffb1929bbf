package github

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jonboulle/clockwork"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
)

//go:embed org.schema.json
var orgSchema []byte

// OrgModule adds the members and teams of GitHub's organizations to the catalog, as catalog.providers.githubOrg says.
func OrgModule(options ...OrgOption) plugin.Module {
	return plugin.NewModule("catalog", "github-org-entity-provider",
		plugin.ConfigSchema(orgSchema),
		plugin.Init(func(d deps) error { return d.addOrgs(options) }),
	)
}

// OrgOption is an option of [OrgModule].
type OrgOption func(*transformation)

// TransformUsers has the entities of users changed.
func TransformUsers(t UserTransformer) OrgOption { return func(all *transformation) { all.user = t } }

// TransformTeams has the entities of teams changed.
func TransformTeams(t TeamTransformer) OrgOption { return func(all *transformation) { all.team = t } }

func (d deps) addOrgs(options []OrgOption) error {
	configured, err := readOrgs(d.Config)
	if err != nil || len(configured) == 0 {
		return err
	}
	transport := forge.Transport(d.Lifecycle, d.Telemetry)
	for _, s := range configured {
		p := &organizations{settings: s, scheduler: d.Scheduler, events: d.Events, clock: d.Clock}
		p.transformation.settings = &p.settings
		for _, o := range options {
			o(&p.transformation)
		}
		p.log = d.Log.With("provider", p.Name())
		p.api, err = newAPI(d.Integrations, s.host, forge.Dependencies{Transport: transport, Clock: d.Clock, Log: p.log})
		if err != nil {
			return fmt.Errorf("%s: %w", s.key, err)
		}
		d.Providers.AddEntityProvider(p)
	}
	return nil
}

// organizations brings the members and teams of organizations.
type organizations struct {
	settings       orgSettings
	transformation transformation
	api            *api
	scheduler      service.Scheduler
	events         service.Events
	clock          clockwork.Clock
	log            *slog.Logger
	conn           catalog.EntityProviderConnection
}

// Name implements catalog.EntityProvider. It is Backstage's.
func (o *organizations) Name() string { return "GithubMultiOrgEntityProvider:" + o.settings.ID }

func (o *organizations) task() string { return o.Name() + ":refresh" }

// Connect implements catalog.EntityProvider.
func (o *organizations) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	o.conn = conn
	if err := o.events.Subscribe(service.Subscription{
		ID: o.Name(), Topics: []string{installationTopic, membershipTopic, organizationTopic, teamTopic}, OnEvent: o.onEvent, Durable: true,
	}); err != nil {
		return err
	}
	return o.scheduler.Schedule(o.settings.Schedule.Task(o.task(), o.refresh))
}

// orgs are the organizations to read.
func (o *organizations) orgs(ctx context.Context) ([]string, error) {
	if len(o.settings.Orgs) > 0 {
		return o.settings.Orgs, nil
	}
	found, err := o.api.server.Organizations(ctx)
	if err == nil && len(found) == 0 {
		err = service.InputError.Errorf("there is no organization to read: name some as %s.orgs, or install a GitHub App that is configured "+
			"below integrations.github", orgKey)
	}
	return found, err
}

// refresh reads all organizations and replaces what was read before. If anything can't be read, nothing is replaced.
func (o *organizations) refresh(ctx context.Context) error {
	began := o.clock.Now()
	orgs, err := o.orgs(ctx)
	if err != nil {
		return err
	}
	users := map[string]catalogmodel.Entity{} // a user may be in several organizations
	var groups []catalogmodel.Entity
	for _, org := range orgs {
		teams, err := o.read(ctx, org, users)
		if err != nil {
			return err
		}
		groups = append(groups, teams...)
	}
	entities := make([]catalog.DeferredEntity, 0, len(users)+len(groups))
	for _, u := range users {
		entities = append(entities, o.deferred(u))
	}
	for _, g := range groups {
		entities = append(entities, o.deferred(g))
	}
	o.log.InfoContext(ctx, fmt.Sprintf("Read %d GitHub users and %d GitHub groups in %.1f seconds. Committing...",
		len(users), len(groups), o.clock.Since(began).Seconds()))
	return o.conn.ApplyMutation(ctx, catalog.FullMutationOf(entities...))
}

// read reads an organization: it adds to the users, by their refs, and returns the groups.
func (o *organizations) read(ctx context.Context, org string, users map[string]catalogmodel.Entity) ([]catalogmodel.Entity, error) {
	o.log.InfoContext(ctx, "Reading GitHub users and teams for org: "+org)
	members, err := o.api.users(ctx, org, &o.settings)
	if err != nil {
		return nil, err
	}
	for _, u := range members {
		if u.isSuspended() {
			continue
		}
		e, err := o.transformation.ofUser(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("the user %s: %w", u.Login, err)
		}
		if ref := e.Ref().String(); !e.IsZero() && users[ref].IsZero() {
			users[ref] = e
		}
	}
	teams, err := o.api.teams(ctx, org, &o.settings)
	if err != nil {
		return nil, err
	}
	groups, err := o.groups(ctx, teams)
	if err != nil {
		return nil, err
	}
	return groups, errors.Join(tellParents(groups), join(users, groups))
}

// groups are the entities of teams.
func (o *organizations) groups(ctx context.Context, teams []Team) ([]catalogmodel.Entity, error) {
	var groups []catalogmodel.Entity
	for _, t := range teams {
		e, err := o.transformation.ofTeam(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("the team %s/%s: %w", t.Organization, t.Slug, err)
		}
		if !e.IsZero() {
			groups = append(groups, e)
		}
	}
	return groups, nil
}

func (o *organizations) deferred(e catalogmodel.Entity) catalog.DeferredEntity {
	return catalog.DeferredEntity{Entity: e, LocationKey: "github-multi-org-provider:" + o.settings.ID}
}
