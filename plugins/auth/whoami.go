package auth

import (
	"context"
	"encoding/json"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
)

// whoAmI is the action that tells users about themselves, by the name and output of Backstage.
type whoAmI struct {
	catalog *catalogclient.Client
	users   service.UserInfo
}

func (w whoAmI) register(actions service.ActionsRegistry) error {
	return actions.Register(service.NewAction(service.ActionInfo{
		Name: "who-am-i", Title: "Who Am I", Attributes: service.ActionAttributes{ReadOnly: true, Idempotent: true},
		Description: "Tells users who they are: their entity in the catalog, and what they own things through. It needs the credentials of a user.",
	}, w.run))
}

type identity struct {
	Entity   map[string]any `json:"entity" jsonschema:"the entity of the user"`
	UserInfo userRefs       `json:"userInfo" jsonschema:"who the user is"`
}

type userRefs struct {
	UserEntityRef       string   `json:"userEntityRef" jsonschema:"the reference of the user, as in user:default/jane.doe"`
	OwnershipEntityRefs []string `json:"ownershipEntityRefs" jsonschema:"the references through which the user owns things"`
}

func (w whoAmI) run(ctx context.Context, _ struct{}) (who identity, err error) {
	user, _ := service.ActsFor(ctx)
	if user.Kind != service.AllowUser {
		return who, service.NotAllowedError.Errorf("This action requires user credentials")
	}
	ref, err := catalogmodel.ParseRef(user.Subject, catalogmodel.RefDefaults{})
	if err != nil {
		return who, err
	}
	entity, err := w.catalog.EntityByRef(ctx, ref)
	if err != nil {
		return who, err
	}
	if err := json.Unmarshal(entity.AppendJSON(nil), &who.Entity); err != nil {
		return who, err
	}
	info, err := w.users.UserInfo(ctx, user)
	who.UserInfo = userRefs{info.EntityRef, info.OwnershipEntityRefs}
	return who, err
}
