package integration

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// GitLab is a GitLab server.
type GitLab struct {
	server
	// APIBase is the URL of the REST API.
	APIBase *url.URL
	// Base is the URL of the pages, which may have a path.
	Base *url.URL
	// Retry says which requests are repeated, and how often requests are made.
	Retry Retry

	token string
}

// Retry says which requests to a server are repeated, and how often requests are made.
type Retry struct {
	// MaxRetries is how often a request is repeated.
	MaxRetries int `schema:"min=0,visibility=frontend" doc:"How often a request that failed is repeated."`
	// StatusCodes are the HTTP statuses of answers for which a request is repeated.
	StatusCodes []int `config:"retryStatusCodes" schema:"deepVisibility=frontend" doc:"The HTTP statuses for which a request is repeated."`
	// RequestsPerMinute is how many requests a minute are made at most; 0 and less for any number.
	RequestsPerMinute int `config:"maxApiRequestsPerMinute" schema:"visibility=frontend" doc:"How many requests are made in a minute. -1 (the default) for any number."`
}

// Type implements Integration.
func (*GitLab) Type() string { return "gitlab" }

// Parse implements Integration.
func (g *GitLab) Parse(rawURL string) (Location, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return Location{}, err
	}
	views := []string{"blob", "tree", "raw", "edit"}
	example := strings.TrimRight(g.Base.String(), "/") + "/group/project/-/blob/main/path"
	path, ok := below(u.EscapedPath(), g.Base)
	if !ok {
		return Location{}, notRepository(u, example)
	}
	parts := segments(path)
	end := slices.Index(parts, "-")
	if end < 2 {
		end = slices.IndexFunc(parts, func(s string) bool { return slices.Contains(views, s) })
	}
	if end < 0 {
		end = len(parts)
	}
	l, ok := locate(parts, end-1, views...)
	if !ok {
		return Location{}, notRepository(u, example)
	}
	return l, nil
}

// below is the path without that of the base, where servers are in a subfolder.
func below(path string, base *url.URL) (string, bool) {
	prefix := strings.TrimRight(base.EscapedPath(), "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// ResolveURL implements Integration.
func (g *GitLab) ResolveURL(target, base string, line int) (string, error) {
	return resolveIn(g, target, base, anchor("L", line))
}

// EditURL implements Integration.
func (g *GitLab) EditURL(rawURL string) (string, error) {
	if _, err := g.Parse(rawURL); err != nil {
		return "", err
	}
	for _, view := range []string{"blob", "tree"} {
		if before, after, ok := strings.Cut(rawURL, "/-/"+view+"/"); ok {
			return before + "/-/edit/" + after, nil
		}
	}
	return rawURL, nil
}

// Credentials implements Integration.
func (g *GitLab) Credentials(context.Context, Location) (Credentials, error) {
	return Bearer(g.token), nil
}
