package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
)

// project is a project as the API describes it.
type project struct {
	ID            int64
	Path          string `json:"path_with_namespace"`
	WebURL        string `json:"web_url"`
	DefaultBranch string `json:"default_branch"`
	Archived      bool
	ForkedFrom    *struct{} `json:"forked_from_project"`
}

// file is a file in a project that has entities.
type file struct {
	project      project
	branch, path string
}

// url is the URL of the file. A slash in the name of the branch is written %2F, so that it's clear where the path begins.
func (f file) url(view string) string {
	return fmt.Sprintf("%s/-/%s/%s/%s", f.project.WebURL, view, url.PathEscape(f.branch), f.path)
}

// chooses tells whether the settings choose a project.
func (s *settings) chooses(p project) bool {
	return s.ProjectPattern.Match(p.Path) && s.contains(p.Path) &&
		(!s.SkipForkedRepos || p.ForkedFrom == nil) && (s.IncludeArchivedRepos || !p.Archived) &&
		!slices.Contains(s.ExcludeRepos, p.Path)
}

// file is the file of a project that the settings say.
func (s *settings) file(p project) file {
	f := file{project: p, branch: s.Branch, path: s.EntityFilename}
	if f.branch == "" {
		f.branch = p.DefaultBranch
	}
	if f.branch == "" {
		f.branch = s.FallbackBranch
	}
	return f
}

// project is a project by its id, or a NotFoundError.
func (a *api) project(ctx context.Context, id int64) (project, error) {
	var p project
	err := a.one(ctx, fmt.Sprintf("the project %d", id), &p, "projects", strconv.FormatInt(id, 10))
	return p, err
}

// exists tells whether the file is there. One in a repository that the token may not read isn't.
func (a *api) exists(ctx context.Context, f file) (bool, error) {
	_, err := a.client.Head(ctx, forge.Request{
		What: fmt.Sprintf("the file %s of %s", f.path, f.project.Path),
		URL:  a.at(url.Values{"ref": {f.branch}}, "projects", strconv.FormatInt(f.project.ID, 10), "repository", "files", f.path),
	})
	if isMissing(err) || errors.Is(err, service.NotAllowedError) {
		return false, nil
	}
	return err == nil, err
}

// projects are the projects of a group, or of the server.
func (a *api) projects(ctx context.Context, group string, s *settings) ([]project, error) {
	query := url.Values{"order_by": {"id"}, "sort": {"asc"}} // an order that doesn't change between pages
	if !s.IncludeArchivedRepos {
		query.Set("archived", "false")
	}
	if s.Membership {
		query.Set("membership", "true")
	}
	if len(s.Topics) > 0 {
		query.Set("topic", strings.Join(s.Topics, ","))
	}
	if !s.SkipForkedRepos { // the short form doesn't tell about forks
		query.Set("simple", "true")
	}
	if group == "" {
		return list[project](ctx, a, "all projects", query, "projects")
	}
	query.Set("include_subgroups", "true")
	return list[project](ctx, a, "the projects of "+group, query, "groups", group, "projects")
}

// groupsToRead are those whose projects are read: the configured one, or those that the patterns match, without those below them.
func (a *api) groupsToRead(ctx context.Context, s *settings) ([]string, error) {
	if len(s.GroupPattern) == 0 {
		return []string{s.Group}, nil
	}
	all, err := list[Group](ctx, a, "all groups", url.Values{"order_by": {"id"}}, "groups")
	if err != nil {
		return nil, err
	}
	var matching []string
	for _, g := range all {
		if s.GroupPattern.match(g.FullPath) {
			matching = append(matching, g.FullPath)
		}
	}
	slices.Sort(matching)
	return slices.DeleteFunc(slices.Clone(matching), func(path string) bool {
		return slices.ContainsFunc(matching, func(above string) bool { return strings.HasPrefix(path, above+"/") })
	}), nil
}

// maxQuestions is how many projects are looked into side by side.
const maxQuestions = 8

// files are the files in all projects that are chosen. read is how many projects there are.
func (a *api) files(ctx context.Context, s *settings) (found []file, read int, err error) {
	groups, err := a.groupsToRead(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	var chosen []file
	seen := map[int64]bool{}
	for _, group := range groups {
		projects, err := a.projects(ctx, group, s)
		if err != nil {
			return nil, 0, err
		}
		for _, p := range projects {
			if !seen[p.ID] && s.chooses(p) {
				chosen = append(chosen, s.file(p))
			}
			seen[p.ID] = true
		}
	}
	there := make([]bool, len(chosen))
	questions, ctx := errgroup.WithContext(ctx)
	questions.SetLimit(maxQuestions)
	for i, f := range chosen {
		questions.Go(func() (err error) {
			there[i], err = a.exists(ctx, f)
			return err
		})
	}
	if err := questions.Wait(); err != nil {
		return nil, 0, err
	}
	for i, f := range chosen {
		if there[i] {
			found = append(found, f)
		}
	}
	return found, len(seen), nil
}

// searched are the files that GitLab's search finds, in the projects that are chosen. read is how many it finds.
func (a *api) searched(ctx context.Context, s *settings) (found []file, read int, err error) {
	type hit struct {
		ProjectID int64 `json:"project_id"`
		Ref, Path string
	}
	query := url.Values{"scope": {"blobs"}, "search": {"filename:" + s.EntityFilename}}
	hits, err := list[hit](ctx, a, fmt.Sprintf("files named %s in %s", s.EntityFilename, s.Group), query, "groups", s.Group, "search")
	if err != nil {
		return nil, 0, err
	}
	projects := map[int64]project{}
	for _, h := range hits {
		p, known := projects[h.ProjectID]
		if !known {
			if p, err = a.project(ctx, h.ProjectID); err != nil && !isMissing(err) {
				return nil, 0, err
			}
			projects[h.ProjectID] = p
		}
		if p.ID != 0 && s.chooses(p) && s.GroupPattern.match(p.Path) {
			found = append(found, file{project: p, branch: h.Ref, path: h.Path})
		}
	}
	return found, len(hits), nil
}
