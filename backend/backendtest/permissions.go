package backendtest

import (
	"context"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/permissions"
)

// Permissions replaces the service.Permissions of a backend by one that decides about users by a function of the test. Services may do
// everything. Conditional decisions are applied by the resource types of the plugin that asks.
//
//	backendtest.Start(t, todo.Plugin(), backendtest.Permissions(func(_ service.Credentials, p service.Permission) service.Decision {
//		if p.Name == "todo.item.delete" {
//			return service.Decision{Result: service.ResultDeny}
//		}
//		return service.Decision{Result: service.ResultAllow}
//	}))
//
// Without it everything is allowed, as by default in Backstage.
func Permissions(decide func(user service.Credentials, p service.Permission) service.Decision) backend.Feature {
	return service.PerPlugin[service.Permissions](func(registry *permissions.Registry) service.Permissions {
		return &policy{registry: registry, decide: decide}
	})
}

// policy is the service.Permissions of a plugin in tests.
type policy struct {
	registry *permissions.Registry
	decide   func(service.Credentials, service.Permission) service.Decision
}

// Authorize implements service.Permissions.
func (p *policy) Authorize(ctx context.Context, who service.Credentials, requests ...service.PermissionRequest) ([]bool, error) {
	allowed := make([]bool, len(requests))
	for i, r := range requests {
		decisions, err := p.AuthorizeConditional(ctx, who, r.Permission)
		if err != nil {
			return nil, err
		}
		allowed[i] = decisions[0].Result == service.ResultAllow
		if decisions[0].Result == service.ResultConditional {
			if allowed[i], err = p.registry.Meets(ctx, r.ResourceRef, decisions[0]); err != nil {
				return nil, err
			}
		}
	}
	return allowed, nil
}

// AuthorizeConditional implements service.Permissions.
func (p *policy) AuthorizeConditional(_ context.Context, who service.Credentials, permissions ...service.Permission) ([]service.Decision, error) {
	decisions := make([]service.Decision, len(permissions))
	for i, permission := range permissions {
		switch who.Kind {
		case service.AllowService:
			decisions[i].Result = service.ResultAllow
		case service.AllowUser:
			decisions[i] = p.decide(who, permission)
		default:
			return nil, service.AuthenticationError.Errorf("Missing credentials")
		}
	}
	return decisions, nil
}
