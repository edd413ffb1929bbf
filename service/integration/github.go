package integration

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/portico-dev/portico/service"
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

// WebhookSecrets are the secrets of the webhooks of those of the server's GitHub Apps that have one.
func (g *GitHub) WebhookSecrets() []string {
	var secrets []string
	for _, app := range g.apps {
		if app.webhookSecret != "" {
			secrets = append(secrets, app.webhookSecret)
		}
	}
	return secrets
}

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
		return Bearer(g.token), nil
	}
	c := Bearer(token)
	c.app = true
	return c, nil
}

// Organizations are the logins of the organizations that the apps with the given ids are installed in; without ids, those of all apps.
// An id that isn't configured is an error.
func (g *GitHub) Organizations(ctx context.Context, apps ...int64) ([]string, error) {
	var found []string
	for _, id := range apps {
		if !slices.ContainsFunc(g.apps, func(a *githubApp) bool { return a.id == id }) {
			return nil, service.InputError.Errorf("the GitHub App %d is not configured for %s: add it below integrations.github.apps", id, g.host)
		}
	}
	for _, app := range g.apps {
		if len(apps) > 0 && !slices.Contains(apps, app.id) {
			continue
		}
		all, err := app.list(ctx)
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			login := one.Account.Login
			if one.TargetType == "Organization" && app.serves(login) && !slices.Contains(found, login) {
				found = append(found, login)
			}
		}
	}
	return found, nil
}
