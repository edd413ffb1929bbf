package service

import (
	"context"
	"encoding/json"
)

// ActionsRegistry is where a plugin offers actions to others, at its routes below /.backstage/actions: Backstage's alpha.core.actionsRegistry.
// Safe for concurrent use.
type ActionsRegistry interface {
	// Register offers actions from now on. One that is incomplete, or whose name the plugin has used already, is an error; none is
	// registered then.
	Register(actions ...Action) error
}

// Actions lists and invokes actions of all plugins: Backstage's alpha.core.actions. Safe for concurrent use.
type Actions interface {
	// List returns the actions that the caller may see, of the plugins in backend.actions.pluginSources. A plugin that can't be asked is
	// logged and left out.
	List(ctx context.Context, who Credentials) ([]ActionDescription, error)
	// Invoke invokes an action on behalf of the caller and returns its output. Errors of the action and its plugin keep their names; an
	// action that doesn't exist, or that the caller may not see, is a NotFoundError.
	Invoke(ctx context.Context, who Credentials, call ActionCall) (output json.RawMessage, err error)
}

// ActionDescription describes an action to those who may invoke it.
type ActionDescription struct {
	// ID is "<plugin>:<name>".
	ID          string           `json:"id"`
	Name        string           `json:"name"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	PluginID    string           `json:"pluginId"`
	Attributes  ActionAttributes `json:"attributes"`
	Examples    []ActionExample  `json:"examples,omitempty"`
	Schema      ActionSchemas    `json:"schema"`
}

// ActionCall is which action is invoked with what.
type ActionCall struct {
	// ID is that of the action.
	ID string
	// Input is anything whose JSON the action takes. Nil stands for an empty object.
	Input any
	// Secrets are for an action that needs some, and nil otherwise.
	Secrets any
}
