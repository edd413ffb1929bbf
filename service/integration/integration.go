package integration

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/portico-dev/portico/service"
)

// Integration is a server of a forge. Its methods are safe for concurrent use.
type Integration interface {
	// Type is the kind of the forge: its key below integrations.
	Type() string
	// Host is the host of the server's URLs, with the port unless that is the usual one.
	Host() string
	// Bases are the URLs below which the server answers: what credentials may be sent to.
	Bases() []*url.URL
	// Parse takes a URL apart. A URL that doesn't lead to a repository is an InputError.
	Parse(rawURL string) (Location, error)
	// ResolveURL resolves a target, which is absolute, relative to the base ("../a.yaml"), or relative to the root of its repository
	// ("/a.yaml"). A line that is not 0 becomes part of the result.
	ResolveURL(target, base string, line int) (string, error)
	// EditURL is the URL of the page on which the file at rawURL can be edited, or rawURL itself.
	EditURL(rawURL string) (string, error)
	// Credentials are those that are configured for the location. They are empty if there are none.
	Credentials(ctx context.Context, at Location) (Credentials, error)
}

// RefType tells what a ref is.
type RefType string

// The types of refs. A ref whose URL doesn't tell has none.
const (
	Branch RefType = "branch"
	Tag    RefType = "tag"
	Commit RefType = "commit"
)

// Location is what a URL of a forge leads to. All of it is decoded.
type Location struct {
	// Owner is the user, organisation, group ("group/subgroup") or project that the repository belongs to.
	Owner string
	// Project is the project of the repository in Azure DevOps.
	Project string
	// Repo is the name of the repository.
	Repo string
	// Ref is a branch, tag or commit; empty for the default branch.
	Ref string
	// RefType is what Ref is, if the URL tells.
	RefType RefType
	// Path is the path within the repository, without a slash at its ends; empty for its root.
	Path string
	// View is how the URL shows the path: "blob", "tree", "raw", "src", "browse", or empty.
	View string

	pathSegments int // how many segments of the URL's path the Path is
}

// FullName is the owner and the name of the repository with a slash between.
func (l Location) FullName() string { return l.Owner + "/" + l.Repo }

// Credentials authorize requests. However they are printed, they show nothing.
type Credentials struct {
	scheme, token, header string
	app                   bool
}

// Bearer are the credentials of a bearer token. They are empty if the token is.
func Bearer(token string) Credentials { return withScheme("Bearer", token) }

func withScheme(scheme, token string) Credentials {
	if token == "" {
		return Credentials{}
	}
	return Credentials{scheme: scheme, token: token, header: scheme + " " + token}
}

// Authorization is the value of the Authorization header, or empty.
func (c Credentials) Authorization() string { return c.header }

// Token is the token or password, or empty.
func (c Credentials) Token() string { return c.token }

// IsApp tells whether they are those of a GitHub App, which may see less of people than a user's token.
func (c Credentials) IsApp() bool { return c.app }

// Format implements fmt.Formatter for all verbs.
func (c Credentials) Format(f fmt.State, _ rune) {
	if c.scheme == "" {
		fmt.Fprint(f, "no credentials")
		return
	}
	fmt.Fprintf(f, "%s credentials", c.scheme)
}

// Integrations are the forges that a backend is configured to work with. Safe for concurrent use.
type Integrations struct {
	GitHub          []*GitHub
	GitLab          []*GitLab
	BitbucketCloud  []*BitbucketCloud
	BitbucketServer []*BitbucketServer
	Azure           []*Azure
	Gitea           []*Gitea
	Gerrit          []*Gerrit
}

// All are the integrations of all types.
func (i *Integrations) All() []Integration {
	var all []Integration
	all = appendAll(all, i.Azure)
	all = appendAll(all, i.BitbucketCloud)
	all = appendAll(all, i.BitbucketServer)
	all = appendAll(all, i.Gerrit)
	all = appendAll(all, i.GitHub)
	all = appendAll(all, i.Gitea)
	return appendAll(all, i.GitLab)
}

func appendAll[T Integration](all []Integration, some []T) []Integration {
	for _, one := range some {
		all = append(all, one)
	}
	return all
}

// ByHost is the integration with the host, which may have a port.
func (i *Integrations) ByHost(host string) (Integration, bool) {
	all := i.All()
	n := slices.IndexFunc(all, func(one Integration) bool { return one.Host() == host })
	if n < 0 {
		return nil, false
	}
	return all[n], true
}

// ByURL is the integration that the URL belongs to.
func (i *Integrations) ByURL(rawURL string) (Integration, bool) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, false
	}
	return i.ByHost(u.Host)
}

// ResolveURL resolves a target relative to a base: see [Integration]. Where the base belongs to no integration, a target that begins with
// a slash is relative to the root of the server.
func (i *Integrations) ResolveURL(target, base string, line int) (string, error) {
	if one, ok := i.ByURL(base); ok {
		return one.ResolveURL(target, base, line)
	}
	b, err := ParseURL(base)
	if err != nil {
		return "", err
	}
	return resolve(target, b, len(segments(b.EscapedPath())), anchor("L", line))
}

// EditURL is the URL of the page on which the file at rawURL can be edited, or rawURL itself.
func (i *Integrations) EditURL(rawURL string) (string, error) {
	if one, ok := i.ByURL(rawURL); ok {
		return one.EditURL(rawURL)
	}
	return rawURL, nil
}

// anchor is the fragment of a URL for a line.
func anchor(prefix string, line int) string {
	if line == 0 {
		return ""
	}
	return prefix + strconv.Itoa(line)
}

// locate is the location of segments of a path: a repository, perhaps followed by view, ref and path. repo is the index of the
// repository's name.
func locate(parts []string, repo int, views ...string) (Location, bool) {
	if repo < 1 || repo >= len(parts) || slices.Contains(parts[:repo+1], "") {
		return Location{}, false
	}
	l := Location{Owner: join(parts[:repo]), Repo: trimGit(parts[repo])}
	rest := parts[repo+1:]
	if len(rest) > 0 && rest[0] == "-" {
		rest = rest[1:]
	}
	if len(rest) > 1 && slices.Contains(views, rest[0]) {
		l.View, l.Ref = rest[0], rest[1]
		l.Path, l.pathSegments = join(rest[2:]), len(rest)-2
	}
	return l, l.Repo != ""
}

func notRepository(u *url.URL, example string) error {
	return service.InputError.Errorf("%s doesn't lead to a repository: the URL has to be like %s", Redact(u), example)
}
