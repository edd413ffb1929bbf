package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v5"
)

// ActionInfo tells what an action is, to those who choose from many: people, programs and language models.
type ActionInfo struct {
	// Name identifies the action within its plugin: letters, digits, dots, underscores and hyphens. Its id is "<plugin>:<name>". Required.
	Name string
	// Title is how the action is shown. Required.
	Title string
	// Description tells what it does, and when to use it. Required.
	Description string
	// Attributes tell what can happen when it is invoked.
	Attributes ActionAttributes
	// VisibilityPermission is a basic permission that callers need to see the action, and to invoke it. It is added to the permissions of
	// the plugin. The zero value is none.
	VisibilityPermission Permission
	// Examples tell how it is used.
	Examples []ActionExample
}

// ActionAttributes tell what can happen when an action is invoked. The zero value is the worst: it may destroy something, and more each time.
type ActionAttributes struct {
	// ReadOnly is for an action that changes nothing.
	ReadOnly bool
	// Additive is for one that changes something, but destroys nothing.
	Additive bool
	// Idempotent is for one that does nothing more when it is invoked again with the same input.
	Idempotent bool
}

// MarshalJSON encodes the attributes in the form of Backstage.
func (a ActionAttributes) MarshalJSON() ([]byte, error) {
	return json.Marshal(actionAttributes{Destructive: !a.ReadOnly && !a.Additive, Idempotent: a.Idempotent, ReadOnly: a.ReadOnly})
}

// UnmarshalJSON decodes the form of Backstage.
func (a *ActionAttributes) UnmarshalJSON(data []byte) error {
	var decoded actionAttributes
	err := json.Unmarshal(data, &decoded)
	*a = ActionAttributes{ReadOnly: decoded.ReadOnly, Additive: !decoded.ReadOnly && !decoded.Destructive, Idempotent: decoded.Idempotent}
	return err
}

type actionAttributes struct {
	Destructive bool `json:"destructive"`
	Idempotent  bool `json:"idempotent"`
	ReadOnly    bool `json:"readOnly"`
}

// ActionExample is an example of how an action is used.
type ActionExample struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	// Input and Output are what the action takes and returns, or anything with the same JSON.
	Input  any `json:"input"`
	Output any `json:"output,omitempty"`
}

// ActionSchemas are JSON Schemas (draft 7) of what goes in and comes out of an action.
type ActionSchemas struct {
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"`
	// Secrets is empty for actions that take none.
	Secrets json.RawMessage `json:"secrets,omitempty"`
}

// Action is something that a plugin does for others. Make one with [NewAction] or [NewActionWithSecrets].
type Action struct {
	ActionInfo
	// Schemas are derived from the Go types of the action.
	Schemas ActionSchemas

	err            error // why it can't be registered
	input, secrets *validator.Schema
	run            func(ctx context.Context, input, secrets json.RawMessage) (any, error)
}

// NewAction makes an action of a function. Its input and output are structs with JSON names; fields that are not omitempty or omitzero are
// required, and the tag `jsonschema:"…"` describes a field to callers. A function gets input that is valid, and acts for who [ActsFor] tells
// of its context; so do its calls of other plugins. An error of package service is told to the caller, others are internal ones.
//
//	type note struct {
//		Text string `json:"text" jsonschema:"what to remember"`
//	}
//	registry.Register(service.NewAction(service.ActionInfo{Name: "add-note", Title: "Add a note", Description: "Notes something down."},
//		func(ctx context.Context, in note) (added, error) { … }))
func NewAction[In, Out any](info ActionInfo, run func(ctx context.Context, in In) (Out, error)) Action {
	a := newAction[In, Out](info)
	a.run = func(ctx context.Context, input, _ json.RawMessage) (any, error) {
		var in In
		if err := decodeValid(input, &in); err != nil {
			return nil, InputError.Errorf("Invalid input to the action: %w", err)
		}
		return run(ctx, in)
	}
	return a
}

// NewActionWithSecrets is [NewAction] for an action that needs secrets beside its input. They are kept apart so that they are not shown, and
// not logged; callers that know secrets only of others, such as language models, can't make them up.
func NewActionWithSecrets[In, Secrets, Out any](info ActionInfo, run func(ctx context.Context, in In, secrets Secrets) (Out, error)) Action {
	a := newAction[In, Out](info)
	var err error
	a.Schemas.Secrets, a.secrets, err = actionSchema(reflect.TypeFor[Secrets]())
	a.err = errors.Join(a.err, err)
	a.run = func(ctx context.Context, input, rawSecrets json.RawMessage) (any, error) {
		var in In
		if err := decodeValid(input, &in); err != nil {
			return nil, InputError.Errorf("Invalid input to the action: %w", err)
		}
		var secrets Secrets
		if err := decodeValid(rawSecrets, &secrets); err != nil {
			return nil, InputError.Errorf("Invalid secrets for the action")
		}
		return run(ctx, in, secrets)
	}
	return a
}

var actionName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func newAction[In, Out any](info ActionInfo) Action {
	a := Action{ActionInfo: info}
	var err, also error
	a.Schemas.Input, a.input, err = actionSchema(reflect.TypeFor[In]())
	a.Schemas.Output, _, also = actionSchema(reflect.TypeFor[Out]())
	a.err = errors.Join(err, also)
	switch {
	case !actionName.MatchString(info.Name):
		a.err = fmt.Errorf("its name %q is not one of letters, digits, dots, underscores and hyphens", info.Name)
	case info.Title == "" || info.Description == "":
		a.err = errors.New("it needs a title and a description")
	case info.VisibilityPermission.ResourceType != "":
		a.err = fmt.Errorf("its permission %s is one for resources; it takes a basic one", info.VisibilityPermission.Name)
	}
	return a
}

// Validate tells why an action can't be registered.
func (a Action) Validate() error {
	switch {
	case a.err != nil:
		return fmt.Errorf("action %q: %w", a.Name, a.err)
	case a.run == nil:
		return fmt.Errorf("action %q: it was not made by NewAction", a.Name)
	}
	return nil
}

// Run checks what the caller sends, and does it. Secrets are empty when the caller has sent none. What the caller has done wrong is an
// InputError that names the fields.
func (a Action) Run(ctx context.Context, input, secrets json.RawMessage) (output any, err error) {
	if problems := violations(a.input, input, true); problems != "" {
		return nil, InputError.Errorf("Invalid input to action %q: %s", a.Name, problems)
	}
	switch {
	case a.secrets == nil && len(secrets) > 0:
		return nil, InputError.Errorf("Action %q does not accept secrets", a.Name)
	case a.secrets != nil && len(secrets) == 0:
		return nil, InputError.Errorf("Action %q requires secrets but none were provided", a.Name)
	case a.secrets != nil:
		if problems := violations(a.secrets, secrets, false); problems != "" {
			return nil, InputError.Errorf("Invalid secrets for action %q: %s", a.Name, problems)
		}
	}
	return a.run(ctx, input, secrets)
}

// decodeValid decodes what a schema has found valid. Even so it can be too large for its Go type.
func decodeValid(data json.RawMessage, dst any) error {
	err := json.Unmarshal(data, dst)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%s can't be a %s", wrong.Field, wrong.Value)
	}
	return err
}

const draft7 = "http://json-schema.org/draft-07/schema#"

// actionSchema is the schema of a type.
func actionSchema(t reflect.Type) (json.RawMessage, *validator.Schema, error) {
	inferred, err := jsonschema.ForType(t, &jsonschema.ForOptions{
		TypeSchemas: map[reflect.Type]*jsonschema.Schema{reflect.TypeFor[json.RawMessage](): {}},
	})
	if err != nil {
		return nil, nil, err
	}
	if inferred.Type != "object" {
		return nil, nil, fmt.Errorf("%s is not an object in JSON: use a struct", t)
	}
	inferred.Schema = draft7
	if inferred.Properties == nil {
		inferred.Properties = map[string]*jsonschema.Schema{} // some that call actions take no object without
	}
	raw, err := json.Marshal(inferred)
	if err != nil {
		return nil, nil, err
	}
	compiler := validator.NewCompiler()
	compiler.Draft = validator.Draft7
	if err := compiler.AddResource("action.json", bytes.NewReader(raw)); err != nil {
		return nil, nil, err
	}
	compiled, err := compiler.Compile("action.json")
	return raw, compiled, err
}

// violations are what is wrong with the data, each with its field, or empty. Unless they may be told, values are not.
func violations(schema *validator.Schema, data json.RawMessage, tell bool) string {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "it is not JSON"
	}
	var invalid *validator.ValidationError
	if err := schema.Validate(value); err == nil {
		return ""
	} else if !errors.As(err, &invalid) {
		return err.Error()
	}
	var problems []string
	var visit func(*validator.ValidationError)
	visit = func(e *validator.ValidationError) {
		for _, cause := range e.Causes {
			visit(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		field, message := fieldPath(e.InstanceLocation), e.Message
		if !tell {
			message = "is not valid"
		}
		if field != "" {
			message = field + ": " + message
		}
		problems = append(problems, message)
	}
	visit(invalid)
	slices.Sort(problems)
	return strings.Join(slices.Compact(problems), "; ")
}

// fieldPath is a JSON pointer as people write it: items[0].name.
func fieldPath(pointer string) string {
	var b strings.Builder
	for i, name := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		name, _ = url.PathUnescape(name)
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		if _, err := strconv.Atoi(name); err == nil {
			b.WriteString("[" + name + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(name)
	}
	return b.String()
}
