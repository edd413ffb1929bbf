package msgraph

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"

	"golang.org/x/sync/errgroup"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// provider ingests the users and groups of one tenant.
type provider struct {
	id         string
	settings   settings
	graph      *client
	transforms *transforms
	scheduler  service.Scheduler
	log        *slog.Logger
	conn       catalog.EntityProviderConnection
}

// Name implements catalog.EntityProvider.
func (p *provider) Name() string { return "MicrosoftGraphOrgEntityProvider:" + p.id }

// Connect implements catalog.EntityProvider.
func (p *provider) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	p.conn = conn
	return p.scheduler.Schedule(p.settings.Schedule.Task(p.Name()+":refresh", p.refresh))
}

// refresh replaces what the catalog has of the tenant.
func (p *provider) refresh(ctx context.Context) error {
	r := &reading{
		session: p.graph.session(ctx), transforms: p.transforms, groups: map[string]catalogmodel.Entity{}, members: links{}, memberOf: links{},
	}
	both, inner := errgroup.WithContext(ctx)
	both.Go(func() error { return r.readUsers(inner) })
	both.Go(func() error { return r.readGroups(inner) })
	if err := both.Wait(); err != nil {
		return fmt.Errorf("reading the tenant of provider %s: %w", p.id, err)
	}
	users := len(r.users)
	all, err := r.relate()
	if err != nil {
		return err
	}
	entities := make([]catalog.DeferredEntity, len(all))
	for i, e := range all {
		entities[i] = catalog.DeferredEntity{Entity: p.located(e), LocationKey: "msgraph-org-provider:" + p.id}
	}
	if err := p.conn.ApplyMutation(ctx, catalog.FullMutationOf(entities...)); err != nil {
		return err
	}
	p.log.InfoContext(ctx, "Ingested a tenant of Microsoft Graph", "users", users, "groups", len(all)-users)
	return nil
}

// located adds where the entity comes from.
func (p *provider) located(e catalogmodel.Entity) catalogmodel.Entity {
	id := cmp.Or(e.Annotation(catalogmodel.AnnotationAzureUserID), e.Annotation(catalogmodel.AnnotationAzureGroupID),
		e.Annotation(catalogmodel.AnnotationAzureTenantID), e.Name())
	location := "msgraph:" + p.id + "/" + url.PathEscape(id)
	for _, annotation := range []string{catalogmodel.AnnotationManagedByLocation, catalogmodel.AnnotationManagedByOriginLocation} {
		if e.Annotation(annotation) == "" {
			e = e.WithAnnotation(annotation, location)
		}
	}
	return e
}
