// Package service declares services, and what plugins see of the core ones.
//
// A service is a value that plugins share or get an instance of, identified by its Go type. Where a library's own type is the contract
// it is used as it is; an interface is declared here only where the contract is Portico's own:
//
//	*slog.Logger            logger of the plugin             [RootLogger]      logger of the backend
//	*bun.DB                 database of the plugin           [Config]          configuration
//	[Cache]                 cache of the plugin              [RootLifecycle]   hooks around the whole backend
//	*echo.Group             routes below /api/<plugin>       *echo.Echo        routes of the backend
//	[HTTPAuth]              who makes a request              [AuthPolicies]    routes that need no credentials
//	[Health]                readiness checks                 [Instance]        what runs in this backend
//	[Scheduler]             recurring work                   [Events]          what has happened, for others to know
//	[Auth]                  tokens of the plugin             [UserInfo]        who a user is, and what they own
//	*http.Client            calls to other plugins           [Discovery]       where plugins are
//	[Permissions]           what callers may do              [PermissionsRegistry] what policies can decide about
//	[URLReader]             files and trees by URL           [Auditor]         who has done what
//	[ActionsRegistry]       what the plugin does for others  [Actions]         what other plugins do
//	metric.Meter            metrics of the plugin            trace.Tracer      spans of the plugin
//	clockwork.Clock         the time, which tests control    fx.Lifecycle      hooks of the plugin (or of the root service)
//	plugin.Metadata         which plugin this is
//
// # Declaring and overriding
//
// [Root] declares a service of which there is one in a backend, [PerPlugin] one of which each plugin gets its own instance. Adding one
// to a backend provides it, or replaces the built-in service of that type:
//
//	backend.Main(todo.Plugin(), service.Root[service.RootLogger](newLogger))
//
// Two additions for one type are an error, found before anything starts. Services of which there may be several are declared with
// [RootGroup] or [PluginGroup]; who asks for []T gets all of them. Services are made when somebody first asks for them.
//
// The default implementations are in the folders below this one.
package service
