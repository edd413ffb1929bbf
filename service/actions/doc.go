// Package actions has plugins offer actions to others, and invoke those of others: it implements service.ActionsRegistry and
// service.Actions.
//
// A plugin that asks for a service.ActionsRegistry has the routes of Backstage's alpha services:
//
//	GET  /.backstage/actions/v1/actions               the actions that the caller may see: {"actions":[…]}
//	POST /.backstage/actions/v1/actions/{id}/invoke   the input as JSON; answers {"output":…}
//	POST /.backstage/actions/v2/actions/{id}/invoke   {"input":…,"secrets":…}
//
// Input is checked against the JSON Schema of the action's Go type; an error names each field that is wrong. Who invokes an action, and how
// it ends, is in the audit log as event action-invoke: with severity low for actions that only read, medium for others. Neither input nor
// secrets are.
//
// # Configuration
//
//	backend:
//	  actions:
//	    pluginSources: [catalog, todo]   # the plugins whose actions are listed
//	    filter:                          # which actions there are; by default all
//	      include:
//	        - id: 'catalog:*'
//	        - attributes: { readOnly: true }
//	      exclude:                       # has precedence
//	        - id: '*:delete-*'
//
// Attributes of rules are destructive, readOnly and idempotent. Actions that are filtered out, and those of plugins that are not among the
// sources, can't be invoked either; without pluginSources, none are listed but all can be invoked.
//
// # What differs from Backstage
//
// Messages about wrong input name fields in words instead of quoting the validator's report. Unknown fields of input are refused, as the
// schemas say, instead of being left out. Output is not checked: its Go type is its
// schema.
package actions
