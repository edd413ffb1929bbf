package urlreader

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/egress"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/telemetry"
)

// Source reads the URLs of a kind of server. Further sources are added to a backend as members of a group:
//
//	service.RootGroup[urlreader.Source](newSource)
//
// They come before the built-in ones. The limits of the configuration hold for their files, and for trees that [NewTree] has made.
// Safe for concurrent use.
type Source interface {
	service.URLReader
	// Reads tells whether the URL is one of the source's. It is not changed.
	Reads(u *url.URL) bool
}

// Services are the root service *[Reader], and the service.URLReader that it is for plugins.
func Services() []service.Service {
	return []service.Service{
		service.Root[*Reader](New, service.ConfigSchema(config.SchemaOf[settings]("backend.reading"))),
		service.PerPlugin[service.URLReader](func(r *Reader) service.URLReader { return r }),
	}
}

// Reader is the service.URLReader of a backend: it hands each URL to the source that reads it.
type Reader struct {
	sources []Source
	added   int // how many of the sources are added ones: their answers are yet to be bounded
	limits  Limits
}

// Parameters are what [New] needs.
type Parameters struct {
	fx.In

	Config       service.Config
	Integrations *integration.Integrations
	Clock        clockwork.Clock
	Lifecycle    fx.Lifecycle
	Telemetry    telemetry.Providers
	// Sources are those that are added to the backend.
	Sources []Source `optional:"true"`
}

// New reads the configuration. Idle connections are closed when the lifecycle stops.
func New(p Parameters) (*Reader, error) { return newReader(p, nil) }

// newReader is New with a resolver for the names of hosts, which is nil for that of the system.
func newReader(p Parameters, resolver *net.Resolver) (*Reader, error) {
	s, rules, err := readSettings(p.Config)
	if err != nil {
		return nil, err
	}
	workDir := os.TempDir()
	if err := p.Config.Decode("backend.workingDirectory", &workDir); err != nil {
		return nil, err
	}
	c := &client{clock: p.Clock, rules: rules, limits: s.Limits}
	forges := c.forges(p.Integrations)
	named := map[string]bool{}
	for _, r := range rules {
		if r.exact() {
			named[r.host] = true
		}
	}
	for _, f := range forges {
		at := f.at()
		for _, base := range at.bases {
			named[base.Hostname()] = true
		}
		for _, companion := range at.companions {
			named[(&url.URL{Host: companion}).Hostname()] = true
		}
	}
	transport := egress.NewTransport(egress.Policy{Named: named, Resolver: resolver, Fix: "if it is to be read, add it to backend.reading.allow without a wildcard"})
	c.transport = p.Telemetry.Transport(transport)
	p.Lifecycle.Append(fx.StopHook(transport.CloseIdleConnections))
	return c.reader(p.Sources, forges, workDir), nil
}

// reader puts the sources together.
func (c *client) reader(added []Source, forges []forge, workDir string) *Reader {
	r := &Reader{sources: slices.Clone(added), added: len(added), limits: c.limits}
	for _, f := range forges {
		r.sources = append(r.sources, &repositories{client: c, forge: f, workDir: workDir})
	}
	r.sources = append(r.sources, &plain{client: c})
	return r
}

// source is the one that reads the URL, and whether it is an added one.
func (r *Reader) source(rawURL string) (s Source, added bool, err error) {
	u, err := integration.ParseURL(rawURL)
	if err != nil {
		return nil, false, reading(err)
	}
	for i, s := range r.sources {
		if s.Reads(u) {
			return s, i < r.added, nil
		}
	}
	return nil, false, service.NotAllowedError.Errorf("Reading from '%s' is not allowed. You may need to configure an integration for the target host, "+
		"or add it to the configured list of allowed hosts at 'backend.reading.allow'", integration.Redact(u))
}

// ReadURL implements service.URLReader.
func (r *Reader) ReadURL(ctx context.Context, rawURL string, options service.URLReadOptions) (*service.URLFile, error) {
	s, added, err := r.source(rawURL)
	if err != nil {
		return nil, err
	}
	f, err := s.ReadURL(ctx, rawURL, options)
	if err == nil && added {
		f.Body = body{limitReader(f.Body, r.limits.MaxFileSize, redact(rawURL)), f.Body}
	}
	return f, reading(err)
}

// ReadTree implements service.URLReader.
func (r *Reader) ReadTree(ctx context.Context, rawURL string, options service.URLReadOptions) (service.URLTree, error) {
	s, added, err := r.source(rawURL)
	if err != nil {
		return nil, err
	}
	t, err := s.ReadTree(ctx, rawURL, options)
	if known, ok := t.(*Tree); ok && added {
		known.bound(redact(rawURL), r.limits)
	}
	return t, reading(err)
}

// Search implements service.URLReader.
func (r *Reader) Search(ctx context.Context, rawURL string, options service.URLReadOptions) (*service.URLSearch, error) {
	s, _, err := r.source(rawURL)
	if err != nil {
		return nil, err
	}
	found, err := s.Search(ctx, rawURL, options)
	return found, reading(err)
}

// reading adds to an error what was attempted.
func reading(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading %w", err)
}

// searchFile is the search for a file without a pattern.
func searchFile(ctx context.Context, s service.URLReader, rawURL string, options service.URLReadOptions) (*service.URLSearch, error) {
	f, err := s.ReadURL(ctx, rawURL, options)
	if isNotFound(err) {
		return &service.URLSearch{}, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := f.Bytes()
	if err != nil {
		return nil, wrap(redact(rawURL), err)
	}
	return &service.URLSearch{ETag: f.ETag, Files: []service.URLSearchFile{
		{URL: rawURL, LastModified: f.LastModified, Content: func(context.Context) ([]byte, error) { return content, nil }},
	}}, nil
}

// plain reads what backend.reading.allow allows.
type plain struct{ client *client }

// Reads implements Source.
func (p *plain) Reads(u *url.URL) bool { return p.client.allowed(u) }

// ReadURL implements service.URLReader.
func (p *plain) ReadURL(ctx context.Context, rawURL string, options service.URLReadOptions) (*service.URLFile, error) {
	u, err := integration.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	r := conditional(request{url: u, as: integration.Bearer(options.Token), subject: integration.Redact(u), header: http.Header{}}, options)
	at := &site{name: u.Host, rulesOnly: true}
	if options.Token != "" {
		at.bases = []*url.URL{u}
	}
	res, err := p.client.get(ctx, at, r)
	if err != nil {
		return nil, err
	}
	return p.client.file(r, res)
}

// ReadTree implements service.URLReader.
func (p *plain) ReadTree(_ context.Context, rawURL string, _ service.URLReadOptions) (service.URLTree, error) {
	return nil, service.NotImplementedError.Errorf("%s: trees can't be read by plain HTTP; configure an integration for the host", redact(rawURL))
}

// Search implements service.URLReader.
func (p *plain) Search(ctx context.Context, rawURL string, options service.URLReadOptions) (*service.URLSearch, error) {
	u, err := integration.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(u.Path, "*?") {
		return nil, service.NotImplementedError.Errorf("%s: plain HTTP can't be searched by patterns; configure an integration for the host", redact(rawURL))
	}
	return searchFile(ctx, p, rawURL, options)
}

// redact is a URL for messages.
func redact(rawURL string) string {
	u, err := integration.ParseURL(rawURL)
	if err != nil {
		return "the URL"
	}
	return integration.Redact(u)
}
