// Package backend puts plugins, modules and services together and runs them: the backend of a developer portal.
//
// The whole main function of a company's portal:
//
//	func main() {
//		backend.Main(
//			catalog.Plugin(), cmdb.Module(),
//			todo.Plugin(),
//		)
//	}
//
// [Main] has a command line, reads app-config.yaml and serves until it is told to stop. [New], Add, Start and Stop are the same for
// programs that want to be in charge themselves. Package backendtest runs a backend in a test, in one line.
//
// # What happens at start
//
//  1. The configuration is read; feature loaders are called with it.
//  2. The wiring of all features is checked, and the configuration against their schemas. Every mistake is reported, at once, before
//     anything has been started.
//  3. The root services are made and started, the HTTP server among them.
//  4. The plugins start side by side; package plugin tells what happens within one. A plugin that fails takes the backend with it, unless
//     backend.startup in the configuration says `continue`.
//  5. The OnStarted hooks run, and readiness turns to 200.
//
// # What happens at stop
//
// Readiness turns to 503; the BeforeShutdown hooks run, the last of which drains the HTTP server; contexts end; the plugins stop, side by
// side; then the OnShutdown hooks and the root services. Every hook has a deadline, and one that fails doesn't keep others from running.
package backend
