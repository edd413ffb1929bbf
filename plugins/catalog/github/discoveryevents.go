package github

import (
	"context"
	"fmt"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// The topics are those of Backstage: github. and the name of the webhook's event. The payloads are described at
// https://docs.github.com/en/webhooks/webhook-events-and-payloads.
const (
	pushTopic       = "github.push"
	repositoryTopic = "github.repository"
)

// repositoryPayload is a repository in events.
type repositoryPayload struct {
	Name          string
	HTMLURL       string `json:"html_url"`
	DefaultBranch string `json:"default_branch"`
	Topics        []string
	Archived      bool
	Fork          bool
	Visibility    string
	Owner         struct{ Login string }
}

func (p repositoryPayload) repository() repository {
	return repository{
		Name: p.Name, URL: p.HTMLURL, Branch: p.DefaultBranch, Topics: p.Topics,
		IsArchived: p.Archived, IsFork: p.Fork, Visibility: p.Visibility,
	}
}

// onEvent brings the catalog up to date with what an event tells.
func (d *discovery) onEvent(ctx context.Context, event service.Event) error {
	var told struct{ Repository repositoryPayload }
	if err := event.Decode(&told); err != nil {
		return d.ignore(ctx, event, err)
	}
	if err := told.Repository.isAt(d.api.server.Host()); err != nil {
		return d.ignore(ctx, event, err)
	}
	read, err := d.reads(ctx, told.Repository.Owner.Login)
	if err != nil || !read {
		return err
	}
	if event.Topic == pushTopic {
		return d.onPush(ctx, event, told.Repository.repository())
	}
	return d.onRepository(ctx, event, told.Repository)
}

// ignore is for events that would be no better the next time.
func (d *discovery) ignore(ctx context.Context, event service.Event, err error) error {
	d.log.WarnContext(ctx, "An event is ignored", "topic", event.Topic, "error", err)
	return nil
}

// isAt tells what is wrong with a repository in an event: it has to be one of the server, whoever has sent the event.
func (p repositoryPayload) isAt(host string) error {
	u, err := integration.ParseURL(p.HTMLURL)
	if err != nil {
		return err
	}
	if u.Host != host || u.Path != "/"+p.Owner.Login+"/"+p.Name {
		return fmt.Errorf("%s is not the URL of a repository %s/%s of %s", integration.Redact(u), p.Owner.Login, p.Name, host)
	}
	return nil
}

// onPush looks for changes of what the catalog reads in a push.
func (d *discovery) onPush(ctx context.Context, event service.Event, r repository) error {
	var push struct {
		Ref     string
		Commits []forge.Commit
	}
	if err := event.Decode(&push); err != nil {
		return d.ignore(ctx, event, err)
	}
	branch := d.settings.branch(r)
	if push.Ref != "refs/heads/"+branch || !d.settings.Filters.chooses(r) {
		return nil
	}
	changes := forge.ChangesOf(push.Commits, d.settings.CatalogPath.Match)
	if changes.Matched && !changes.There && !d.settings.CatalogPath.IsGlob() {
		return d.remove(ctx, r)
	}
	// The catalog remembers a file by the URL that led there, which may show a file or a tree.
	var keys []string
	refresh := func(path string) {
		keys = append(keys, "url:"+target(r, "blob", branch, path), "url:"+target(r, "tree", branch, path))
	}
	for _, file := range changes.Files {
		refresh(integration.EscapePath(file))
	}
	if changes.Matched {
		if err := d.add(ctx, r); err != nil { // it may be the first such file
			return err
		}
		refresh(string(d.settings.CatalogPath))
	}
	d.log.DebugContext(ctx, "Processed a push", "repository", r.URL, "files", len(changes.Files))
	return d.conn.Refresh(ctx, keys...)
}

// onRepository follows what has happened to a repository.
func (d *discovery) onRepository(ctx context.Context, event service.Event, p repositoryPayload) error {
	var told struct {
		Action  string
		Changes struct {
			Repository    struct{ Name struct{ From string } }
			DefaultBranch struct{ From string } `json:"default_branch"`
		}
	}
	if err := event.Decode(&told); err != nil {
		return d.ignore(ctx, event, err)
	}
	r := p.repository()
	before := r
	switch told.Action {
	case "deleted":
		return d.remove(ctx, r)
	case "renamed":
		before.Name = told.Changes.Repository.Name.From
		before.URL = strings.TrimSuffix(r.URL, "/"+r.Name) + "/" + before.Name
	case "edited":
		if from := told.Changes.DefaultBranch.From; from != "" {
			before.Branch = from
		}
	case "archived", "unarchived", "privatized", "publicized", "transferred":
	default: // a new repository has nothing to read yet; its first push tells
		return nil
	}
	if d.settings.Filters.chooses(r) {
		there, err := d.isThere(ctx, p)
		if err != nil {
			return err
		}
		if there {
			return d.replace(ctx, before, r)
		}
	}
	return d.remove(ctx, before)
}

// isThere tells whether the file is in the repository, where that matters.
func (d *discovery) isThere(ctx context.Context, p repositoryPayload) (bool, error) {
	if !d.settings.ValidateLocationsExist {
		return true, nil
	}
	return d.api.hasFile(ctx, p.Owner.Login, p.Name, &d.settings)
}

func (d *discovery) add(ctx context.Context, r repository) error { return d.replace(ctx, r, r) }

func (d *discovery) remove(ctx context.Context, r repository) error {
	location, err := d.location(r)
	if err != nil {
		return err
	}
	return d.conn.ApplyMutation(ctx, catalog.DeltaMutationOf(nil, []catalogmodel.Ref{location.Entity.Ref()}))
}

// replace brings the Location of a repository, which may have had another one before.
func (d *discovery) replace(ctx context.Context, before, after repository) error {
	old, err := d.location(before)
	if err != nil {
		return err
	}
	location, err := d.location(after)
	if err != nil {
		return err
	}
	var removed []catalogmodel.Ref
	if ref := old.Entity.Ref(); ref != location.Entity.Ref() {
		removed = append(removed, ref)
	}
	return d.conn.ApplyMutation(ctx, catalog.DeltaMutationOf([]catalog.DeferredEntity{location}, removed))
}
