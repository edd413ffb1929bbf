package urlreader

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// gerrit reads from Gerrit and Gitiles: https://gerrit-review.googlesource.com/Documentation/rest-api-projects.html.
type gerrit struct {
	*integration.Gerrit
	server
}

// gerritPrefix is before all JSON of Gerrit, so that browsers don't run it.
const gerritPrefix = ")]}'"

func (g *gerrit) reads(u *url.URL) bool { return u.Host == g.GitilesBase.Host }

// authenticated is the URL for the credentials of the target.
func (g *gerrit) authenticated(t target, u *url.URL) *url.URL {
	if t.as.Authorization() == "" {
		return u
	}
	return g.Authenticated(u)
}

func (g *gerrit) project(t target) *url.URL {
	return under(g.authenticated(t, g.Base), "projects", t.Repo)
}

func (g *gerrit) file(ctx context.Context, t target, _ service.URLReadOptions) (*service.URLFile, error) {
	if t.Path == "" {
		return nil, needsFile(t, g.GitilesBase.String()+"/repository/+/refs/heads/main/path")
	}
	return g.content(ctx, t, t.Path)
}

// content is a file, which Gerrit sends in base64.
func (g *gerrit) content(ctx context.Context, t target, path string) (*service.URLFile, error) {
	var u *url.URL
	switch t.RefType {
	case integration.Commit:
		u = under(g.project(t), "commits", t.Ref, "files", path, "content")
	case integration.Tag:
		return nil, service.NotImplementedError.Errorf("%s: Gerrit has no files of tags; use a branch or a commit", t.subject)
	default:
		u = under(g.project(t), "branches", g.branch(t), "files", path, "content")
	}
	r := t.request(u)
	res, err := g.get(ctx, g.where, r)
	if err != nil {
		return nil, err
	}
	if res.ContentLength > 0 {
		res.ContentLength = res.ContentLength / 4 * 3
	}
	f, err := g.client.file(r, res)
	if err != nil {
		return nil, err
	}
	decoded := base64.NewDecoder(base64.StdEncoding, res.Body)
	f.Body = body{limitReader(decoded, g.limits.MaxFileSize, t.subject), res.Body}
	return f, nil
}

func (g *gerrit) branch(t target) string {
	if t.Ref == "" {
		return "HEAD"
	}
	return t.Ref
}

func (g *gerrit) revision(ctx context.Context, t target) (string, error) {
	if t.RefType == integration.Commit {
		return t.Ref, nil
	}
	kind := "branches"
	if t.RefType == integration.Tag {
		kind = "tags"
	}
	var branch struct {
		Revision string `json:"revision"`
		Object   string `json:"object"` // the commit of a tag
	}
	err := g.getJSON(ctx, g.where, t.request(under(g.project(t), kind, g.branch(t))), gerritPrefix, &branch)
	if err == nil && t.RefType == integration.Tag && branch.Object != "" {
		return branch.Object, nil
	}
	return branch.Revision, err
}

// gitiles is the URL of the repository, followed by what is to be done with what is at the ref.
func (g *gerrit) gitiles(t target, action string) *url.URL {
	u := underPath(g.authenticated(t, g.GitilesBase), t.Repo).JoinPath(action)
	switch t.RefType {
	case integration.Branch:
		return under(u, "refs", "heads", t.Ref)
	case integration.Tag:
		return under(u, "refs", "tags", t.Ref)
	case integration.Commit:
		return under(u, t.Ref)
	}
	return under(u, "HEAD")
}

// archive has no folder around the files, and holds only what is below the path.
func (g *gerrit) archive(ctx context.Context, t target, _ string) (*archive, error) {
	u := g.gitiles(t, "+archive")
	if t.Path != "" {
		u = underPath(u, t.Path)
	}
	u.Path += ".tar.gz"
	u.RawPath += ".tar.gz"
	return g.download(ctx, t, u, archive{})
}

func (g *gerrit) list(ctx context.Context, t target, _ string, found func(string, func(context.Context) ([]byte, error))) (bool, error) {
	var answer struct {
		Entries []struct {
			Type string `json:"type"`
			Name string `json:"name"`
		} `json:"entries"`
	}
	u := g.gitiles(t, "+").JoinPath("/")
	u.RawQuery = "format=JSON&recursive"
	if err := g.getJSON(ctx, g.where, t.request(u), gerritPrefix, &answer); err != nil {
		return false, err
	}
	for _, item := range answer.Entries {
		if item.Type != "blob" {
			continue
		}
		if _, err := cleanPath(item.Name); err != nil {
			continue
		}
		found(item.Name, func(ctx context.Context) ([]byte, error) {
			f, err := g.content(ctx, t, item.Name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", item.Name, err)
			}
			return f.Bytes()
		})
	}
	return true, nil
}
