package urlreader

import (
	"context"
	"net/url"
	"strings"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// github reads from GitHub: https://docs.github.com/en/rest/repos/contents.
type github struct {
	*integration.GitHub
	server
}

func (g *github) reads(u *url.URL) bool { return u.Host == g.Host() }

func (g *github) repository(t target) *url.URL {
	return under(g.APIBase, "repos", t.Owner, t.Repo)
}

func (g *github) file(ctx context.Context, t target, options service.URLReadOptions) (*service.URLFile, error) {
	if t.Ref == "" || t.Path == "" || t.View == "edit" {
		return nil, needsFile(t, "https://"+g.Host()+"/owner/repository/blob/main/path")
	}
	if g.RawBase != nil && (g.APIBase == nil || t.as.Token() == "") {
		return g.raw(ctx, t, underPath(under(g.RawBase, t.Owner, t.Repo, t.Ref), t.Path), options, "*/*")
	}
	u := withQuery(underPath(under(g.repository(t), "contents"), t.Path), "ref", t.Ref)
	return g.raw(ctx, t, u, options, "application/vnd.github.v3.raw")
}

func (g *github) revision(ctx context.Context, t target) (string, error) {
	if g.APIBase == nil {
		return "", service.NotImplementedError.Errorf("%s: trees can be read only with an apiBaseUrl of the integration", t.subject)
	}
	ref := t.Ref
	if ref == "" {
		var repository struct {
			DefaultBranch string `json:"default_branch"`
		}
		if err := g.getJSON(ctx, g.where, t.request(g.repository(t)), "", &repository); err != nil {
			return "", err
		}
		ref = repository.DefaultBranch
	}
	var status struct {
		SHA string `json:"sha"`
	}
	u := withQuery(under(g.repository(t), "commits", ref, "status"), "per_page", "0")
	if err := g.getJSON(ctx, g.where, t.request(u), "", &status); err != nil {
		return "", err
	}
	if status.SHA == "" {
		return "", service.NotFoundError.Errorf("%s: %s knows no commit of it", t.subject, g.Host())
	}
	return status.SHA, nil
}

func (g *github) archive(ctx context.Context, t target, revision string) (*archive, error) {
	return g.download(ctx, t, under(g.repository(t), "tarball", revision), archive{subpath: t.Path, strip: true})
}

func (g *github) list(ctx context.Context, t target, revision string, found func(string, func(context.Context) ([]byte, error))) (bool, error) {
	var answer struct {
		Truncated bool `json:"truncated"`
		Tree      []struct {
			Path string `json:"path"`
			Type string `json:"type"`
			SHA  string `json:"sha"`
		} `json:"tree"`
	}
	u := withQuery(under(g.repository(t), "git", "trees", revision), "recursive", "true")
	if err := g.getJSON(ctx, g.where, t.request(u), "", &answer); err != nil || answer.Truncated {
		return false, err
	}
	for _, item := range answer.Tree {
		if item.Type != "blob" || item.SHA == "" {
			continue
		}
		if _, err := cleanPath(item.Path); err != nil {
			continue
		}
		blob := t.request(under(g.repository(t), "git", "blobs", item.SHA))
		found(item.Path, func(ctx context.Context) ([]byte, error) {
			var answer encoded
			if err := g.getJSON(ctx, g.where, blob, "", &answer); err != nil {
				return nil, err
			}
			return answer.decode(t)
		})
	}
	return true, nil
}

// link keeps the view of the URL that was given: ResolveURL would make it that of a tree.
func (g *github) link(t target, path string) (string, error) {
	u, err := integration.ParseURL(t.url)
	if err != nil {
		return "", err
	}
	parts := strings.SplitN(strings.TrimPrefix(u.EscapedPath(), "/"), "/", 5)
	base := &url.URL{Scheme: u.Scheme, Host: u.Host}
	for _, part := range parts[:min(4, len(parts))] {
		base = base.JoinPath(part)
	}
	return underPath(base, path).String(), nil
}
