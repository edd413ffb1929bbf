package github

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

const (
	// maxCommits is how many commits GitHub tells of. A push with that many may have more, and what they come to is not known.
	maxCommits = 2048
	// filesPerPage is how many files of a commit GitHub answers at once, and maxFilePages how many pages there are.
	filesPerPage = 300
	maxFilePages = 10
)

// scm tells the catalog what webhooks say about registered locations.
type scm struct {
	apis map[string]*api // by host
	log  *slog.Logger
}

// addSCMEvents has locations follow what happens in all GitHub servers of the configuration.
func (d deps) addSCMEvents() error {
	s := &scm{apis: map[string]*api{}, log: d.Log}
	transport := forge.Transport(d.Lifecycle, d.Telemetry)
	for _, server := range d.Integrations.GitHub {
		if server.APIBase == nil {
			continue
		}
		a, err := newAPI(d.Integrations, server.Host(), forge.Dependencies{Transport: transport, Clock: d.Clock, Log: d.Log})
		if err != nil {
			return err
		}
		s.apis[server.Host()] = a
	}
	d.SCMEvents.AddSCMEventSource(catalog.SCMEventSource{
		ID: "catalog-github-scm-events-bridge", Topics: []string{pushTopic, repositoryTopic}, Translate: s.translate,
	})
	return nil
}

// translate tells what a webhook says. What it says has to be about one of the servers.
func (s *scm) translate(ctx context.Context, event service.Event) ([]catalog.SCMEvent, error) {
	var told struct{ Repository repositoryPayload }
	if err := event.Decode(&told); err != nil {
		return s.ignore(ctx, event, err)
	}
	u, err := integration.ParseURL(told.Repository.HTMLURL)
	if err != nil {
		return s.ignore(ctx, event, err)
	}
	a := s.apis[u.Host]
	if a == nil {
		return nil, nil
	}
	if err := told.Repository.isAt(u.Host); err != nil {
		return s.ignore(ctx, event, err)
	}
	if event.Topic == repositoryTopic {
		return s.ofRepository(ctx, event, told.Repository)
	}
	return s.ofPush(ctx, event, a, told.Repository)
}

// ignore is for events that would be no better the next time.
func (s *scm) ignore(ctx context.Context, event service.Event, err error) ([]catalog.SCMEvent, error) {
	s.log.WarnContext(ctx, "An event is ignored", "topic", event.Topic, "error", err)
	return nil, nil
}

// ofPush tells what a push has done to files.
func (s *scm) ofPush(ctx context.Context, event service.Event, a *api, p repositoryPayload) ([]catalog.SCMEvent, error) {
	var push struct {
		Ref     string
		Commits []struct {
			ID string
			forge.Commit
		}
	}
	if err := event.Decode(&push); err != nil {
		return s.ignore(ctx, event, err)
	}
	if push.Ref != "refs/heads/"+p.DefaultBranch {
		return nil, nil
	}
	if len(push.Commits) >= maxCommits {
		return s.ignore(ctx, event, fmt.Errorf("the push to %s has too many commits (%d) to know what it comes to", p.HTMLURL, len(push.Commits)))
	}
	var files forge.Files
	for _, c := range push.Commits {
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
		return target(p.repository(), "blob", p.DefaultBranch, integration.EscapePath(path))
	}), nil
}

// commit notes what a commit has done.
func (a *api) commit(ctx context.Context, p repositoryPayload, id string, files *forge.Files) error {
	u := a.server.APIBase.JoinPath("repos", url.PathEscape(p.Owner.Login), url.PathEscape(p.Name), "commits", url.PathEscape(id))
	for page := 1; page <= maxFilePages; page++ {
		u.RawQuery = url.Values{"per_page": {strconv.Itoa(filesPerPage)}, "page": {strconv.Itoa(page)}}.Encode()
		var answer struct {
			Files []struct {
				Filename, Status string
				Previous         string `json:"previous_filename"`
			}
		}
		header, err := a.client.Get(ctx, forge.Request{
			What: fmt.Sprintf("a commit of %s/%s", p.Owner.Login, p.Name), At: integration.Location{Owner: p.Owner.Login}, URL: u,
		}, &answer)
		if err != nil {
			return err
		}
		for _, f := range answer.Files {
			switch f.Status {
			case "added", "copied":
				files.Add(f.Filename)
			case "removed":
				files.Remove(f.Filename)
			case "renamed":
				files.Rename(f.Previous, f.Filename)
			default:
				files.Modify(f.Filename)
			}
		}
		if !hasNext(header) {
			break
		}
	}
	return nil
}

// hasNext tells whether there are more pages.
func hasNext(header http.Header) bool { return strings.Contains(header.Get("Link"), `rel="next"`) }

// ofRepository tells what has happened to a repository.
func (s *scm) ofRepository(ctx context.Context, event service.Event, p repositoryPayload) ([]catalog.SCMEvent, error) {
	var told struct {
		Action  string
		Changes struct {
			Repository    struct{ Name struct{ From string } }
			DefaultBranch struct{ From string } `json:"default_branch"`
			Owner         struct {
				From struct{ User, Organization struct{ Login string } }
			}
		}
	}
	if err := event.Decode(&told); err != nil {
		return s.ignore(ctx, event, err)
	}
	server := strings.TrimSuffix(p.HTMLURL, "/"+p.Owner.Login+"/"+p.Name)
	moved := func(from, to string) []catalog.SCMEvent {
		return []catalog.SCMEvent{{Type: catalog.RepositoryMoved, URL: from, MovedTo: to}}
	}
	switch told.Action {
	case "deleted":
		return []catalog.SCMEvent{{Type: catalog.RepositoryDeleted, URL: p.HTMLURL}}, nil
	case "archived", "unarchived", "privatized", "publicized":
		return []catalog.SCMEvent{{Type: catalog.RepositoryUpdated, URL: p.HTMLURL}}, nil
	case "renamed":
		if from := told.Changes.Repository.Name.From; isName(from) {
			return moved(server+"/"+p.Owner.Login+"/"+from, p.HTMLURL), nil
		}
	case "transferred":
		from := told.Changes.Owner.From.User.Login + told.Changes.Owner.From.Organization.Login // it is one of them
		if isName(from) {
			return moved(server+"/"+from+"/"+p.Name, p.HTMLURL), nil
		}
	case "edited":
		if from := told.Changes.DefaultBranch.From; from != "" && p.DefaultBranch != "" {
			return moved(target(p.repository(), "blob", from, ""), target(p.repository(), "blob", p.DefaultBranch, "")), nil
		}
	}
	return nil, nil
}

// isName tells whether something is one segment of a URL.
func isName(text string) bool { return text != "" && !strings.Contains(text, "/") }
