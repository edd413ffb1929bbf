// Package rbac is a module of the permission plugin with a policy of roles, which are written in the configuration:
//
//	permission:
//	  enabled: true
//	  rbac:
//	    roles:
//	      reader:
//	        members: '*'                                   # every user who is signed in
//	        permissions:
//	          - allow: '*'                                 # all permissions …
//	            action: read                               # … that are for reading
//	      developer:
//	        description: May look after what their team owns.
//	        members: [group:default/engineering, user:default/jane]
//	        permissions:
//	          - allow: [catalog.entity.refresh, catalog.entity.delete]
//	            conditions:
//	              rule: IS_ENTITY_OWNER
//	              params: { claims: [$ownerRefs] }
//	          - allow: scaffolder.*
//	          - deny: catalog.location.delete
//
// A user has the roles that name the user or one of the groups by which the user owns things, as service.UserInfo tells them. What no role allows
// is denied, and what one of them denies is denied whatever others allow. Conditions are those of Backstage: a rule, or allOf, anyOf and not of
// conditions; all rules of a condition are for one type of resources, so resourceType can be left out. In parameters, $currentUser stands for
// the user and $ownerRefs for everything by which the user owns things; in a list it adds them to it.
//
// # Mistakes
//
// When the backend starts, all plugins are asked which permissions and rules they have. A name that none of them knows is an error that tells the
// file and line and what was probably meant, as are parameters that don't fit a rule. So are they later: when a file changes, the new roles take
// effect at once, unless something is wrong with them; then that is logged, and the former ones stay in force. Plugins that run in another backend
// are asked too if `permission.rbac.pluginsWithPermission` lists them. If one can't be asked, names that nobody knows are only a warning.
//
// # Why?
//
// The command `permission explain` of the portal's binary tells who has a permission, or why somebody has it or not, with the line of the
// configuration, as does GET /api/permission/explain:
//
//	$ portal permission explain catalog.entity.delete component:default/shop --user user:default/jane
//	catalog.entity.delete on component:default/shop: ALLOW for user:default/jane (group:default/engineering)
//
//	  allowed by role developer, which group:default/engineering has
//	    app-config.yaml:13:13 (permission.rbac.roles.developer.permissions[0])
//	    if {"params":{"claims":["user:default/jane","group:default/engineering"]},…}, which is so
package rbac
