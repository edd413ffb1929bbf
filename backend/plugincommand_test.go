package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
)

type todoCommands struct {
	Count countCommand `cmd:"" help:"Count the items."`
}

type countCommand struct {
	Fail bool
}

func (c *countCommand) Run(ctx context.Context, out plugin.Output, meta plugin.Metadata, cfg service.Config, db *bun.DB, instance service.Instance) error {
	if c.Fail {
		return errors.New("there are too many")
	}
	var limit, one int
	if err := cfg.Decode("todo.limit", &limit); err != nil {
		return err
	}
	if err := db.NewSelect().ColumnExpr("1").Scan(ctx, &one); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s: %d of %d, plugins here: %d\n", meta.ID, one, limit, len(instance.Plugins()))
	return err
}

func TestPluginCommands(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"a command":            {[]string{"todo", "count"}, 0, "todo: 1 of 5, plugins here: 0\n", ""},
		"a command that fails": {[]string{"todo", "count", "--fail"}, 1, "", "portal: there are too many"},
		"no command":           {[]string{"todo"}, 2, "", `expected "count"`},
		"another one":          {[]string{"todo", "add"}, 2, "", "add"},
		"help":                 {[]string{"todo", "--help"}, 0, "Count the items.", ""},
		"help on everything":   {[]string{"--help"}, 0, "todo count", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			text := "backend: {listen: '127.0.0.1:0', database: {client: better-sqlite3, connection: ':memory:'}}\ntodo: {limit: 5}\n"
			if err := os.WriteFile(filepath.Join(dir, "app-config.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			c := command{name: "portal", dir: dir, stdout: &out, stderr: &errs, features: []Feature{
				plugin.New("todo", plugin.Commands[todoCommands]("Look into items."), plugin.Init(func() error { return errors.New("the plugin is started") })),
				plugin.New("other", plugin.Init(func() error { return errors.New("the other plugin is started") })),
			}}
			if status := c.run(t.Context(), tt.args); status != tt.status || !strings.Contains(out.String(), tt.stdout) || !strings.Contains(errs.String(), tt.stderr) {
				t.Errorf("status %d\nstdout: %s\nstderr: %s", status, &out, &errs)
			}
		})
	}
}
