package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
)

// run runs a binary with one plugin in a directory with the given app-config.yaml.
func run(t *testing.T, appConfig string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app-config.yaml"), []byte(appConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	c := command{features: []Feature{
		plugin.New("todo",
			plugin.ConfigSchema(config.SchemaOf[struct {
				Token string `config:"token" schema:"visibility=secret"`
				Limit int    `config:"limit"`
			}]("todo")),
			plugin.Init(func(g *echo.Group) {
				ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
				g.GET("/items", ok)
				g.Any("/proxy/*", ok)
			})),
		plugin.NewModule("todo", "jira"),
		service.Root[*http.ServeMux](func() *http.ServeMux { return &http.ServeMux{} }),
	}, name: "portal", dir: dir, stdout: &out, stderr: &errs}
	status = c.run(t.Context(), args)
	return status, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	const good = "backend:\n  listen: 127.0.0.1:0\ntodo:\n  token: s3cr3t-value\n  limit: 5\n"
	for name, c := range map[string]struct {
		config         string
		args           []string
		status         int
		stdout, stderr []string
		not            string
	}{
		"help":                        {good, []string{"--help"}, 0, []string{"Usage: portal", "config check", "inspect", "--config"}, nil, ""},
		"version":                     {good, []string{"--version"}, 0, []string{"portal", "go1."}, nil, ""},
		"wrong argument":              {good, []string{"frobnicate"}, 2, nil, []string{"frobnicate", "portal --help"}, ""},
		"check":                       {good, []string{"config", "check"}, 0, []string{"are fine"}, nil, ""},
		"check, a misspelt key":       {good + "  limt: 1\n", []string{"config", "check"}, 0, nil, nil, ""},
		"check, a misspelt key alone": {"todo:\n  limt: 1\n", []string{"config", "check"}, 1, nil, []string{"todo.limt", "app-config.yaml:2", `did you mean "limit"`}, ""},
		"check, a wrong type":         {"todo:\n  limit: [1]\n", []string{"config", "check"}, 1, nil, []string{"todo.limit", "app-config.yaml:2"}, ""},
		"check, broken YAML":          {"todo: {\n", []string{"config", "check"}, 1, nil, []string{"app-config.yaml"}, ""},
		"check, unknown file":         {good, []string{"--config", "absent.yaml", "config", "check"}, 1, nil, []string{"absent.yaml"}, ""},
		"print":                       {good, []string{"config", "print"}, 0, []string{"todo.limit", "5", "app-config.yaml:5", "todo.token"}, nil, "s3cr3t-value"},
		"print, not valid":            {good + "  other: {a: [\n", []string{"config", "print"}, 1, nil, []string{"app-config.yaml"}, "s3cr3t-value"},
		"schema":                      {good, []string{"config", "schema"}, 0, []string{`"todo"`, `"limit"`, `"backend"`}, nil, ""},
		"inspect":                     {good, []string{"inspect"}, 0, []string{"todo", "jira", "/api/todo/items", "ANY", "*http.ServeMux", "added", "main_test.go"}, nil, "PROPFIND"},
		"inspect as a graph":          {good, []string{"inspect", "--format", "dot"}, 0, []string{"digraph", `"plugin todo" -> "*echo.Group"`}, nil, ""},
		"inspect as nonsense":         {good, []string{"inspect", "--format", "xml"}, 2, nil, []string{"text", "dot"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := run(t, c.config, c.args...)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			for _, want := range c.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("the output lacks %q", want)
				}
			}
			for _, want := range c.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("the errors lack %q", want)
				}
			}
			if c.not != "" && strings.Contains(stdout+stderr, c.not) {
				t.Errorf("%q is shown", c.not)
			}
			if t.Failed() {
				t.Logf("output:\n%s\nerrors:\n%s", stdout, stderr)
			}
		})
	}
}

func TestInspectAsJSON(t *testing.T) {
	t.Parallel()
	_, stdout, _ := run(t, "", "inspect", "--format=json")
	var d struct {
		Plugins []struct {
			ID     string
			Routes []struct{ Method, Path string }
		}
		Services []struct{ Type, Origin string }
	}
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if len(d.Plugins) != 1 || len(d.Plugins[0].Routes) != 2 || d.Plugins[0].Routes[0].Path != "/api/todo/items" || len(d.Services) == 0 {
		t.Errorf("the description is %+v", d)
	}
}

func TestServeUntilToldToStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stderr bytes.Buffer
	c := command{name: "portal", dir: dir, stdout: &stderr, stderr: &stderr, env: []string{`APP_CONFIG_backend_listen="127.0.0.1:0"`},
		features: []Feature{
			service.Root[service.RootLogger](discardLogger),
			plugin.New("a", plugin.Init(func(r service.RootLifecycle) {
				r.OnStarted(func(context.Context) error { stop(); return nil })
			})),
		}}
	if status := c.run(ctx, nil); status != 0 {
		t.Errorf("exit status %d\n%s", status, &stderr)
	}
}

func TestServeFails(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	c := command{name: "portal", dir: t.TempDir(), stdout: &stderr, stderr: &stderr, env: []string{`APP_CONFIG_backend_listen="127.0.0.1:0"`},
		features: []Feature{service.Root[service.RootLogger](discardLogger), plugin.New("a", plugin.Init(func() { panic("oh no") }))}}
	if status := c.run(t.Context(), nil); status != 1 || !strings.Contains(stderr.String(), "plugin a: panic: oh no") {
		t.Errorf("exit status %d\n%s", status, &stderr)
	}
}
