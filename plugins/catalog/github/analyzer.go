package github

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service/integration"
)

// analyzer finds the catalog's files in repositories by the search of GitHub.
type analyzer struct {
	integrations *integration.Integrations
	clients      map[string]*forge.Client // by host
}

var _ catalog.SCMLocationAnalyzer = (*analyzer)(nil)

func newAnalyzer(in *integration.Integrations, d forge.Dependencies) *analyzer {
	a := &analyzer{integrations: in, clients: map[string]*forge.Client{}}
	for _, server := range in.GitHub {
		a.clients[server.Host()] = forge.NewClient(server, integration.Retry{}, d)
	}
	return a
}

// server is the one that a URL leads to, or nil.
func (a *analyzer) server(rawURL string) *integration.GitHub {
	found, _ := a.integrations.ByURL(rawURL)
	server, ok := found.(*integration.GitHub)
	if !ok || server.APIBase == nil {
		return nil
	}
	return server
}

// Supports implements [catalog.SCMLocationAnalyzer].
func (a *analyzer) Supports(rawURL string) bool { return a.server(rawURL) != nil }

// Analyze implements [catalog.SCMLocationAnalyzer].
func (a *analyzer) Analyze(ctx context.Context, rawURL, filename string) ([]string, error) {
	server := a.server(rawURL)
	at, err := server.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	term := "filename:" + filename
	if extension := strings.TrimPrefix(path.Ext(filename), "."); extension != "" {
		term += " extension:" + extension
	}
	search := server.APIBase.JoinPath("search", "code")
	search.RawQuery = url.Values{"q": {term + " repo:" + at.FullName()}, "per_page": {"100"}}.Encode()
	var found struct {
		Items []struct{ Path string }
	}
	client := a.clients[server.Host()]
	what := fmt.Sprintf("files named %s in %s", filename, at.FullName())
	if _, err := client.Get(ctx, forge.Request{What: what, At: at, URL: search}, &found); err != nil || len(found.Items) == 0 {
		return nil, err
	}
	var repository struct {
		Branch string `json:"default_branch"`
	}
	request := forge.Request{What: "the repository " + at.FullName(), At: at, URL: server.APIBase.JoinPath("repos", at.Owner, at.Repo)}
	if _, err := client.Get(ctx, request, &repository); err != nil {
		return nil, err
	}
	base, err := integration.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	files := make([]string, len(found.Items))
	for i, item := range found.Items {
		file := url.URL{Scheme: base.Scheme, Host: base.Host}
		files[i] = file.JoinPath(at.Owner, at.Repo, "blob", url.PathEscape(cmp.Or(repository.Branch, "HEAD")), (&url.URL{Path: item.Path}).EscapedPath()).String()
	}
	return files, nil
}
