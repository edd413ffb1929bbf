package urlreader

import (
	"context"
	"net/url"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// bitbucketCloud reads from Bitbucket Cloud: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-source/.
type bitbucketCloud struct {
	*integration.BitbucketCloud
	server
}

func (b *bitbucketCloud) reads(u *url.URL) bool { return u.Host == b.Host() }

func (b *bitbucketCloud) repository(t target) *url.URL {
	return under(b.APIBase, "repositories", t.Owner, t.Repo)
}

func (b *bitbucketCloud) file(ctx context.Context, t target, options service.URLReadOptions) (*service.URLFile, error) {
	if t.Ref == "" || t.Path == "" {
		return nil, needsFile(t, "https://bitbucket.org/workspace/repository/src/main/path")
	}
	return b.raw(ctx, t, underPath(under(b.repository(t), "src", t.Ref), t.Path), options, "*/*")
}

func (b *bitbucketCloud) revision(ctx context.Context, t target) (string, error) {
	ref := t.Ref
	if ref == "" {
		var repository struct {
			MainBranch struct {
				Name string `json:"name"`
			} `json:"mainbranch"`
		}
		if err := b.getJSON(ctx, b.where, t.request(b.repository(t)), "", &repository); err != nil {
			return "", err
		}
		ref = repository.MainBranch.Name
	}
	var commits struct {
		Values []struct {
			Hash string `json:"hash"`
		} `json:"values"`
	}
	if err := b.getJSON(ctx, b.where, t.request(under(b.repository(t), "commits", ref)), "", &commits); err != nil {
		return "", err
	}
	if len(commits.Values) == 0 || commits.Values[0].Hash == "" {
		return "", service.NotFoundError.Errorf("%s: %s knows no commit of %s", t.subject, b.Host(), ref)
	}
	return short(commits.Values[0].Hash), nil
}

func (b *bitbucketCloud) archive(ctx context.Context, t target, revision string) (*archive, error) {
	return b.download(ctx, t, under(b.Base, t.Owner, t.Repo, "get", revision+".tar.gz"), archive{subpath: t.Path, strip: true})
}

// bitbucketServer reads from Bitbucket Server and Data Center: https://developer.atlassian.com/server/bitbucket/rest/.
type bitbucketServer struct {
	*integration.BitbucketServer
	server
}

func (b *bitbucketServer) reads(u *url.URL) bool { return u.Host == b.Host() }

func (b *bitbucketServer) narrows() {}

func (b *bitbucketServer) repository(t target) *url.URL {
	return under(b.APIBase, "projects", t.Owner, "repos", t.Repo)
}

func (b *bitbucketServer) file(ctx context.Context, t target, options service.URLReadOptions) (*service.URLFile, error) {
	if t.Path == "" {
		return nil, needsFile(t, "https://"+b.Host()+"/projects/KEY/repos/repository/browse/path?at=main")
	}
	return b.raw(ctx, t, withQuery(underPath(under(b.repository(t), "raw"), t.Path), "at", t.Ref), options, "*/*")
}

func (b *bitbucketServer) revision(ctx context.Context, t target) (string, error) {
	type branch struct {
		ID           string `json:"id"`
		DisplayID    string `json:"displayId"`
		LatestCommit string `json:"latestCommit"`
	}
	if t.Ref == "" {
		var one branch
		if err := b.getJSON(ctx, b.where, t.request(under(b.repository(t), "branches", "default")), "", &one); err != nil {
			return "", err
		}
		return short(one.LatestCommit), nil
	}
	var branches struct {
		Values []branch `json:"values"`
	}
	u := withQuery(under(b.repository(t), "branches"), "filterText", t.Ref)
	if err := b.getJSON(ctx, b.where, t.request(u), "", &branches); err != nil && !isNotFound(err) {
		return "", err
	}
	for _, one := range branches.Values {
		if one.DisplayID == t.Ref || one.ID == t.Ref {
			return short(one.LatestCommit), nil
		}
	}
	// Not a branch: a tag or a commit.
	var commits struct {
		Values []struct {
			ID string `json:"id"`
		} `json:"values"`
	}
	u = withQuery(under(b.repository(t), "commits"), "until", t.Ref, "limit", "1")
	if err := b.getJSON(ctx, b.where, t.request(u), "", &commits); err != nil {
		return "", err
	}
	if len(commits.Values) == 0 {
		return "", service.NotFoundError.Errorf("%s: %s knows no branch, tag or commit %s", t.subject, b.Host(), t.Ref)
	}
	return short(commits.Values[0].ID), nil
}

func (b *bitbucketServer) archive(ctx context.Context, t target, revision string) (*archive, error) {
	ref := t.Ref
	if ref == "" {
		ref = revision
	}
	u := withQuery(under(b.repository(t), "archive"), "format", "tgz", "at", ref, "prefix", t.Owner+"-"+t.Repo, "path", t.Path)
	return b.download(ctx, t, u, archive{subpath: t.Path, strip: true})
}
