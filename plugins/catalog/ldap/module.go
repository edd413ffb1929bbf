package ldap

import (
	"context"
	_ "embed" // for the schema
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var configSchema []byte

// Module adds the providers that `catalog.providers.ldapOrg` configures.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "ldapOrgEntityProvider",
		plugin.ConfigSchema(configSchema),
		plugin.Provide(TransformsPoint, newTransforms),
		plugin.Init(start),
	)
}

// Transformer makes the entity of an entry of the directory. Standard is the entity that is made without a transformer, or an error if the
// entry lacks what it needs. The zero Entity leaves the entry out.
type Transformer func(ctx context.Context, entry *ldap.Entry, standard func() (catalogmodel.Entity, error)) (catalogmodel.Entity, error)

// Transforms lets modules change what becomes of entries.
type Transforms interface {
	// SetUserTransformer sets what makes the entities of users. It can be set once.
	SetUserTransformer(Transformer) error
	// SetGroupTransformer sets what makes the entities of groups. It can be set once.
	SetGroupTransformer(Transformer) error
}

// TransformsPoint is the extension point for [Transforms].
var TransformsPoint = extension.NewPoint[Transforms]("catalog.ldapOrgEntityProvider.transforms")

type transforms struct{ user, group Transformer }

func newTransforms() *transforms { return &transforms{} }

func (t *transforms) SetUserTransformer(user Transformer) error {
	return setOnce(&t.user, user, "user")
}
func (t *transforms) SetGroupTransformer(group Transformer) error {
	return setOnce(&t.group, group, "group")
}

func setOnce(dst *Transformer, transformer Transformer, what string) error {
	if transformer == nil {
		return errors.New("catalog/ldap: the " + what + " transformer is nil")
	}
	if *dst != nil {
		return errors.New("catalog/ldap: the " + what + " transformer is set already")
	}
	*dst = transformer
	return nil
}

func start(cfg service.Config, providers catalog.EntityProviders, scheduler service.Scheduler, t *transforms, log *slog.Logger) error {
	var all map[string]settings
	if err := cfg.Decode("catalog.providers.ldapOrg", &all); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		s := all[id]
		if err := s.complete(); err != nil {
			return fmt.Errorf("catalog.providers.ldapOrg.%s: %w", id, err)
		}
		p := &provider{id: id, settings: s, transforms: t, scheduler: scheduler, log: log.With("provider", id)}
		providers.AddEntityProvider(p)
	}
	return nil
}
