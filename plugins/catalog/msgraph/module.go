package msgraph

import (
	"context"
	_ "embed" // for the schema
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/telemetry"
)

//go:embed config.schema.json
var configSchema []byte

// Module adds the providers that `catalog.providers.microsoftGraphOrg` configures.
func Module() plugin.Module {
	return plugin.NewModule("catalog", "microsoftGraphOrgEntityProvider",
		plugin.ConfigSchema(configSchema),
		plugin.Provide(TransformsPoint, newTransforms),
		plugin.Init(start),
	)
}

// Object is a user, a group or an organisation as Microsoft Graph answers it.
type Object map[string]any

// Text is a field that is text, or empty.
func (o Object) Text(field string) string {
	text, _ := o[field].(string)
	return text
}

// Transformer makes the entity of a user, a group or an organisation. Standard makes the entity that there is without a transformer: the
// zero Entity if the object lacks what it needs. The zero Entity leaves the object out.
type Transformer func(ctx context.Context, o Object, standard func() catalogmodel.Entity) (catalogmodel.Entity, error)

// Transforms lets modules change what becomes of users, groups and organisations. Each transformer can be set once.
type Transforms interface {
	// SetUserTransformer sets what makes the entities of users.
	SetUserTransformer(Transformer) error
	// SetGroupTransformer sets what makes the entities of groups.
	SetGroupTransformer(Transformer) error
	// SetOrganizationTransformer sets what makes the group of the organisation, at the root of all groups.
	SetOrganizationTransformer(Transformer) error
}

// TransformsPoint is the extension point for [Transforms].
var TransformsPoint = extension.NewPoint[Transforms]("catalog.microsoftGraphOrgEntityProvider.transforms")

type transforms struct{ user, group, organization Transformer }

func newTransforms() *transforms { return &transforms{} }

func (t *transforms) SetUserTransformer(f Transformer) error  { return setOnce(&t.user, f, "user") }
func (t *transforms) SetGroupTransformer(f Transformer) error { return setOnce(&t.group, f, "group") }
func (t *transforms) SetOrganizationTransformer(f Transformer) error {
	return setOnce(&t.organization, f, "organization")
}

func setOnce(dst *Transformer, f Transformer, what string) error {
	if f == nil {
		return errors.New("catalog/msgraph: the " + what + " transformer is nil")
	}
	if *dst != nil {
		return errors.New("catalog/msgraph: the " + what + " transformer is set already")
	}
	*dst = f
	return nil
}

type deps struct {
	fx.In

	Config     service.Config
	Catalog    catalog.EntityProviders
	Scheduler  service.Scheduler
	Transforms *transforms
	Log        *slog.Logger
	Clock      clockwork.Clock
	Lifecycle  fx.Lifecycle
	Telemetry  telemetry.Providers
}

func start(d deps) error {
	all, err := readSettings(d.Config)
	if err != nil {
		return err
	}
	transport := forge.Transport(d.Lifecycle, d.Telemetry)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		s := all[id]
		if err := s.complete(); err != nil {
			return fmt.Errorf("catalog.providers.microsoftGraphOrg: provider %s: %w", id, err)
		}
		log := d.Log.With("provider", id)
		d.Catalog.AddEntityProvider(&provider{
			id: id, settings: s, graph: newClient(s, transport, d.Clock, log), transforms: d.Transforms, scheduler: d.Scheduler, log: log,
		})
	}
	return nil
}
