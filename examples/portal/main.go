// Command portal is a developer portal's backend with everything that comes with Portico, on embedded defaults: databases are SQLite files,
// caches are in memory.
//
//	go run ./examples/portal
//
// serves http://localhost:7007 from app-config.yaml beside this file.
package main

import (
	"context"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugins/auth"
	"github.com/portico-dev/portico/plugins/auth/guest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/unprocessed"
	"github.com/portico-dev/portico/plugins/events"
	githubevents "github.com/portico-dev/portico/plugins/events/github"
	gitlabevents "github.com/portico-dev/portico/plugins/events/gitlab"
	"github.com/portico-dev/portico/plugins/permission"
	"github.com/portico-dev/portico/plugins/permission/allowall"
	"github.com/portico-dev/portico/plugins/permission/rbac"
	"github.com/portico-dev/portico/plugins/usersettings"
	"github.com/portico-dev/portico/service"
)

func main() {
	enterExample()
	backend.Main(
		auth.Plugin(),
		guest.Module(),
		catalog.Plugin(), unprocessed.Module(),
		events.Plugin(), githubevents.Module(), gitlabevents.Module(),
		permission.Plugin(), backend.Loader(policy),
		usersettings.Plugin(),
	)
}

// policy is that of the roles in the configuration. Without any, every user may do everything, as in a new Backstage.
func policy(_ context.Context, cfg service.Config) ([]backend.Feature, error) {
	if cfg.Has("permission.rbac") {
		return []backend.Feature{rbac.Module()}, nil
	}
	return []backend.Feature{allowall.Module()}, nil
}
