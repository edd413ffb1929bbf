package github

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/integration"
	"github.com/portico-dev/portico/service/telemetry"
)

//go:embed config.schema.json
var configSchema []byte

// Module adds the files of GitHub's repositories to the catalog, as catalog.providers.github says, and has registered locations follow
// what happens to them at GitHub, as catalog.scmEvents says. Frontends that import a repository are told which of its files describe
// entities already.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "github",
		plugin.ConfigSchema(configSchema),
		plugin.Init(func(d deps, analysis catalog.Analysis) error {
			transport := forge.Transport(d.Lifecycle, d.Telemetry)
			analysis.AddSCMLocationAnalyzer(newAnalyzer(d.Integrations, forge.Dependencies{Transport: transport, Clock: d.Clock, Log: d.Log}))
			return errors.Join(d.addDiscoveries(transport), d.addSCMEvents())
		}),
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

func (d deps) addDiscoveries(transport http.RoundTripper) error {
	configured, err := readDiscoveries(d.Config)
	if err != nil || len(configured) == 0 {
		return err
	}
	for _, s := range configured {
		p := &discovery{settings: s, scheduler: d.Scheduler, events: d.Events}
		p.log = d.Log.With("provider", p.Name())
		p.api, err = newAPI(d.Integrations, s.Host, forge.Dependencies{Transport: transport, Clock: d.Clock, Log: p.log})
		if err != nil {
			return fmt.Errorf("%s: %w", s.key, err)
		}
		d.Providers.AddEntityProvider(p)
	}
	return nil
}

// api asks the GraphQL API of a GitHub server.
type api struct {
	server   *integration.GitHub
	client   *forge.Client
	endpoint *url.URL
}

func newAPI(in *integration.Integrations, host string, d forge.Dependencies) (*api, error) {
	n := slices.IndexFunc(in.GitHub, func(g *integration.GitHub) bool { return g.Host() == host })
	if n < 0 {
		return nil, fmt.Errorf("there is no GitHub integration for the host %s: add it below integrations.github", host)
	}
	server := in.GitHub[n]
	if server.APIBase == nil {
		return nil, fmt.Errorf("the GitHub integration for %s has no apiBaseUrl: add it below integrations.github", host)
	}
	a := &api{server: server, client: forge.NewClient(server, integration.Retry{}, d)}
	// GitHub Enterprise has the APIs side by side, at /api/v3 and /api/graphql.
	enterprise := *server.APIBase
	if base, ok := strings.CutSuffix(strings.TrimRight(enterprise.Path, "/"), "/api/v3"); ok {
		enterprise.Path, enterprise.RawPath = base+"/api", ""
	}
	a.endpoint = enterprise.JoinPath("graphql")
	return a, nil
}

// variables are those of a query.
type variables map[string]any

// ask asks the query with the credentials for an organization. what says what is asked for.
func (a *api) ask(ctx context.Context, organization, what, query string, v variables, into any) error {
	return a.client.GraphQL(ctx, forge.Request{
		What: what, At: integration.Location{Owner: organization}, URL: a.endpoint, Query: query, Variables: v,
	}, into)
}

// connection is a page of a list.
type connection[T any] struct {
	Nodes    []*T
	PageInfo struct {
		HasNextPage bool
		EndCursor   string
	}
}

// pages asks for all pages of a list, or for none: a list of which a part is missing is an error.
func pages[T any](ctx context.Context, what string, next func(ctx context.Context, cursor *string) (*connection[T], error)) ([]T, error) {
	var found []T
	var cursor *string
	for {
		page, err := next(ctx, cursor)
		if err != nil {
			return nil, err
		}
		if page == nil {
			return nil, service.NotFoundError.Errorf("asking GitHub for %s: there is nothing of the kind, or nothing that the credentials may see", what)
		}
		for _, node := range page.Nodes {
			if node != nil {
				found = append(found, *node)
			}
		}
		if !page.PageInfo.HasNextPage {
			return found, nil
		}
		if end := page.PageInfo.EndCursor; end == "" || cursor != nil && *cursor == end {
			return nil, fmt.Errorf("asking GitHub for %s: the server answers with the same page again and again", what)
		}
		cursor = &page.PageInfo.EndCursor
	}
}
