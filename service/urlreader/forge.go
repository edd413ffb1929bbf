package urlreader

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
)

// forge is what differs between the forges.
type forge interface {
	integration.Integration
	// at is the server for requests.
	at() *site
	// reads tells whether the URL is one of the forge's.
	reads(u *url.URL) bool
	// file reads a file.
	file(ctx context.Context, at target, options service.URLReadOptions) (*service.URLFile, error)
	// revision is what identifies the present content of the ref and path.
	revision(ctx context.Context, at target) (string, error)
	// archive downloads the repository as it is at the revision, or what is below the path.
	archive(ctx context.Context, at target, revision string) (*archive, error)
}

// lister is a forge that lists files without sending their content.
type lister interface {
	// list calls found with the files of the revision. It returns false if there are too many for the forge.
	list(ctx context.Context, at target, revision string, found func(path string, content func(context.Context) ([]byte, error))) (bool, error)
}

// linker is a forge whose URLs of files are not just the base with another path.
type linker interface {
	link(at target, path string) (string, error)
}

// narrowing is a forge whose archives hold only what is below a path, so that a search need not download everything.
type narrowing interface{ narrows() }

// target is what is read of a forge.
type target struct {
	integration.Location
	url     string // as it was given
	subject string // for messages
	as      integration.Credentials
}

// request is a request for the target.
func (t target) request(u *url.URL) request {
	return request{url: u, as: t.as, subject: t.subject}
}

// server is what all forges have.
type server struct {
	*client
	where *site
}

func (s server) at() *site { return s.where }

func newSite(in integration.Integration, companions ...string) *site {
	return &site{name: in.Host(), bases: in.Bases(), companions: companions}
}

// forges are the forges of the integrations, in the order in which they are looked through.
func (c *client) forges(in *integration.Integrations) []forge {
	var all []forge
	for _, one := range in.Azure {
		all = append(all, &azure{one, server{c, newSite(one)}})
	}
	for _, one := range in.BitbucketCloud {
		all = append(all, &bitbucketCloud{one, server{c, newSite(one)}})
	}
	for _, one := range in.BitbucketServer {
		all = append(all, &bitbucketServer{one, server{c, newSite(one)}})
	}
	for _, one := range in.Gerrit {
		all = append(all, &gerrit{one, server{c, newSite(one)}})
	}
	for _, one := range in.GitHub {
		// With subdomain isolation, GitHub Enterprise has the same subdomains.
		companions := []string{"codeload." + one.Host(), "raw." + one.Host(), "media." + one.Host()}
		if one.Host() == "github.com" {
			companions = []string{"codeload.github.com", "raw.githubusercontent.com", "media.githubusercontent.com", "objects.githubusercontent.com"}
		}
		at := newSite(one, companions...)
		at.bases = append(at.bases, &url.URL{Scheme: "https", Host: one.Host()})
		all = append(all, &github{one, server{c, at}})
	}
	for _, one := range in.Gitea {
		all = append(all, &gitea{one, server{c, newSite(one)}})
	}
	for _, one := range in.GitLab {
		at := newSite(one)
		at.retry = one.Retry
		if n := one.Retry.RequestsPerMinute; n > 0 {
			at.limiter = rate.NewLimiter(rate.Every(time.Minute/time.Duration(n)), n)
		}
		all = append(all, &gitlab{one, server{c, at}})
	}
	return all
}

// repositories is the source of a forge.
type repositories struct {
	client  *client
	forge   forge
	workDir string
}

// Reads implements Source.
func (s *repositories) Reads(u *url.URL) bool { return s.forge.reads(u) }

// target takes a URL apart and gets the credentials for it.
func (s *repositories) target(ctx context.Context, rawURL string, options service.URLReadOptions) (target, error) {
	l, err := s.forge.Parse(rawURL)
	if err != nil {
		return target{}, err
	}
	t := target{Location: l, url: rawURL, subject: redact(rawURL), as: integration.Bearer(options.Token)}
	if options.Token == "" {
		if t.as, err = s.forge.Credentials(ctx, l); err != nil {
			return target{}, wrap(t.subject, err)
		}
	}
	return t, nil
}

// ReadURL implements service.URLReader.
func (s *repositories) ReadURL(ctx context.Context, rawURL string, options service.URLReadOptions) (*service.URLFile, error) {
	t, err := s.target(ctx, rawURL, options)
	if err != nil {
		return nil, err
	}
	return s.forge.file(ctx, t, options)
}

// ReadTree implements service.URLReader.
func (s *repositories) ReadTree(ctx context.Context, rawURL string, options service.URLReadOptions) (service.URLTree, error) {
	t, err := s.target(ctx, rawURL, options)
	if err != nil {
		return nil, err
	}
	revision, err := s.current(ctx, t, options)
	if err != nil {
		return nil, err
	}
	return s.tree(ctx, t, revision, options.Filter)
}

// current is the revision, unless it is the one of the options.
func (s *repositories) current(ctx context.Context, t target, options service.URLReadOptions) (string, error) {
	revision, err := s.forge.revision(ctx, t)
	if err != nil {
		return "", err
	}
	if revision != "" && revision == options.ETag {
		return "", service.NotModifiedError.Errorf("%s has not changed", t.subject)
	}
	return revision, nil
}

func (s *repositories) tree(ctx context.Context, t target, revision string, filter func(string, int64) bool) (*Tree, error) {
	a, err := s.forge.archive(ctx, t, revision)
	if err != nil {
		return nil, err
	}
	u := &unpacking{archive: *a, subject: t.subject, limits: s.client.limits, filter: filter, workDir: s.workDir}
	return &Tree{etag: revision, entries: u.entries(), close: a.body.Close}, nil
}

// Search implements service.URLReader.
func (s *repositories) Search(ctx context.Context, rawURL string, options service.URLReadOptions) (*service.URLSearch, error) {
	t, err := s.target(ctx, rawURL, options)
	if err != nil {
		return nil, err
	}
	if !hasPattern(t.Path) {
		return searchFile(ctx, s, rawURL, options)
	}
	p, err := newPattern(t.Path)
	if err != nil {
		return nil, service.InputError.Errorf("%s: %w", t.subject, err)
	}
	t.Path = ""
	if _, ok := s.forge.(narrowing); ok {
		t.Path = p.fixed
	}
	revision, err := s.current(ctx, t, options)
	if err != nil {
		return nil, err
	}
	found := &service.URLSearch{ETag: revision}
	add := func(path string, modified time.Time, content func(context.Context) ([]byte, error)) error {
		link, err := s.link(t, path)
		if err == nil {
			found.Files = append(found.Files, service.URLSearchFile{URL: link, LastModified: modified, Content: content})
		}
		return err
	}
	if l, ok := s.forge.(lister); ok {
		var failure error
		complete, err := l.list(ctx, t, revision, func(path string, content func(context.Context) ([]byte, error)) {
			if p.matches(path) {
				failure = errors.Join(failure, add(path, time.Time{}, content))
			}
		})
		if err = errors.Join(err, failure); err != nil || complete {
			return found, err
		}
		found.Files = nil
	}
	return found, s.searchTree(ctx, t, revision, p, add)
}

// searchTree searches an archive. What it finds stays in memory.
func (s *repositories) searchTree(ctx context.Context, t target, revision string, p *pattern,
	add func(string, time.Time, func(context.Context) ([]byte, error)) error) error {
	prefix := ""
	if t.Path != "" {
		prefix = t.Path + "/"
	}
	tree, err := s.tree(ctx, t, revision, func(path string, _ int64) bool { return p.matches(prefix + path) })
	if err != nil {
		return err
	}
	defer tree.Close()
	left := maxSearch
	for f, err := range tree.Files() {
		if err != nil {
			return err
		}
		if left -= f.Size; left < 0 {
			return service.InputError.Errorf("%s: the files that match have more than %d bytes: use a narrower pattern", t.subject, int64(maxSearch))
		}
		content, err := io.ReadAll(f.Body)
		if err != nil {
			return err
		}
		if err := add(prefix+f.Path, f.LastModified, func(context.Context) ([]byte, error) { return content, nil }); err != nil {
			return err
		}
	}
	return nil
}

// maxSearch bounds the content that a search keeps in memory.
const maxSearch int64 = 256 << 20

// link is the URL of another path of the target's repository, in the same view.
func (s *repositories) link(t target, path string) (string, error) {
	if l, ok := s.forge.(linker); ok {
		return l.link(t, path)
	}
	return s.forge.ResolveURL("/"+integration.EscapePath(path), t.url, 0)
}

func wrap(subject string, err error) error {
	return &subjectError{subject, err}
}

// subjectError adds to an error what it is about.
type subjectError struct {
	subject string
	err     error
}

func (e *subjectError) Error() string { return e.subject + ": " + e.err.Error() }
func (e *subjectError) Unwrap() error { return e.err }

func isNotFound(err error) bool { return errors.Is(err, service.NotFoundError) }

// download requests an archive.
func (s server) download(ctx context.Context, t target, u *url.URL, a archive) (*archive, error) {
	res, err := s.get(ctx, s.where, t.request(u).with("Accept-Encoding", "identity"))
	if err != nil {
		return nil, err
	}
	a.body = res.Body
	return &a, nil
}

// raw requests a file that is answered as it is.
func (s server) raw(ctx context.Context, t target, u *url.URL, options service.URLReadOptions, accept string) (*service.URLFile, error) {
	r := conditional(t.request(u).with("Accept", accept), options)
	res, err := s.get(ctx, s.where, r)
	if err != nil {
		return nil, err
	}
	return s.client.file(r, res)
}

// needsFile is the error of a URL that is not that of a file.
func needsFile(t target, example string) error {
	return service.InputError.Errorf("%s is not the URL of a file: it has to be like %s", t.subject, example)
}

// short is the beginning of a commit, as some forges show it.
func short(commit string) string { return commit[:min(len(commit), 12)] }

func withQuery(u *url.URL, pairs ...string) *url.URL {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	result := *u
	result.RawQuery = query.Encode()
	return &result
}

// under is a URL with further segments of a path, each of which may hold anything.
func under(base *url.URL, parts ...string) *url.URL {
	escaped := strings.TrimRight(base.EscapedPath(), "/")
	for _, part := range parts {
		escaped += "/" + url.PathEscape(part)
	}
	result := *base
	result.RawPath = escaped
	result.Path, _ = url.PathUnescape(escaped) // it has just been escaped
	return &result
}

// underPath is under with the segments of a path.
func underPath(base *url.URL, path string) *url.URL {
	if path == "" {
		return base
	}
	return under(base, strings.Split(path, "/")...)
}
