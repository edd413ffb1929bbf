package permissions

import (
	_ "embed"

	"github.com/portico-dev/portico/service"
)

//go:embed schema.json
var schema []byte

// Services declares the service.Permissions and service.PermissionsRegistry of each plugin.
func Services() []service.Service {
	return []service.Service{
		service.PerPlugin[service.Permissions](newClient, service.ConfigSchema(schema)),
		service.PerPlugin[*Registry](newRegistry),
		service.PerPlugin[service.PermissionsRegistry](func(r *Registry) service.PermissionsRegistry { return r }),
	}
}
