package gitlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/telemetry"
)

// Module adds the files of GitLab's projects to the catalog, as catalog.providers.gitlab says, and has registered locations follow what
// happens to them at GitLab, as catalog.scmEvents says.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "gitlab-discovery-entity-provider",
		plugin.ConfigSchema(config.SchemaOf[map[string]declared](settingsKey)),
		plugin.Init(func(d deps) error { return errors.Join(d.addDiscoveries(), d.addSCMEvents()) }),
	)
}

type deps struct {
	fx.In

	Config       service.Config
	Providers    catalog.EntityProviders
	SCMEvents    catalog.SCMEvents
	Scheduler    service.Scheduler
	Events       service.Events
	Integrations *integration.Integrations
	Clock        clockwork.Clock
	Log          *slog.Logger
	Lifecycle    fx.Lifecycle
	Telemetry    telemetry.Providers
}

// provider is what both kinds of providers have.
type provider struct {
	name      string
	settings  settings
	api       *api
	scheduler service.Scheduler
	events    service.Events
	log       *slog.Logger
	conn      catalog.EntityProviderConnection
}

// providers are those that the configuration has, with names that begin with the prefix; add makes them known to the catalog.
func (d deps) providers(prefix string, wanted func(settings) bool, add func(provider)) error {
	configured, err := readSettings(d.Config)
	if err != nil {
		return err
	}
	configured = slices.DeleteFunc(configured, func(s settings) bool { return !wanted(s) })
	if len(configured) == 0 {
		return nil
	}
	transport := forge.Transport(d.Lifecycle, d.Telemetry)
	for _, s := range configured {
		n := slices.IndexFunc(d.Integrations.GitLab, func(g *integration.GitLab) bool { return g.Host() == s.Host })
		if n < 0 {
			return fmt.Errorf("%s.%s: there is no GitLab integration for the host %s: add it below integrations.gitlab", settingsKey, s.id, s.Host)
		}
		server := d.Integrations.GitLab[n]
		p := provider{name: prefix + ":" + s.id, settings: s, scheduler: d.Scheduler, events: d.Events}
		p.log = d.Log.With("provider", p.name)
		p.api = d.api(server, transport, p.log)
		add(p)
	}
	return nil
}

func (d deps) api(server *integration.GitLab, transport http.RoundTripper, log *slog.Logger) *api {
	return &api{server: server, log: log,
		client: forge.NewClient(server, server.Retry, forge.Dependencies{Transport: transport, Clock: d.Clock, Log: log})}
}

// Name implements catalog.EntityProvider. It is Backstage's.
func (p *provider) Name() string { return p.name }

func (p *provider) task() string { return p.name + ":refresh" }

// connect subscribes to events and schedules the runs.
func (p *provider) connect(conn catalog.EntityProviderConnection, topics []string, onEvent func(context.Context, service.Event) error,
	refresh func(context.Context) error) error {
	p.conn = conn
	// Durable: what an event tells is not told again before the next refresh, and one replica is enough to act on it.
	if err := p.events.Subscribe(service.Subscription{ID: p.name, Topics: topics, OnEvent: onEvent, Durable: true}); err != nil {
		return err
	}
	return p.scheduler.Schedule(p.settings.Schedule.Task(p.task(), refresh))
}

// ignore is for events that would be no better the next time.
func (p *provider) ignore(ctx context.Context, event service.Event, err error) error {
	p.log.WarnContext(ctx, "An event is ignored", "topic", event.Topic, "error", err)
	return nil
}

// api asks the APIs of a GitLab server.
type api struct {
	server *integration.GitLab
	client *forge.Client
	log    *slog.Logger
}

// selfManaged tells whether the server is somebody's own, with all its users, and not gitlab.com.
func (a *api) selfManaged() bool { return a.server.Host() != "gitlab.com" }

// at is the URL of something in the REST API, where a slash in an element of the path is none of the path.
func (a *api) at(query url.Values, path ...string) *url.URL {
	escaped := make([]string, len(path))
	for i, element := range path {
		escaped[i] = url.PathEscape(element)
	}
	u := a.server.APIBase.JoinPath(escaped...)
	u.RawQuery = query.Encode()
	return u
}

// one asks for a thing. If there is none, the error is a NotFoundError.
func (a *api) one(ctx context.Context, what string, into any, path ...string) error {
	_, err := a.client.Get(ctx, forge.Request{What: what, URL: a.at(nil, path...)}, into)
	return err
}

const perPage = 100

// list asks for all pages of a list, or for none: a list of which a part is missing is an error.
func list[T any](ctx context.Context, a *api, what string, query url.Values, path ...string) ([]T, error) {
	var all []T
	query.Set("per_page", strconv.Itoa(perPage))
	u := a.at(nil, path...)
	for page := 1; ; {
		query.Set("page", strconv.Itoa(page))
		u.RawQuery = query.Encode()
		var items []T
		header, err := a.client.Get(ctx, forge.Request{What: what, URL: u}, &items)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		next := header.Get("X-Next-Page")
		if next == "" {
			return all, nil
		}
		following, err := strconv.Atoi(next)
		if err != nil || following <= page {
			return nil, fmt.Errorf("asking GitLab for %s: after page %d it offers page %q", what, page, next)
		}
		page = following
	}
}

// connection is a page of a list in GraphQL.
type connection[T any] struct {
	Nodes    []*T
	PageInfo struct {
		HasNextPage bool
		EndCursor   string
	}
}

// pages asks for all pages of a list in GraphQL. ok is false if there is no such list, or none that the token may see.
func pages[T any](ctx context.Context, what string, next func(ctx context.Context, cursor *string) (*connection[T], error)) (all []T, ok bool, err error) {
	var cursor *string
	for {
		page, err := next(ctx, cursor)
		if err != nil {
			return nil, false, err
		}
		if page == nil {
			return nil, false, nil
		}
		for _, node := range page.Nodes {
			if node != nil {
				all = append(all, *node)
			}
		}
		if !page.PageInfo.HasNextPage {
			return all, true, nil
		}
		if end := page.PageInfo.EndCursor; end == "" || cursor != nil && *cursor == end {
			return nil, false, fmt.Errorf("asking GitLab for %s: the server answers with the same page again and again", what)
		}
		cursor = &page.PageInfo.EndCursor
	}
}

// query asks a GraphQL query.
func (a *api) query(ctx context.Context, what, query string, variables map[string]any, into any) error {
	return a.client.GraphQL(ctx, forge.Request{What: what, URL: a.server.Base.JoinPath("api/graphql"), Query: query, Variables: variables}, into)
}

func isMissing(err error) bool { return errors.Is(err, service.NotFoundError) }
