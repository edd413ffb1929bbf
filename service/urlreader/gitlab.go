package urlreader

import (
	"context"
	"net/url"
	"strings"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// gitlab reads from GitLab: https://docs.gitlab.com/api/repositories/.
type gitlab struct {
	*integration.GitLab
	server
}

func (g *gitlab) reads(u *url.URL) bool { return u.Host == g.Host() }

func (g *gitlab) narrows() {}

func (g *gitlab) project(t target) *url.URL {
	return under(g.APIBase, "projects", t.FullName())
}

const artifacts = "/-/jobs/artifacts/"

func (g *gitlab) file(ctx context.Context, t target, options service.URLReadOptions) (*service.URLFile, error) {
	u, err := integration.ParseURL(t.url)
	if err != nil {
		return nil, err
	}
	if _, artifact, ok := strings.Cut(u.EscapedPath(), artifacts); ok {
		// https://…/group/project/-/jobs/artifacts/<ref>/raw/<path>?job=<name>; the path is the same in the API.
		file := g.project(t).JoinPath("jobs/artifacts", artifact)
		file.RawQuery = u.RawQuery
		return g.raw(ctx, t, file, service.URLReadOptions{}, "*/*") // artifacts have no conditions
	}
	if t.Ref == "" || t.Path == "" || t.View != "blob" && t.View != "raw" {
		return nil, needsFile(t, g.Base.String()+"/group/project/-/blob/main/path")
	}
	return g.raw(ctx, t, withQuery(under(g.project(t), "repository", "files", t.Path, "raw"), "ref", t.Ref), options, "*/*")
}

func (g *gitlab) revision(ctx context.Context, t target) (string, error) {
	ref, err := g.ref(ctx, t)
	if err != nil {
		return "", err
	}
	var commits []struct {
		ID string `json:"id"`
	}
	u := withQuery(under(g.project(t), "repository", "commits"), "ref_name", ref, "path", t.Path)
	if err := g.getJSON(ctx, g.where, t.request(u), "", &commits); err != nil {
		return "", err
	}
	if len(commits) == 0 {
		return "", nil
	}
	return commits[0].ID, nil
}

// ref is that of the target, or else the default branch.
func (g *gitlab) ref(ctx context.Context, t target) (string, error) {
	if t.Ref != "" {
		return t.Ref, nil
	}
	var project struct {
		DefaultBranch string `json:"default_branch"`
	}
	err := g.getJSON(ctx, g.where, t.request(g.project(t)), "", &project)
	return project.DefaultBranch, err
}

// archive downloads what is at the ref: the revision is that of the path, which may be older than the rest.
func (g *gitlab) archive(ctx context.Context, t target, revision string) (*archive, error) {
	ref := t.Ref
	if ref == "" {
		ref = revision
	}
	u := withQuery(under(g.project(t), "repository", "archive"), "sha", ref, "path", t.Path)
	return g.download(ctx, t, u, archive{subpath: t.Path, strip: true})
}
