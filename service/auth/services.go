package auth

import (
	_ "embed"

	"github.com/portico-dev/portico/service"
)

//go:embed schema.json
var schema []byte

// Services declares the service.Auth and service.HTTPAuth of each plugin, and the service.UserInfo of a backend.
func Services() []service.Service {
	return []service.Service{
		service.Root[*authority](newAuthority, service.ConfigSchema(schema)),
		service.PerPlugin[service.Auth](newAuth),
		service.PerPlugin[service.HTTPAuth](newHTTPAuth),
		service.Root[service.UserInfo](newUserInfo),
	}
}
