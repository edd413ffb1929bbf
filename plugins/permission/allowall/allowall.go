// Package allowall is a module of the permission plugin with the policy that lets every user do everything. It is for portals that have no
// rules yet, like Backstage's module of this name.
package allowall

import (
	"context"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/service"
)

// Module is the module.
func Module() plugin.Module {
	return plugin.NewModule("permission", "allow-all-policy", plugin.Init(func(policies permission.Policies) error {
		return policies.SetPolicy(permission.PolicyFunc(allow))
	}))
}

func allow(context.Context, service.Permission, *permission.User) (service.Decision, error) {
	return service.Decision{Result: service.ResultAllow}, nil
}
