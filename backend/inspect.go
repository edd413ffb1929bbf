package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/backend/internal/wiring"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/httprouter"
)

// inspectCommand shows what a backend is put together from.
type inspectCommand struct {
	Format string `enum:"text,json,dot" default:"text" help:"How to write it: text, json, or dot for Graphviz."`
}

// inspect plans the backend and runs the inits of its plugins, which tell the routes, on databases in memory. Nothing is started.
func (b *Backend) inspect(ctx context.Context, w io.Writer, cmd inspectCommand) error {
	b.quiet = true
	d, err := b.describe(ctx)
	if err != nil {
		return err
	}
	switch cmd.Format {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(d)
	case "dot":
		return writeDot(w, d)
	}
	return writeText(w, d)
}

func (b *Backend) describe(ctx context.Context) (d wiring.Description, err error) {
	if err := b.useScratchData(ctx); err != nil {
		return d, err
	}
	plan, err := b.prepare(ctx)
	if err != nil {
		return d, err
	}
	d = plan.Describe()
	lifetime, cancel := context.WithCancel(ctx)
	defer cancel()
	b.cancel = cancel
	err = b.makeRoot(lifetime, plan)
	defer func() { err = errors.Join(err, b.stop(context.WithoutCancel(ctx))) }()
	if err != nil {
		return d, err
	}
	for n, pl := range plan.Plugins {
		var failed []error
		values := wiring.Values{}
		wiring.Set(values, plugin.Metadata{ID: pl.ID()})
		c, err := plan.Plugin(pl, b.root, values, wiring.Lifecycle{Owner: pl.String(), StopTimeout: hookTimeout}, func(_ string, err error, _ time.Duration) { failed = append(failed, err) })
		b.plugins = append(b.plugins, &runningPlugin{Plugin: pl, container: c})
		if err := errors.Join(append(failed, err)...); err != nil {
			d.Plugins[n].Error = err.Error()
		}
	}
	if server, ok := wiring.Value[*httprouter.Server](b.root); ok {
		for n, pl := range d.Plugins {
			d.Plugins[n].Routes = describeRoutes(server.Routes(pl.ID))
		}
	}
	return d, nil
}

// describeRoutes describes routes that are sorted by path. One that echo's Any has made is told once.
func describeRoutes(routes []*echo.Route) []wiring.RouteDescription {
	every := len(echo.New().Any("", echo.NotFoundHandler))
	described := []wiring.RouteDescription{}
	for len(routes) > 0 {
		path := routes[0].Path
		n := slices.IndexFunc(routes, func(r *echo.Route) bool { return r.Path != path })
		if n < 0 {
			n = len(routes)
		}
		if n == every {
			described = append(described, wiring.RouteDescription{Method: "ANY", Path: path})
		} else {
			for _, r := range routes[:n] {
				described = append(described, wiring.RouteDescription{Method: r.Method, Path: path})
			}
		}
		routes = routes[n:]
	}
	return described
}

// useScratchData has all plugins use databases and caches in memory, whatever is configured.
func (b *Backend) useScratchData(ctx context.Context) error {
	cfg, features, err := b.loadConfig(ctx)
	if err != nil {
		return err
	}
	sorted, err := expand(ctx, cfg, features)
	if closer, ok := cfg.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	if err != nil {
		return err
	}
	inMemory := func() map[string]any { return map[string]any{"client": "better-sqlite3", "connection": ":memory:"} }
	database, plugins := inMemory(), map[string]any{}
	for _, pl := range sorted.Plugins {
		plugins[pl.ID()] = inMemory()
	}
	database["plugin"] = plugins
	b.options.Config.Overrides = map[string]any{"backend": map[string]any{"database": database, "cache": map[string]any{"store": "memory"}}}
	return nil
}

func writeText(w io.Writer, d wiring.Description) error {
	out := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "PLUGINS")
	for _, pl := range d.Plugins {
		fmt.Fprintf(out, "\n  %s\n", pl.ID)
		if len(pl.Needs) > 0 {
			fmt.Fprintf(out, "    asks for\t%s\n", strings.Join(pl.Needs, ", "))
		}
		if pl.HasMigrations {
			fmt.Fprintln(out, "    database\thas migrations")
		}
		for _, m := range pl.Modules {
			fmt.Fprintf(out, "    module\t%s\tasks for %s\n", m.ID, orNothing(m.Needs))
		}
		for _, p := range pl.ExtensionPoints {
			by := "used by " + orNothing(p.UsedBy)
			if p.ProvidedBy != "" {
				by = "provided by module " + p.ProvidedBy + ", " + by
			}
			fmt.Fprintf(out, "    extension point\t%s\t%s\t%s\n", p.ID, p.Type, by)
		}
		for _, r := range pl.Routes {
			fmt.Fprintf(out, "    route\t%s\t%s\n", r.Method, r.Path)
		}
		if pl.Error != "" {
			fmt.Fprintf(out, "    its routes are not all known, as it can't be made without its surroundings:\t%s\n", pl.Error)
		}
	}
	fmt.Fprintln(out, "\nSERVICES\n\n  TYPE\tSCOPE\tORIGIN\tMADE BY\tUSED BY")
	for _, s := range d.Services {
		fmt.Fprintf(out, "  %s\t%s\t%s\t%s\t%s\n", s.Type, s.Scope, s.Origin, strings.Join(s.Constructors, ", "), orNothing(s.UsedBy))
	}
	return out.Flush()
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// writeDot writes a graph for Graphviz: plugins as clusters with their modules, services around them, an arrow from who asks to what is
// asked for.
func writeDot(w io.Writer, d wiring.Description) error {
	var b strings.Builder
	b.WriteString("digraph backend {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n")
	owner := map[string]string{} // type of an extension point -> node
	known := map[string]bool{}
	for _, s := range d.Services {
		style := "solid"
		if s.Scope == service.ScopeRoot {
			style = "bold"
		}
		color := "black"
		if s.Origin != "built in" {
			color = "blue"
		}
		fmt.Fprintf(&b, "  %q [style=%s, color=%s];\n", s.Type, style, color)
		known[s.Type] = true
	}
	for _, pl := range d.Plugins {
		fmt.Fprintf(&b, "  subgraph %q {\n    label=%q;\n    %q [label=%q, shape=component];\n", "cluster "+pl.ID, pl.ID, "plugin "+pl.ID, pl.ID)
		for _, m := range pl.Modules {
			fmt.Fprintf(&b, "    %q [label=%q, shape=component];\n", "module "+pl.ID+"/"+m.ID, m.ID)
		}
		for _, p := range pl.ExtensionPoints {
			fmt.Fprintf(&b, "    %q [shape=ellipse];\n", p.ID)
			owner[p.Type] = p.ID
		}
		b.WriteString("  }\n")
	}
	arrows := func(from string, needs []string) {
		for _, n := range needs {
			if point := owner[n]; point != "" {
				fmt.Fprintf(&b, "  %q -> %q;\n", from, point)
			} else if known[n] {
				fmt.Fprintf(&b, "  %q -> %q;\n", from, n)
			}
		}
	}
	for _, pl := range d.Plugins {
		arrows("plugin "+pl.ID, pl.Needs)
		for _, m := range pl.Modules {
			arrows("module "+pl.ID+"/"+m.ID, m.Needs)
		}
	}
	used := func(s wiring.ServiceDescription) bool { return len(s.UsedBy) > 0 }
	for _, s := range slices.DeleteFunc(slices.Clone(d.Services), func(s wiring.ServiceDescription) bool { return !used(s) }) {
		arrows(s.Type, s.Needs)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}
