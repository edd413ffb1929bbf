package integration

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// Gitea is a Gitea or Forgejo server.
type Gitea struct {
	server
	// Base is the URL of the server, which may have a path.
	Base *url.URL

	username, password string
}

// Type implements Integration.
func (*Gitea) Type() string { return "gitea" }

// Parse implements Integration.
func (g *Gitea) Parse(rawURL string) (Location, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return Location{}, err
	}
	example := strings.TrimRight(g.Base.String(), "/") + "/owner/repository/src/branch/main/path"
	path, ok := below(u.EscapedPath(), g.Base)
	if !ok {
		return Location{}, notRepository(u, example)
	}
	parts := segments(path)
	l, ok := locate(parts, 1)
	if !ok {
		return Location{}, notRepository(u, example)
	}
	views := []string{"src", "raw", "_edit"}
	kinds := []string{string(Branch), string(Tag), string(Commit)}
	if rest := parts[2:]; len(rest) >= 3 && slices.Contains(views, rest[0]) && slices.Contains(kinds, rest[1]) {
		l.View, l.RefType, l.Ref = rest[0], RefType(rest[1]), rest[2]
		l.Path, l.pathSegments = join(rest[3:]), len(rest)-3
	} else if len(rest) >= 2 && rest[0] == "_edit" {
		l.View, l.RefType, l.Ref = rest[0], Branch, rest[1]
		l.Path, l.pathSegments = join(rest[2:]), len(rest)-2
	}
	return l, nil
}

// ResolveURL implements Integration.
func (g *Gitea) ResolveURL(target, base string, line int) (string, error) {
	return resolveIn(g, target, base, anchor("L", line))
}

// EditURL implements Integration.
func (g *Gitea) EditURL(rawURL string) (string, error) {
	l, err := g.Parse(rawURL)
	if err != nil {
		return "", err
	}
	return g.Base.String() + "/" + EscapePath(l.FullName()) + "/_edit/" + url.PathEscape(l.Ref) + "/" + EscapePath(l.Path), nil
}

// Credentials implements Integration.
func (g *Gitea) Credentials(context.Context, Location) (Credentials, error) {
	if g.username == "" {
		return withScheme("token", g.password), nil
	}
	return basic(g.username, g.password), nil
}
