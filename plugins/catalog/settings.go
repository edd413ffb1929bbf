package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/ingest"
	"github.com/portico-dev/portico/service"
)

// settings are what the configuration says of the catalog.
type settings struct {
	locations   []ingest.Location
	rules       *ingest.Rules
	interval    time.Duration
	keepOrphans bool
	// keepForgotten leaves the entities of providers that are not there any more.
	keepForgotten bool
	disabled      map[string]bool // names of providers
}

// defaultInterval is Backstage's: entities are processed every 100 to 150 seconds.
const defaultInterval = 100 * time.Second

func readSettings(cfg service.Config) (settings, error) {
	s := settings{interval: defaultInterval, disabled: map[string]bool{}}
	var err error
	if s.locations, s.rules, err = ingest.Read(cfg); err != nil {
		return s, err
	}
	for _, location := range s.locations {
		if location.Type != "file" {
			return s, fmt.Errorf("catalog.locations: %s:%s can't be read: locations of type %s are not supported yet, only those of type file",
				location.Type, location.Target, location.Type)
		}
	}
	var every any
	if err := cfg.Decode("catalog.processingInterval", &every); err != nil {
		return s, err
	}
	if every == false {
		s.interval = 0
	} else if err := cfg.Decode("catalog.processingInterval", &s.interval); err != nil {
		return s, err
	}
	for key, keep := range map[string]*bool{"catalog.orphanStrategy": &s.keepOrphans, "catalog.orphanProviderStrategy": &s.keepForgotten} {
		strategy := "delete"
		if err := cfg.Decode(key, &strategy); err != nil {
			return s, err
		}
		*keep = strategy == "keep"
	}
	var options map[string]struct {
		Disabled bool `config:"disabled"`
	}
	if err := cfg.Decode("catalog.providerOptions", &options); err != nil {
		return s, err
	}
	for name, o := range options {
		s.disabled[name] = o.Disabled
	}
	return s, nil
}

// configuredLocations brings the locations of the configuration, each as an entity of kind Location.
type configuredLocations struct{ locations []ingest.Location }

func (c *configuredLocations) Name() string { return "ConfigLocationProvider" }

func (c *configuredLocations) Connect(ctx context.Context, conn EntityProviderConnection) error {
	entities := make([]DeferredEntity, len(c.locations))
	for i, location := range c.locations {
		ref := catalogmodel.LocationRef{Type: location.Type, Target: location.Target}
		e, err := ingest.LocationEntity(ref)
		if err != nil {
			return err
		}
		entities[i] = DeferredEntity{Entity: e, LocationKey: ref.String()}
	}
	return conn.ApplyMutation(ctx, FullMutationOf(entities...))
}
