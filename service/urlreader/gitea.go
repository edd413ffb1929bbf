package urlreader

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"

	"encoding/json"
	"fmt"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// gitea reads from Gitea and Forgejo: https://docs.gitea.com/api/.
type gitea struct {
	*integration.Gitea
	server
}

func (g *gitea) reads(u *url.URL) bool { return u.Host == g.Host() }

func (g *gitea) repository(t target) *url.URL {
	return under(g.Base, "api", "v1", "repos", t.Owner, t.Repo)
}

func (g *gitea) file(ctx context.Context, t target, options service.URLReadOptions) (*service.URLFile, error) {
	if t.Ref == "" || t.Path == "" {
		return nil, needsFile(t, g.Base.String()+"/owner/repository/src/branch/main/path")
	}
	u := withQuery(underPath(under(g.repository(t), "contents"), t.Path), "ref", t.Ref)
	r := conditional(t.request(u).with("Accept", "application/json"), options)
	res, err := g.get(ctx, g.where, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer encoded
	if err := json.NewDecoder(limitReader(res.Body, g.limits.MaxFileSize*4/3+maxEnvelope, t.subject)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: the answer of %s is not that of a file: %w", t.subject, g.Host(), err)
	}
	content, err := answer.decode(t)
	if err != nil {
		return nil, err
	}
	modified, _ := http.ParseTime(res.Header.Get("Last-Modified"))
	return &service.URLFile{Body: io.NopCloser(bytes.NewReader(content)), ETag: res.Header.Get("ETag"), LastModified: modified}, nil
}

// maxEnvelope is what may be around the content in JSON.
const maxEnvelope = 1 << 20

func (g *gitea) revision(ctx context.Context, t target) (string, error) {
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
	var commit struct {
		SHA string `json:"sha"`
	}
	err := g.getJSON(ctx, g.where, t.request(under(g.repository(t), "git", "commits", ref)), "", &commit)
	return commit.SHA, err
}

func (g *gitea) archive(ctx context.Context, t target, revision string) (*archive, error) {
	ref := t.Ref
	if ref == "" {
		ref = revision
	}
	return g.download(ctx, t, underPath(under(g.repository(t), "archive"), ref+".tar.gz"), archive{subpath: t.Path, strip: true})
}
