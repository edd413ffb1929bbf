package backend

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/portico-dev/portico/service/config"
)

// Main is the main function of a portal's backend with these features: it interprets the command line, does what that says and exits the
// process, with status 0 when everything went well, 1 when something failed and 2 when the command line was wrong. Without a command it
// serves, until SIGINT or SIGTERM. The binary's --help tells the rest.
func Main(features ...Feature) {
	c := command{
		features: features,
		name:     filepath.Base(os.Args[0]),
		env:      os.Environ(),
		stdout:   os.Stdout,
		stderr:   os.Stderr,
	}
	os.Exit(c.run(context.Background(), os.Args[1:]))
}

// command is one run of an adopter's binary.
type command struct {
	features []Feature
	name     string
	env      []string
	dir      string // the working directory, if it isn't the process's
	stdout   io.Writer
	stderr   io.Writer
}

// arguments is the command line.
type arguments struct {
	Config []string `name:"config" placeholder:"FILE|URL" sep:"none" help:"Read the configuration from here instead of app-config.yaml and app-config.local.yaml. Can be given several times: later ones win."`

	Version kong.VersionFlag `name:"version" help:"Print the versions of the binary and of Portico."`

	Serve serveCommand `cmd:"" default:"withargs" help:"Start the backend and serve until it is told to stop (the default)."`

	ConfigCommands struct {
		Check  checkCommand  `cmd:"" help:"Check the configuration and the wiring of the backend, and start nothing."`
		Print  printCommand  `cmd:"" help:"Print the merged configuration, with the source of each value; secrets are hidden."`
		Schema schemaCommand `cmd:"" help:"Print the JSON Schema of the configuration that this backend understands."`
	} `cmd:"" name:"config" help:"Look at the configuration."`

	Inspect inspectCommand `cmd:"" help:"Show what this backend is put together from: plugins, modules, services and who overrides them, extension points and routes."`
}

type (
	serveCommand  struct{}
	checkCommand  struct{}
	printCommand  struct{}
	schemaCommand struct{}
)

// run interprets the command line, does what it says, and returns the exit status.
func (c *command) run(ctx context.Context, args []string) int {
	var parsed arguments
	exited, status := false, 0
	parser, err := kong.New(&parsed, append(c.pluginCommands(),
		kong.Name(c.name),
		kong.Description("The backend of a developer portal."),
		kong.Writers(c.stdout, c.stderr),
		kong.Exit(func(code int) { exited, status = true, code }),
		kong.UsageOnError(),
		kong.Vars{"version": c.versions()},
	)...)
	if err != nil {
		return c.fail(err)
	}
	selected, err := parser.Parse(args)
	if exited { // --help
		return status
	}
	if err != nil {
		fmt.Fprintf(c.stderr, "%s: %v\nRun `%s --help` to see what can be said.\n", c.name, err, c.name)
		return 2
	}
	b := New(Options{Config: config.Options{Targets: parsed.Config, Dir: c.dir, Env: c.env}})
	b.Add(c.features...)
	switch name := strings.Fields(selected.Command())[0]; name {
	case "serve":
		b.options.Config.Watch = true
		err = b.Run(ctx)
	case "inspect":
		err = b.inspect(ctx, c.stdout, parsed.Inspect)
	case "config":
		err = b.configCommand(ctx, c.stdout, selected.Command())
	default:
		err = b.runCommand(ctx, c.stdout, name, selected.Selected().Target.Addr())
	}
	if err != nil {
		return c.fail(err)
	}
	return 0
}

// versions tells what the binary was built from, as far as the build has recorded it.
func (c *command) versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return c.name + ", of an unknown version"
	}
	text := fmt.Sprintf("%s %s (%s)", c.name, info.Main.Version, info.GoVersion)
	for _, dependency := range info.Deps {
		if dependency.Path == modulePath {
			text += "\nportico " + dependency.Version
		}
	}
	return text
}

// modulePath is the module of this package.
const modulePath = "github.com/portico-dev/portico"

func (c *command) fail(err error) int {
	fmt.Fprintf(c.stderr, "%s: %v\n", c.name, err)
	return 1
}
