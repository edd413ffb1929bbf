package integration

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Gerrit is a Gerrit server whose repositories are shown by Gitiles.
type Gerrit struct {
	server
	// Base is the URL of Gerrit.
	Base *url.URL
	// GitilesBase is the URL of Gitiles: URLs of files are below it.
	GitilesBase *url.URL

	username, password string
	noEditURL          bool
}

// Type implements Integration.
func (*Gerrit) Type() string { return "gerrit" }

var commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Parse implements Integration. Repositories have no owner: their names may have slashes.
func (g *Gerrit) Parse(rawURL string) (Location, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return Location{}, err
	}
	wrong := notRepository(u, g.GitilesBase.String()+"/repository/+/refs/heads/main/path")
	full := u.EscapedPath()
	path, ok := below(full, g.GitilesBase)
	if inner, authenticated := strings.CutPrefix(full, "/a/"); authenticated && !ok {
		path, ok = below("/"+inner, g.GitilesBase)
	}
	if !ok {
		return Location{}, wrong
	}
	parts := segments(path)
	plus := slices.Index(parts, "+")
	if plus < 0 {
		plus = len(parts)
	}
	l := Location{Repo: join(parts[:plus])}
	if l.Repo == "" {
		return Location{}, wrong
	}
	if plus == len(parts) {
		return l, nil
	}
	rest := parts[plus+1:]
	switch {
	case len(rest) > 0 && rest[0] == "HEAD":
		rest = rest[1:]
	case len(rest) > 0 && commitID.MatchString(rest[0]):
		l.Ref, l.RefType, rest = rest[0], Commit, rest[1:]
	case len(rest) > 2 && rest[0] == "refs" && rest[1] == "heads":
		l.Ref, l.RefType, rest = rest[2], Branch, rest[3:]
	case len(rest) > 2 && rest[0] == "refs" && rest[1] == "tags":
		l.Ref, l.RefType, rest = rest[2], Tag, rest[3:]
	default:
		return Location{}, wrong
	}
	l.Path, l.pathSegments = join(rest), len(rest)
	return l, nil
}

// ResolveURL implements Integration.
func (g *Gerrit) ResolveURL(target, base string, line int) (string, error) {
	return resolveIn(g, target, base, anchor("", line))
}

// EditURL implements Integration.
func (g *Gerrit) EditURL(rawURL string) (string, error) {
	if g.noEditURL {
		return rawURL, nil
	}
	l, err := g.Parse(rawURL)
	if err != nil {
		return "", err
	}
	return g.Base.String() + "/admin/repos/edit/repo/" + EscapePath(l.Repo) + "/branch/refs/heads/" + EscapePath(l.Ref) +
		"/file/" + EscapePath(l.Path), nil
}

// Credentials implements Integration.
func (g *Gerrit) Credentials(context.Context, Location) (Credentials, error) {
	return basic(g.username, g.password), nil
}

// Authenticated is a URL of the server in the form that takes credentials, which is below /a/.
func (g *Gerrit) Authenticated(u *url.URL) *url.URL {
	rest, ok := below(u.EscapedPath(), g.Base)
	if !ok || u.Host != g.Base.Host {
		return u
	}
	result := *u
	joined := g.Base.JoinPath("a", rest)
	result.Path, result.RawPath = joined.Path, joined.RawPath
	return &result
}
