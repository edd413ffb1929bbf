// Package permissions asks for decisions and tells what can be decided about: the default service.Permissions and
// service.PermissionsRegistry.
//
// Decisions about users are asked of the permission plugin, on behalf of the user and in one call for any number of requests, unless
// `permission.enabled` is not true: then everything is allowed. About services nobody is asked. They may do everything, except that the access
// of an external program may be restricted to some permissions or actions of a plugin by its accessRestrictions. So a plugin that acts for a
// user must pass the user's credentials on.
//
// A plugin that has permissions of its own tells them to its registry, which serves them below /.well-known/backstage/permissions:
//
//	GET  metadata          the permissions, and the rules that conditions are made of; for users and services
//	POST apply-conditions  which resources meet conditions; for services and for plugins that act for users, so that users can't look into
//	                       what they may not see
package permissions
