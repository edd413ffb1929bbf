package gitlab

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// The topics of system hooks about projects.
const (
	projectDestroyTopic  = "gitlab.project_destroy"
	projectRenameTopic   = "gitlab.project_rename"
	projectTransferTopic = "gitlab.project_transfer"
)

// scm tells the catalog what webhooks say about registered locations.
type scm struct {
	apis []*api
	log  *slog.Logger
}

// addSCMEvents has locations follow what happens in all GitLab servers of the configuration.
func (d deps) addSCMEvents() error {
	s := &scm{log: d.Log}
	transport := forge.Transport(d.Lifecycle, d.Telemetry)
	for _, server := range d.Integrations.GitLab {
		s.apis = append(s.apis, d.api(server, transport, d.Log))
	}
	d.SCMEvents.AddSCMEventSource(catalog.SCMEventSource{
		ID: "catalog-gitlab-scm-events-bridge", Topics: []string{pushTopic, projectDestroyTopic, projectRenameTopic, projectTransferTopic},
		Translate: s.translate,
	})
	return nil
}

func (s *scm) translate(ctx context.Context, event service.Event) ([]catalog.SCMEvent, error) {
	if event.Topic == pushTopic {
		return s.ofPush(ctx, event)
	}
	return s.ofProject(ctx, event)
}

// ignore is for events that would be no better the next time.
func (s *scm) ignore(ctx context.Context, event service.Event, err error) ([]catalog.SCMEvent, error) {
	s.log.WarnContext(ctx, "An event is ignored", "topic", event.Topic, "error", err)
	return nil, nil
}

// ofPush tells what a push has done to files.
func (s *scm) ofPush(ctx context.Context, event service.Event) ([]catalog.SCMEvent, error) {
	var told struct {
		Ref       string
		ProjectID int64 `json:"project_id"`
		Project   struct {
			WebURL        string `json:"web_url"`
			Path          string `json:"path_with_namespace"`
			DefaultBranch string `json:"default_branch"`
		}
		Commits []struct {
			ID string
			forge.Commit
		}
	}
	if err := event.Decode(&told); err != nil {
		return s.ignore(ctx, event, err)
	}
	p := project{ID: told.ProjectID, Path: told.Project.Path, WebURL: told.Project.WebURL}
	for _, a := range s.apis {
		if p.WebURL != a.web(p.Path) || told.Ref != "refs/heads/"+told.Project.DefaultBranch {
			continue
		}
		var files forge.Files
		for _, c := range told.Commits {
			if !c.MayRename() {
				files.Apply(c.Commit)
				continue
			}
			// Which file has got which name, only the API tells.
			if err := a.commit(ctx, p, c.ID, &files); forge.IsRefused(err) {
				return s.ignore(ctx, event, err)
			} else if err != nil {
				return nil, err
			}
		}
		return files.Events(func(path string) string {
			return file{project: p, branch: told.Project.DefaultBranch, path: integration.EscapePath(path)}.url("blob")
		}), nil
	}
	return nil, nil
}

// web is the URL of a project.
func (a *api) web(path string) string {
	return strings.TrimRight(a.server.Base.String(), "/") + "/" + path
}

// commit notes what a commit has done.
func (a *api) commit(ctx context.Context, p project, id string, files *forge.Files) error {
	type diff struct {
		Old     string `json:"old_path"`
		New     string `json:"new_path"`
		Added   bool   `json:"new_file"`
		Renamed bool   `json:"renamed_file"`
		Deleted bool   `json:"deleted_file"`
	}
	diffs, err := list[diff](ctx, a, fmt.Sprintf("a commit of %s", p.Path), url.Values{},
		"projects", strconv.FormatInt(p.ID, 10), "repository", "commits", id, "diff")
	if err != nil {
		return err
	}
	for _, d := range diffs {
		switch {
		case d.Added:
			files.Add(d.New)
		case d.Deleted:
			files.Remove(d.Old)
		case d.Renamed:
			files.Rename(d.Old, d.New)
		default:
			files.Modify(d.New)
		}
	}
	return nil
}

// ofProject tells what has happened to a project. System hooks, which gitlab.com doesn't have, don't say at which server: so it has to have
// happened there.
func (s *scm) ofProject(ctx context.Context, event service.Event) ([]catalog.SCMEvent, error) {
	var told struct {
		Path    string `json:"path_with_namespace"`
		OldPath string `json:"old_path_with_namespace"`
	}
	if err := event.Decode(&told); err != nil {
		return s.ignore(ctx, event, err)
	}
	var events []catalog.SCMEvent
	for _, a := range s.apis {
		if !a.selfManaged() || told.Path == "" {
			continue
		}
		var p project
		err := a.one(ctx, "the project "+told.Path, &p, "projects", told.Path)
		gone := isMissing(err)
		switch {
		case err != nil && !gone:
			return nil, err
		case event.Topic == projectDestroyTopic && gone:
			events = append(events, catalog.SCMEvent{Type: catalog.RepositoryDeleted, URL: a.web(told.Path)})
		case event.Topic != projectDestroyTopic && p.Path == told.Path && told.OldPath != "":
			events = append(events, catalog.SCMEvent{Type: catalog.RepositoryMoved, URL: a.web(told.OldPath), MovedTo: a.web(told.Path)})
		}
	}
	return events, nil
}
