package catalog

import (
	"time"

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
	processors    map[string]ingest.Setting
	readonly      bool
	// refreshExisting has a location that is registered once more refreshed.
	refreshExisting bool
	scm             scmReactions
}

// defaultInterval is Backstage's: entities are processed every 100 to 150 seconds.
const defaultInterval = 100 * time.Second

func readSettings(cfg service.Config) (settings, error) {
	s := settings{interval: defaultInterval, disabled: map[string]bool{}}
	var err error
	if s.locations, s.rules, err = ingest.Read(cfg); err != nil {
		return s, err
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
	if err := s.readProcessors(cfg); err != nil {
		return s, err
	}
	if err := cfg.Decode("catalog.readonly", &s.readonly); err != nil {
		return s, err
	}
	conflict := "reject"
	if err := cfg.Decode("catalog.defaultLocationConflictStrategy", &conflict); err != nil {
		return s, err
	}
	s.refreshExisting = conflict == "refresh"
	if s.scm, err = readSCMReactions(cfg); err != nil {
		return s, err
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

func (s *settings) readProcessors(cfg service.Config) error {
	s.processors = map[string]ingest.Setting{}
	if err := cfg.Decode("catalog.processorOptions", &s.processors); err != nil {
		return err
	}
	var disabled bool
	if err := cfg.Decode("catalog.disableDefaultProcessors", &disabled); err != nil || !disabled {
		return err
	}
	for _, name := range ingest.Defaults {
		s.processors[name] = ingest.Setting{Disabled: true}
	}
	return nil
}
