// Package permission is the permission plugin: it decides what users may do, by a policy. It answers to what Backstage's
// plugin-permission-backend 0.7 answers to.
//
// [Plugin] needs a [Policy], which a module sets through [PolicyPoint]. Package rbac, in the folder below, has one that reads roles from the
// configuration; package allowall has one that lets every user do everything. Plugins ask for decisions only if `permission.enabled` is true.
//
//	POST /api/permission/authorize   decides about up to any number of permissions and resources in one request
//	GET  /api/permission/explain     tells who has a permission and why, if the policy can; not in Backstage
//	GET  /api/permission/health
//
// # Decisions
//
// A policy sees a permission and a user, not the resource. It allows, denies, or says on which conditions it allows; then the plugin that has
// the resource is asked whether they are met, once for all resources of a request. Conditions themselves are told only to plugins that act for
// a user, never to browsers: they could tell about what the user may not see.
//
// Within a request the policy is asked once about each permission. Nothing is kept from one request to the next: a user who loses a role has
// lost it.
//
// Each request in which something was denied is recorded by the service.Auditor, as the event "authorize" with what was denied.
package permission
