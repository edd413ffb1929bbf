// Package cmdb is a module of the catalog plugin: it ingests entities from the company's CMDB.
package cmdb

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// Module adds the CMDB as a source of entities. It reads `catalog.providers.cmdb` from the configuration.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "cmdb",
		plugin.ConfigSchema(config.SchemaOf[settings]("catalog.providers.cmdb")),
		plugin.Init(start),
	)
}

type settings struct {
	URL   string        `config:"url" schema:"required,format=uri" doc:"Where the CMDB lists its systems."`
	Every time.Duration `config:"every" doc:"How often they are read. Default: five minutes."`
}

func start(cfg service.Config, providers catalog.EntityProviders, scheduler service.Scheduler) error {
	s := settings{Every: 5 * time.Minute}
	if err := cfg.Decode("catalog.providers.cmdb", &s); err != nil {
		return err // names the file, the line and the key
	}
	p := &provider{url: s.URL, client: &http.Client{Timeout: 30 * time.Second}}
	providers.AddEntityProvider(p)
	return scheduler.Schedule(service.Task{ID: "cmdb-refresh", Every: s.Every, Timeout: time.Minute, Run: p.refresh})
}

type provider struct {
	url    string
	client *http.Client
	conn   catalog.EntityProviderConnection
}

// Name implements catalog.EntityProvider.
func (p *provider) Name() string { return "cmdb" }

// Connect implements catalog.EntityProvider. It is called before the first task runs.
func (p *provider) Connect(_ context.Context, conn catalog.EntityProviderConnection) error {
	p.conn = conn
	return nil
}

// item is what the CMDB knows of a system.
type item struct {
	Name  string `json:"name"`
	Owner string `json:"owner"`
	Stage string `json:"stage"`
}

// maxAnswer bounds what is read from the CMDB.
const maxAnswer = 32 << 20

// refresh replaces what this provider has told the catalog before.
func (p *provider) refresh(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	res, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the CMDB answered %s", res.Status)
	}
	var items []item
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&items); err != nil {
		return fmt.Errorf("reading the CMDB's answer: %w", err)
	}
	entities := make([]catalogmodel.Entity, 0, len(items))
	for _, i := range items {
		e, err := catalogmodel.Component.New(i.Name, catalogmodel.ComponentSpec{Type: "service", Lifecycle: i.Stage, Owner: i.Owner})
		if err != nil {
			return fmt.Errorf("item %q: %w", i.Name, err)
		}
		entities = append(entities, e)
	}
	return p.conn.ApplyMutation(ctx, catalog.FullMutation(entities...))
}
