package github

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// discovery brings a Location for each repository that it finds.
type discovery struct {
	settings  discoverySettings
	api       *api
	scheduler service.Scheduler
	events    service.Events
	log       *slog.Logger
	conn      catalog.EntityProviderConnection
}

// Name implements catalog.EntityProvider. It is Backstage's.
func (d *discovery) Name() string { return "github-provider:" + d.settings.id }

// Connect implements catalog.EntityProvider.
func (d *discovery) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	d.conn = conn
	// Durable: what an event tells is not told again before the next refresh, and one replica is enough to act on it.
	if err := d.events.Subscribe(service.Subscription{
		ID: d.Name(), Topics: []string{pushTopic, repositoryTopic}, OnEvent: d.onEvent, Durable: true,
	}); err != nil {
		return err
	}
	return d.scheduler.Schedule(d.settings.Schedule.Task(d.Name()+":refresh", d.refresh))
}

// organizations are those whose repositories are read.
func (d *discovery) organizations(ctx context.Context) ([]string, error) {
	if d.settings.Organization != "" {
		return []string{d.settings.Organization}, nil
	}
	return d.api.server.Organizations(ctx, d.settings.App)
}

// refresh reads all repositories and replaces what was found before. If anything can't be read, nothing is replaced.
func (d *discovery) refresh(ctx context.Context) error {
	organizations, err := d.organizations(ctx)
	if err != nil {
		return err
	}
	read := 0
	var locations []catalog.DeferredEntity
	for _, organization := range organizations {
		repositories, err := d.api.repositories(ctx, organization, &d.settings)
		if err != nil {
			return err
		}
		read += len(repositories)
		d.log.DebugContext(ctx, "Read the repositories of a GitHub organization", "organization", organization, "repositories", len(repositories))
		for _, r := range repositories {
			if !d.settings.Filters.chooses(r) || d.settings.ValidateLocationsExist && !r.HasFile {
				continue
			}
			location, err := d.location(r)
			if err != nil {
				return err
			}
			locations = append(locations, location)
		}
	}
	if err := d.conn.ApplyMutation(ctx, catalog.FullMutationOf(locations...)); err != nil {
		return err
	}
	d.log.InfoContext(ctx, fmt.Sprintf("Read %d GitHub repositories (%d matching the pattern)", read, len(locations)))
	return nil
}

// location is the Location of a repository.
func (d *discovery) location(r repository) (catalog.DeferredEntity, error) {
	e, err := catalog.LocationEntity(catalogmodel.LocationSpec{
		Type: "url", Target: target(r, "blob", d.settings.branch(r), string(d.settings.CatalogPath)), Presence: "optional",
	})
	return catalog.DeferredEntity{Entity: e, LocationKey: d.Name()}, err
}

// reads tells whether the discovery reads the repositories of an organization.
func (d *discovery) reads(ctx context.Context, organization string) (bool, error) {
	all, err := d.organizations(ctx)
	return slices.ContainsFunc(all, func(one string) bool { return strings.EqualFold(one, organization) }), err
}
