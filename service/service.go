package service

import (
	"fmt"
	"reflect"
)

// Scope tells how many instances of a service there are.
type Scope string

// The scopes of services.
const (
	// ScopeRoot is the scope of services with one instance in a backend. They can't ask for plugin-scoped ones.
	ScopeRoot Scope = "root"
	// ScopePlugin is the scope of services with one instance for each plugin that asks for them.
	ScopePlugin Scope = "plugin"
)

// Service is the declaration of a service: its type, its scope and how it is made. A Service is a description and may be added to any
// number of backends.
type Service struct {
	typ         reflect.Type
	scope       Scope
	constructor any
	group       bool
	eager       bool
	schemas     [][]byte
}

// Option changes the declaration of a service.
type Option func(*Service)

// Root declares the service T with one instance in the backend. The constructor is a function whose parameters are its dependencies (or
// one struct that embeds fx.In) and that returns a value assignable to T, and perhaps an error.
func Root[T any](constructor any, options ...Option) Service {
	return declare[T](ScopeRoot, constructor, options)
}

// PerPlugin declares the service T with an instance for each plugin that asks for it. The constructor is as for [Root]; it may ask for
// plugin.Metadata, for root services and for other services of the plugin.
func PerPlugin[T any](constructor any, options ...Option) Service {
	return declare[T](ScopePlugin, constructor, options)
}

// RootGroup declares one member of the root services of type T. Who asks for []T gets the members in the order in which they were
// added.
func RootGroup[T any](constructor any, options ...Option) Service {
	s := declare[T](ScopeRoot, constructor, options)
	s.group = true
	return s
}

// PluginGroup declares one member of the plugin-scoped services of type T. Who asks for []T gets the members in the order in which they
// were added.
func PluginGroup[T any](constructor any, options ...Option) Service {
	s := declare[T](ScopePlugin, constructor, options)
	s.group = true
	return s
}

func declare[T any](scope Scope, constructor any, options []Option) Service {
	s := Service{typ: reflect.TypeFor[T](), scope: scope, constructor: constructor}
	for _, o := range options {
		o(&s)
	}
	return s
}

// Eager has the service made at start even if nobody asks for it.
func Eager() Option { return func(s *Service) { s.eager = true } }

// ConfigSchema adds a JSON Schema of the configuration that the service reads; see plugin.ConfigSchema.
func ConfigSchema(schema []byte) Option {
	return func(s *Service) { s.schemas = append(s.schemas, schema) }
}

// Type is the type that identifies the service.
func (s Service) Type() reflect.Type { return s.typ }

// Scope is the scope of the service.
func (s Service) Scope() Scope { return s.scope }

// Constructor is the function that makes the service.
func (s Service) Constructor() any { return s.constructor }

// InGroup tells whether the service is one of several of its type.
func (s Service) InGroup() bool { return s.group }

// IsEager tells whether the service is made even if nobody asks for it.
func (s Service) IsEager() bool { return s.eager }

// ConfigSchemas are the JSON Schemas of the configuration that the service reads.
func (s Service) ConfigSchemas() [][]byte { return s.schemas }

// String is how messages name the service.
func (s Service) String() string { return fmt.Sprintf("service %s", s.typ) }

// Feature marks a Service as something that can be added to a backend.
func (s Service) Feature() {}

// Defaulter is implemented by a type that brings its own service, so that plugins can ask for it without the adopter adding anything:
// clients of other plugins, for instance. A service that was added for the type replaces the default.
type Defaulter interface {
	// DefaultService is the service for the type itself. It is called on the zero value, which it must not use.
	DefaultService() Service
}
