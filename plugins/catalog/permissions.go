package catalog

import (
	"github.com/portico-dev/portico/extension"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
)

// Permissions lets modules say what policies can decide about. Permissions of their own, modules add to the catalog's
// service.PermissionsRegistry.
type Permissions interface {
	// AddPermissionRules adds rules that policies can make conditions on entities of. Names are unique in a catalog.
	AddPermissionRules(...catalogpermission.Rule)
}

// PermissionsPoint is the extension point for [Permissions].
var PermissionsPoint = extension.NewPoint[Permissions]("catalog.permissions")

// permissions are what modules have added.
type permissions struct{ rules []catalogpermission.Rule }

func newPermissions() *permissions { return &permissions{} }

func (p *permissions) AddPermissionRules(rules ...catalogpermission.Rule) {
	p.rules = append(p.rules, rules...)
}
