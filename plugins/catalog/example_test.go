package catalog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/processor"
	"github.com/portico-dev/portico/service"
)

// cmdb is a provider that brings what a database of the company knows, at once and every hour.
type cmdb struct{ scheduler service.Scheduler }

func (cmdb) Name() string { return "cmdb" }

func (c cmdb) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	return c.scheduler.Schedule(service.Task{ID: "cmdb-refresh", Every: time.Hour, Run: func(ctx context.Context) error {
		e, err := catalogmodel.Component.New("shop", catalogmodel.ComponentSpec{Type: "service", Lifecycle: "production", Owner: "team-a"})
		if err != nil {
			return err
		}
		return conn.ApplyMutation(ctx, catalog.FullMutation(e))
	}})
}

// A module adds a source of entities.
func ExampleEntityProviders() {
	module := plugin.NewModule("catalog", "cmdb", plugin.Init(func(providers catalog.EntityProviders, scheduler service.Scheduler) {
		providers.AddEntityProvider(cmdb{scheduler})
	}))
	fmt.Println(module)
	// Output: module catalog/cmdb
}

// lifecycle is a processor that completes Components.
type lifecycle struct{}

func (lifecycle) Name() string { return "lifecycle" }

func (lifecycle) PreProcess(_ context.Context, e catalogmodel.Entity, _ processor.Source, _ *processor.Output) (catalogmodel.Entity, error) {
	if catalogmodel.Component.Is(e) && !e.Get("spec", "lifecycle").Exists() {
		e = e.With(catalogmodel.StringValue("production"), "spec", "lifecycle")
	}
	return e, nil
}

// A module completes entities before they are validated, adds a kind and a placeholder, and watches for mistakes.
func ExampleProcessing() {
	type spec struct {
		Owner string `json:"owner"`
	}
	runbook := catalogmodel.NewKind[spec](catalogmodel.Definition{
		Kind: "Runbook", APIVersions: []string{"acme.com/v1"},
		Schema:    `{"properties": {"spec": {"type": "object", "required": ["owner"]}}}`,
		Relations: []catalogmodel.RelationField{{Path: "spec.owner", Type: catalogmodel.RelationOwnedBy, DefaultKind: "Group"}},
	})
	upper := func(_ context.Context, p processor.Placeholder) (catalogmodel.Value, error) { // {$upper: text} is TEXT
		return catalogmodel.StringValue(strings.ToUpper(p.Value.Text())), nil
	}
	module := plugin.NewModule("catalog", "acme", plugin.Init(func(processing catalog.Processing, log *slog.Logger) {
		processing.AddProcessor(lifecycle{})
		processing.AddKind(runbook)
		processing.AddPlaceholderResolver("upper", upper)
		processing.OnProcessingError(func(ctx context.Context, e catalogmodel.Entity, failed catalog.ProcessingErrors) {
			log.InfoContext(ctx, "telling the owner", "entity", failed.Entity, "owner", e.Get("spec", "owner").Text())
		})
	}))
	fmt.Println(module)
	// Output: module catalog/acme
}

// gitServer finds the files of repositories on a forge of the company.
type gitServer struct{}

func (gitServer) Supports(url string) bool { return strings.HasPrefix(url, "https://git.acme.com/") }

func (gitServer) Analyze(_ context.Context, url, filename string) (files []string, err error) {
	return []string{url + "/raw/main/" + filename}, nil
}

// A module finds what a repository describes when somebody imports it.
func ExampleAnalysis() {
	module := plugin.NewModule("catalog", "forge", plugin.Init(func(analysis catalog.Analysis) {
		analysis.AddSCMLocationAnalyzer(gitServer{})
	}))
	fmt.Println(module)
	// Output: module catalog/forge
}

// A module adds a rule to those that policies can make conditions of.
func ExamplePermissions() {
	type tiers struct {
		Tiers []string `json:"tiers" doc:"Tiers to match at least one of"`
	}
	inTier := catalogpermission.NewRule("IS_IN_TIER", "Allow entities of one of the tiers",
		func(p tiers) catalogpermission.Query { return catalogpermission.In("metadata.labels.tier", p.Tiers...) })
	module := plugin.NewModule("catalog", "tiers", plugin.Init(func(permissions catalog.Permissions) {
		permissions.AddPermissionRules(inTier)
	}))
	fmt.Println(module)
	// Output: module catalog/tiers
}

// A module tells what the webhooks of a forge are about, so that the catalog follows at once (see catalog.scmEvents).
func ExampleSCMEvents() {
	pushed := func(_ context.Context, e service.Event) ([]catalog.SCMEvent, error) {
		var push struct{ Repository, Changed string }
		if err := json.Unmarshal(e.Payload, &push); err != nil {
			return nil, nil //nolint:nilerr // it would be no better the next time
		}
		return []catalog.SCMEvent{{Type: catalog.LocationUpdated, URL: push.Repository + "/blob/main/" + push.Changed}}, nil
	}
	module := plugin.NewModule("catalog", "forge-events", plugin.Init(func(events catalog.SCMEvents) {
		events.AddSCMEventSource(catalog.SCMEventSource{ID: "forge", Topics: []string{"forge.push"}, Translate: pushed})
	}))
	fmt.Println(module)
	// Output: module catalog/forge-events
}
