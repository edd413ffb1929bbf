package plugin

import (
	"io"
	"io/fs"
	"reflect"

	"github.com/portico-dev/portico/extension"
)

// Plugin describes a plugin. Make one with [New]; add it to a backend with Backend.Add. A Plugin may be added to any number of
// backends: each has instances of its own.
type Plugin struct {
	id   string
	spec Spec
}

// New describes the plugin with the given id: lower-case letters, digits and dashes, beginning with a letter ("user-settings"). The
// id names the plugin's routes (/api/<id>), database, cache and configuration, so it can't change later without moving those.
func New(id string, options ...Option) Plugin {
	return Plugin{id: id, spec: newSpec(options)}
}

// ID is the plugin's id.
func (p Plugin) ID() string { return p.id }

// Spec is what the plugin is made of.
func (p Plugin) Spec() Spec { return p.spec }

// String is how messages name the plugin.
func (p Plugin) String() string { return "plugin " + p.id }

// Feature marks a Plugin as something that can be added to a backend.
func (p Plugin) Feature() {}

// Module describes a module: a part that extends one plugin. Make one with [NewModule].
type Module struct {
	pluginID string
	id       string
	spec     Spec
}

// NewModule describes the module id of the plugin pluginID. Module ids follow the rules of plugin ids, except that they may have capitals, and are
// unique within their plugin. backend.startup of the configuration names modules by them.
func NewModule(pluginID, id string, options ...Option) Module {
	return Module{pluginID: pluginID, id: id, spec: newSpec(options)}
}

// ID is the module's id, unique within its plugin.
func (m Module) ID() string { return m.id }

// PluginID is the id of the plugin that the module extends.
func (m Module) PluginID() string { return m.pluginID }

// Spec is what the module is made of.
func (m Module) Spec() Spec { return m.spec }

// String is how messages name the module.
func (m Module) String() string { return "module " + m.pluginID + "/" + m.id }

// Feature marks a Module as something that can be added to a backend.
func (m Module) Feature() {}

// Metadata tells a plugin-scoped service, a plugin or a module for which plugin it was made: Backstage's core.pluginMetadata. It can
// be asked for like a service.
type Metadata struct {
	// ID is the id of the plugin.
	ID string
}

// Spec is what a plugin or module is made of, for the backend that runs it and for tools that describe it.
type Spec struct {
	// Inits are the init functions, in order.
	Inits []any
	// Points are the extension points that it provides.
	Points []Point
	// Migrations holds the SQL files that bring its database up to date, or is nil.
	Migrations fs.FS
	// ConfigSchemas are JSON Schemas of the configuration that it reads.
	ConfigSchemas [][]byte
	// Commands makes the grammar of its commands, as a pointer to a struct; nil if it has none.
	Commands func() any
	// CommandsHelp says in a line what the commands are for.
	CommandsHelp string
}

// Point is an extension point together with the constructor of what implements it.
type Point struct {
	// ID is the id of the extension point.
	ID string
	// Type is the type that modules ask for.
	Type reflect.Type
	// Constructor is a function that returns a value assignable to Type, and perhaps an error.
	Constructor any
}

// Option is one part of a plugin or module.
type Option func(*Spec)

func newSpec(options []Option) Spec {
	var s Spec
	for _, o := range options {
		o(&s)
	}
	return s
}

// Init adds a function that runs once when the plugin or module starts. Its parameters are its dependencies; it returns nothing or an
// error. It registers routes, extensions, tasks and hooks and returns soon: work that takes long belongs into an OnStart hook or a
// scheduled task.
func Init(fn any) Option {
	return func(s *Spec) { s.Inits = append(s.Inits, fn) }
}

// Provide adds an extension point, made once for each backend by constructor: an ordinary function with its dependencies as
// parameters, which returns the implementation and perhaps an error. Modules ask for T; the plugin itself asks for the type that the
// constructor returns ("*sources"), and so sees more than its modules do.
func Provide[T any](point extension.Point[T], constructor any) Option {
	return func(s *Spec) {
		s.Points = append(s.Points, Point{ID: point.ID(), Type: point.Type(), Constructor: constructor})
	}
}

// Migrations adds the SQL files that create and change the tables of the plugin's database. They run before any init function, under
// a lock, each once and in the order of their names. Package service/database tells how files are named.
func Migrations(files fs.FS) Option {
	return func(s *Spec) { s.Migrations = files }
}

// Commands adds commands to the command line of the backend's binary, below the id of the plugin: `portal todo export --all`. Only plugins have
// commands, not modules. T is a struct in the form of github.com/alecthomas/kong, with a field for each command, which is a struct with its
// arguments and a method Run:
//
//	type commands struct {
//		Export export `cmd:"" help:"Write all items."`
//	}
//
//	type export struct {
//		All bool `help:"Also those that are done."`
//	}
//
//	func (e *export) Run(ctx context.Context, out plugin.Output, db *bun.DB) error { … }
//
// Run's parameters are what an init function of the plugin can ask for, except extension points, and the [Output]. The command runs in a process
// of its own: services are made when they are asked for, but nothing is started. What is asked of other plugins with the *http.Client, or of this
// one, goes to the backend that runs with the same configuration, as if from another replica of it.
func Commands[T any](help string) Option {
	return func(s *Spec) {
		s.Commands, s.CommandsHelp = func() any { return new(T) }, help
	}
}

// Output is where a command writes what it has to tell.
type Output struct{ io.Writer }

// ConfigSchema adds a JSON Schema (draft 7) of the configuration that the plugin or module reads, written from the root of the
// configuration. Beside the standard keywords, `visibility` ("frontend", "backend" or "secret") and `deepVisibility` tell who may see
// a value, as in Backstage.
func ConfigSchema(schema []byte) Option {
	return func(s *Spec) { s.ConfigSchemas = append(s.ConfigSchemas, schema) }
}
