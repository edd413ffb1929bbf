package integration

import (
	"context"
	"net/url"
	"strings"
)

// GitHub is a GitHub server.
type GitHub struct {
	server
	// APIBase is the URL of the REST API, or nil.
	APIBase *url.URL
	// RawBase is the URL of files as they are, or nil.
	RawBase *url.URL

	token string
	apps  []*githubApp
}

// Type implements Integration.
func (*GitHub) Type() string { return "github" }

// Parse implements Integration.
func (g *GitHub) Parse(rawURL string) (Location, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return Location{}, err
	}
	l, ok := locate(segments(u.EscapedPath()), 1, "blob", "tree", "raw", "edit")
	if !ok {
		return Location{}, notRepository(u, "https://"+g.host+"/owner/repository/blob/main/path")
	}
	return l, nil
}

// ResolveURL implements Integration. Whether the result is a file or a directory isn't known: it shows a tree, which GitHub redirects.
func (g *GitHub) ResolveURL(target, base string, line int) (string, error) {
	resolved, err := resolveIn(g, target, base, anchor("L", line))
	if err != nil {
		return "", err
	}
	return g.view(resolved, "tree"), nil
}

// EditURL implements Integration.
func (g *GitHub) EditURL(rawURL string) (string, error) {
	if _, err := g.Parse(rawURL); err != nil {
		return "", err
	}
	return g.view(rawURL, "edit"), nil
}

// view replaces the view in a URL of the server.
func (g *GitHub) view(rawURL, view string) string {
	parts := strings.SplitN(rawURL, "/", 8) // scheme, nothing, host, owner, repository, view, ref, path
	if len(parts) < 7 || parts[2] != g.host {
		return rawURL
	}
	switch parts[5] {
	case "blob", "tree", "edit":
		parts[5] = view
	}
	return strings.Join(parts, "/")
}

// Credentials implements Integration: an installation token of one of the apps, or else the token.
func (g *GitHub) Credentials(ctx context.Context, at Location) (Credentials, error) {
	token, err := g.appToken(ctx, at)
	if err != nil {
		return Credentials{}, err
	}
	if token == "" {
		token = g.token
	}
	return Bearer(token), nil
}
