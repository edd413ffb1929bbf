package gitlab

import (
	"context"
	"fmt"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// pushTopic is Backstage's: gitlab. and the kind of object that the webhook is about. The payloads are described at
// https://docs.gitlab.com/user/project/integrations/webhook_events/.
const pushTopic = "gitlab.push"

// discovery brings a Location for each file that it finds.
type discovery struct{ provider }

func (d deps) addDiscoveries() error {
	all := func(settings) bool { return true }
	return d.providers("GitlabDiscoveryEntityProvider", all, func(p provider) { d.Providers.AddEntityProvider(&discovery{p}) })
}

// Connect implements catalog.EntityProvider.
func (d *discovery) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	return d.connect(conn, []string{pushTopic}, d.onPush, d.refresh)
}

// refresh looks into all projects and replaces what was found before. If anything can't be read, nothing is replaced.
func (d *discovery) refresh(ctx context.Context) error {
	find, unit := d.api.files, "projects"
	if d.settings.UseSearch {
		find, unit = d.api.searched, "found files"
	}
	files, read, err := find(ctx, &d.settings)
	if err != nil {
		return err
	}
	locations := make([]catalog.DeferredEntity, len(files))
	for i, f := range files {
		if locations[i], err = d.location(f); err != nil {
			return err
		}
	}
	if err := d.conn.ApplyMutation(ctx, catalog.FullMutationOf(locations...)); err != nil {
		return err
	}
	d.log.InfoContext(ctx, fmt.Sprintf("Processed %d locations from scanned %d %s", len(locations), read, unit))
	return nil
}

func (d *discovery) location(f file) (catalog.DeferredEntity, error) {
	e, err := catalog.LocationEntity(catalogmodel.LocationSpec{Type: "url", Target: f.url("blob"), Presence: "optional"})
	return catalog.DeferredEntity{Entity: e, LocationKey: d.Name()}, err
}

// push is the payload of an event.
type push struct {
	Ref       string
	ProjectID int64 `json:"project_id"`
	Project   struct {
		WebURL string `json:"web_url"`
	}
	// Commits are the newest ones only, TotalCommits is how many there are.
	Commits      []forge.Commit
	TotalCommits int `json:"total_commits_count"`
}

// onPush looks for changes of what the catalog reads in a push.
func (d *discovery) onPush(ctx context.Context, event service.Event) error {
	var told push
	if err := event.Decode(&told); err != nil {
		return d.ignore(ctx, event, err)
	}
	// Projects of several servers may have the same id.
	if u, err := integration.ParseURL(told.Project.WebURL); err != nil || u.Host != d.api.server.Host() {
		return nil
	}
	p, err := d.api.project(ctx, told.ProjectID)
	if isMissing(err) || err == nil && (p.WebURL != told.Project.WebURL || !d.settings.chooses(p) || !d.reads(p)) {
		return nil
	}
	if err != nil {
		return err
	}
	f := d.settings.file(p)
	if told.Ref != "refs/heads/"+f.branch {
		return nil
	}
	changes := forge.ChangesOf(told.Commits, func(path string) bool { return path == f.path })
	var keys []string
	for _, path := range changes.Files {
		keys = append(keys, keysOf(file{project: p, branch: f.branch, path: integration.EscapePath(path)})...)
	}
	if changes.Matched || told.TotalCommits > len(told.Commits) {
		if err := d.settle(ctx, f); err != nil {
			return err
		}
		keys = append(keys, keysOf(f)...)
	}
	d.log.DebugContext(ctx, "Processed a push", "project", p.Path, "files", len(changes.Files))
	return d.conn.Refresh(ctx, keys...)
}

// keysOf are the names by which the catalog remembers a file: the URLs that led there, which may show a file or a tree.
func keysOf(f file) []string { return []string{"url:" + f.url("blob"), "url:" + f.url("tree")} }

// reads tells whether a project is in one of the groups that the patterns match.
func (d *discovery) reads(p project) bool {
	for i, c := range p.Path {
		if c == '/' && d.settings.GroupPattern.match(p.Path[:i]) {
			return true
		}
	}
	return false
}

// settle brings or removes the Location of a file, which may have come or gone.
func (d *discovery) settle(ctx context.Context, f file) error {
	there, err := d.api.exists(ctx, f)
	if err != nil {
		return err
	}
	location, err := d.location(f)
	if err != nil {
		return err
	}
	if !there {
		return d.conn.ApplyMutation(ctx, catalog.DeltaMutationOf(nil, []catalogmodel.Ref{location.Entity.Ref()}))
	}
	return d.conn.ApplyMutation(ctx, catalog.DeltaMutationOf([]catalog.DeferredEntity{location}, nil))
}
