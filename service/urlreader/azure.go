package urlreader

import (
	"context"
	"net/url"
	"path"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// azure reads from Azure DevOps: https://learn.microsoft.com/en-us/rest/api/azure/devops/git/items/get.
type azure struct {
	*integration.Azure
	server
}

const azureVersion = "6.0"

func (a *azure) reads(u *url.URL) bool { return u.Host == a.Host() }

func (a *azure) file(ctx context.Context, t target, options service.URLReadOptions) (*service.URLFile, error) {
	if t.Path == "" {
		return nil, needsFile(t, "https://"+a.Host()+"/organization/project/_git/repository?path=/path&version=GBmain")
	}
	u := withQuery(a.Repository(t.Location).JoinPath("items"), "api-version", azureVersion, "path", "/"+t.Path,
		"version", t.Ref, "versionType", a.versionType(t))
	return a.raw(ctx, t, u, options, "application/octet-stream")
}

// versionType is empty for branches, which is what Azure DevOps takes versions for.
func (a *azure) versionType(t target) string {
	if t.RefType == integration.Branch {
		return ""
	}
	return string(t.RefType)
}

func (a *azure) revision(ctx context.Context, t target) (string, error) {
	var commits struct {
		Value []struct {
			CommitID string `json:"commitId"`
		} `json:"value"`
	}
	u := withQuery(a.Repository(t.Location).JoinPath("commits"), "api-version", azureVersion, "searchCriteria.$top", "1",
		"searchCriteria.itemVersion.version", t.Ref, "searchCriteria.itemVersion.versionType", a.versionType(t))
	if err := a.getJSON(ctx, a.where, t.request(u), "", &commits); err != nil {
		return "", err
	}
	if len(commits.Value) == 0 {
		return "", service.NotFoundError.Errorf("%s: %s knows no commit of it", t.subject, a.Host())
	}
	return commits.Value[0].CommitID, nil
}

func (a *azure) archive(ctx context.Context, t target, _ string) (*archive, error) {
	scope, subpath := "", ""
	if t.Path != "" {
		// The archive has the last folder of the path, and what is below.
		scope, subpath = "/"+t.Path, path.Base(t.Path)
	}
	u := withQuery(a.Repository(t.Location).JoinPath("items"), "api-version", azureVersion, "recursionLevel", "full", "download", "true",
		"scopePath", scope, "version", t.Ref, "versionType", a.versionType(t))
	r := t.request(u).with("Accept", "application/zip")
	res, err := a.get(ctx, a.where, r)
	if err != nil {
		return nil, err
	}
	return &archive{body: res.Body, zip: true, subpath: subpath}, nil
}
