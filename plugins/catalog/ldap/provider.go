package ldap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

// provider ingests the users and groups of one directory.
type provider struct {
	id         string
	settings   settings
	transforms *transforms
	scheduler  service.Scheduler
	log        *slog.Logger
	conn       catalog.EntityProviderConnection
}

// Name implements catalog.EntityProvider.
func (p *provider) Name() string { return "LdapOrgEntityProvider:" + p.id }

// Connect implements catalog.EntityProvider.
func (p *provider) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	p.conn = conn
	return p.scheduler.Schedule(p.settings.Schedule.Task(p.Name()+":refresh", p.refresh))
}

// refresh replaces what the catalog has of the directory.
func (p *provider) refresh(ctx context.Context) error {
	users, groups, err := p.read(ctx)
	if err != nil {
		return fmt.Errorf("reading the LDAP directory %s: %w", p.id, err)
	}
	if err := relate(users, groups); err != nil {
		return err
	}
	entities := make([]catalog.DeferredEntity, 0, len(users)+len(groups))
	for _, m := range slices.Concat(users, groups) {
		entities = append(entities, catalog.DeferredEntity{Entity: p.located(m.entity), LocationKey: "ldap-org-provider:" + p.id})
	}
	if err := p.conn.ApplyMutation(ctx, catalog.FullMutationOf(entities...)); err != nil {
		return err
	}
	p.log.InfoContext(ctx, "Ingested an LDAP directory", "users", len(users), "groups", len(groups))
	return nil
}

func (p *provider) read(ctx context.Context) (users, groups []*member, err error) {
	c, err := dial(ctx, p.settings)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if closeErr := c.Close(); err == nil && ctx.Err() == nil {
			err = closeErr
		}
	}()
	v, err := c.vendor(ctx, p.settings.Vendor)
	if err != nil {
		return nil, nil, err
	}
	if users, err = p.members(ctx, c, v, user, p.settings.Users, p.transforms.user); err != nil {
		return nil, nil, err
	}
	groups, err = p.members(ctx, c, v, group, p.settings.Groups, p.transforms.group)
	return users, groups, err
}

// members reads the entries of a kind.
func (p *provider) members(ctx context.Context, c *client, v vendor, k kind, all searches, t Transformer) ([]*member, error) {
	var members []*member
	for _, s := range all {
		entries, err := c.search(ctx, s.DN, s.Options)
		if err != nil {
			return nil, err
		}
		var bad []error
		for _, entry := range entries {
			e, err := transform(ctx, t, entry, func() (catalogmodel.Entity, error) { return k.entity(entry, s, v) })
			if err != nil {
				bad = append(bad, err)
				p.log.WarnContext(ctx, "An entry was left out", "kind", k.name, "error", err.Error())
				continue
			}
			if e.IsZero() {
				continue
			}
			m := &member{entity: e, ref: e.Ref().String()}
			// Without a distinguished name of its own, an entry is related to nothing.
			if v.one(entry, v.dn) != "" {
				m.memberOf, m.members = v.values(entry, s.Map.MemberOf), v.values(entry, s.Map.Members)
			}
			members = append(members, m)
		}
		if len(bad) > 0 && len(bad) == len(entries) {
			return nil, fmt.Errorf("no entry at %q can be used; the first one: %w", s.DN, bad[0])
		}
	}
	slices.SortStableFunc(members, func(a, b *member) int { return strings.Compare(a.entity.Name(), b.entity.Name()) })
	return members, nil
}

func transform(ctx context.Context, t Transformer, entry *ldap.Entry, standard func() (catalogmodel.Entity, error)) (catalogmodel.Entity, error) {
	if t == nil {
		return standard()
	}
	e, err := t(ctx, entry, standard)
	if err == nil && !e.IsZero() && e.Name() == "" {
		err = errors.New(entry.DN + ": the transformer gave it no metadata.name")
	}
	return e, err
}

// likeJavaScript makes of an escaped text what JavaScript's encodeURIComponent leaves it as.
var likeJavaScript = strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*")

// located adds where the entity comes from.
func (p *provider) located(e catalogmodel.Entity) catalogmodel.Entity {
	dn := e.Annotation(catalogmodel.AnnotationLDAPDN)
	if dn == "" {
		dn = e.Name()
	}
	location := "ldap://" + p.id + "/" + likeJavaScript.Replace(url.QueryEscape(dn))
	for _, annotation := range []string{catalogmodel.AnnotationManagedByLocation, catalogmodel.AnnotationManagedByOriginLocation} {
		if e.Annotation(annotation) == "" {
			e = e.WithAnnotation(annotation, location)
		}
	}
	return e
}
