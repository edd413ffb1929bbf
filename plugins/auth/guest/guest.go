// Package guest is a module of the auth plugin that lets everybody in as the same user, without any proof: for development.
//
//	auth:
//	  providers:
//	    guest:
//	      userEntityRef: user:default/guest          # user:development/guest
//	      ownershipEntityRefs: [group:default/team]  # if the catalog doesn't have the user
//	      dangerouslyAllowOutsideDevelopment: true
//
// Development is where the environment variable NODE_ENV is development, as in Backstage. Elsewhere guests are refused, unless the
// configuration allows them: then whoever reaches the portal is that user.
package guest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/service"
)

//go:embed config.schema.json
var schema []byte

const (
	id          = "guest"
	key         = "auth.providers." + id
	defaultUser = "user:development/guest"
)

// Module adds the provider guest. The configuration must have auth.providers.guest, if only {}.
func Module() plugin.Module {
	return plugin.NewModule("auth", "guest-provider", plugin.ConfigSchema(schema), plugin.Init(start))
}

type settings struct {
	UserEntityRef                      string
	OwnershipEntityRefs                []string
	DangerouslyAllowOutsideDevelopment bool
}

func start(cfg service.Config, log *slog.Logger, providers auth.Providers) error {
	if !cfg.Has(key) {
		return fmt.Errorf("auth: configuration key %s is required for guests; write \"guest: {}\", or leave the module out", key)
	}
	s := settings{UserEntityRef: defaultUser}
	if err := cfg.Decode(key, &s); err != nil {
		return err
	}
	ref, err := catalogmodel.ParseRef(s.UserEntityRef, catalogmodel.RefDefaults{Kind: "user"})
	if err != nil {
		return fmt.Errorf("auth: configuration key %s.userEntityRef: %w", key, err)
	}
	providers.AddProxyProvider(auth.ProxyProvider{
		ID: id,
		New: func(auth.Environment) (auth.ProxyAuthenticator, error) {
			return authenticator{allowed: s.DangerouslyAllowOutsideDevelopment || os.Getenv("NODE_ENV") == "development"}, nil
		},
		SignIn: func(ctx context.Context, _ auth.Login, users auth.Users) (auth.Identity, error) {
			identity, err := users.SignIn(ctx, auth.UserQuery{Ref: ref})
			if err == nil || ctx.Err() != nil {
				return identity, err
			}
			if !errors.Is(err, service.NotFoundError) { // guests come in all the same, as in Backstage
				log.WarnContext(ctx, "Failed to look for the guest in the catalog", "user", ref, "error", err)
			}
			return auth.Identity{UserEntityRef: ref.String(), OwnershipEntityRefs: s.OwnershipEntityRefs}, nil
		},
	})
	return nil
}

type authenticator struct{ allowed bool }

// Authenticate implements auth.ProxyAuthenticator.
func (a authenticator) Authenticate(*http.Request) (auth.Login, error) {
	if !a.allowed {
		return auth.Login{}, service.NotAllowedError.Errorf("The guest provider cannot be used outside of a development environment " +
			"unless 'auth.providers.guest.dangerouslyAllowOutsideDevelopment' is enabled")
	}
	return auth.Login{}, nil
}
