package discovery_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a backend with the endpoints and returns its discovery and its URL.
func start(t *testing.T, endpoints ...any) (service.Discovery, string) {
	t.Helper()
	var found service.Discovery
	values := map[string]any{"backend": map[string]any{"baseUrl": "https://portal.example.com/"}}
	if endpoints != nil {
		values["discovery"] = map[string]any{"endpoints": endpoints}
	}
	b := backendtest.Start(t, backendtest.Config(values), plugin.New("todo", plugin.Init(func(d service.Discovery) { found = d })))
	return found, b.URL()
}

func endpoint(target any, plugins ...any) any {
	return map[string]any{"target": target, "plugins": plugins}
}

func TestBaseURLs(t *testing.T) {
	t.Parallel()
	const own = "(own)"
	for name, test := range map[string]struct {
		endpoints          []any
		id                 string
		internal, external string
	}{
		"no endpoints":     {nil, "user-settings", own + "/api/user-settings", "https://portal.example.com/api/user-settings"},
		"one URL for both": {[]any{endpoint("http://catalog:7007/api/catalog", "catalog")}, "catalog", "http://catalog:7007/api/catalog", "http://catalog:7007/api/catalog"},
		"a slash at the end": {
			[]any{endpoint("http://catalog:7007/", "catalog")}, "catalog", "http://catalog:7007", "http://catalog:7007",
		},
		"for others": {
			[]any{endpoint("http://catalog:7007/api/catalog", "catalog")}, "search", own + "/api/search", "https://portal.example.com/api/search",
		},
		"placeholders": {
			[]any{endpoint("https://{{pluginId}}.example.com/{{ pluginId }}/x", "auth", "search")},
			"search", "https://search.example.com/search/x", "https://search.example.com/search/x",
		},
		"only internal": {
			[]any{endpoint(map[string]any{"internal": "http://in/{{pluginId}}"}, "search")},
			"search", "http://in/search", "https://portal.example.com/api/search",
		},
		"only external": {
			[]any{endpoint(map[string]any{"external": "http://out/{{pluginId}}"}, "search")}, "search", own + "/api/search", "http://out/search",
		},
		"everything else": {
			[]any{endpoint("http://rest/api/{{pluginId}}", "*"), endpoint("http://one/api/search", "search")},
			"search", "http://one/api/search", "http://one/api/search",
		},
		"everything else, asked for": {
			[]any{endpoint("http://rest/api/{{pluginId}}", "*"), endpoint("http://one/api/search", "search")},
			"todo", "http://rest/api/todo", "http://rest/api/todo",
		},
		"each side on its own": {
			[]any{
				endpoint(map[string]any{"internal": "http://in", "external": "http://out"}, "search"),
				endpoint(map[string]any{"external": "http://later"}, "search"),
			},
			"search", "http://in", "http://later",
		},
		"an id that is none": {[]any{endpoint("http://x/{{pluginId}}", "*")}, "../a b", "http://x/..%2Fa%20b", "http://x/..%2Fa%20b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, url := start(t, test.endpoints...)
			got, err := d.BaseURL(t.Context(), test.id)
			if want := strings.Replace(test.internal, own, url, 1); err != nil || got != want {
				t.Errorf("internal: got %q, %v, want %q", got, err, want)
			}
			if got, err := d.ExternalBaseURL(t.Context(), test.id); err != nil || got != test.external {
				t.Errorf("external: got %q, %v, want %q", got, err, test.external)
			}
		})
	}
}

func TestPluginAt(t *testing.T) {
	t.Parallel()
	d, own := start(t,
		endpoint("http://one/internal-catalog", "catalog"),
		endpoint("http://one/internal-catalog/notes", "notes"),
		endpoint(map[string]any{"internal": "https://portal-{{pluginId}}.example.com/secure/{{pluginId}}"}, "*"),
	)
	alone, aloneURL := start(t)
	for name, test := range map[string]struct {
		discovery service.Discovery
		url, want string
	}{
		"an endpoint of its own":              {d, "http://one/internal-catalog", "catalog"},
		"below it":                            {d, "http://one/internal-catalog/entities?a=b", "catalog"},
		"one below another":                   {d, "http://one/internal-catalog/notes/1", "notes"},
		"beside it":                           {d, "http://one/internal-catalogs", ""},
		"another scheme":                      {d, "https://one/internal-catalog", ""},
		"another port":                        {d, "http://one:81/internal-catalog", ""},
		"a placeholder":                       {d, "https://portal-search.example.com/secure/search/x", "search"},
		"two different ones":                  {d, "https://portal-search.example.com/secure/todo/x", ""},
		"a host that goes on":                 {d, "https://portal-search.example.com.evil.org/secure/search", ""},
		"one with an endpoint of its own":     {d, "https://portal-catalog.example.com/secure/catalog/x", ""},
		"this backend, if all are elsewhere":  {d, own + "/api/todo", ""},
		"this backend":                        {alone, aloneURL + "/api/todo/x", "todo"},
		"a plugin that this backend has not":  {alone, aloneURL + "/api/other", "other"},
		"this backend, but no plugin":         {alone, aloneURL + "/health/todo", ""},
		"another one, naming this in its URL": {alone, "http://evil/" + aloneURL + "/api/todo", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := test.discovery.(interface{ PluginAt(*url.URL) (string, bool) }).PluginAt(u)
			if got != test.want || ok != (test.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, test.want)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ endpoints, want string }{
		"no target":         {"[{plugins: [a]}]", "target"},
		"no plugins":        {"[{target: 'http://a'}]", "plugins"},
		"no URL":            {"[{target: catalog, plugins: [a]}]", `"catalog" is not a URL`},
		"another scheme":    {"[{target: 'ftp://a', plugins: [a]}]", "must begin with http"},
		"a query":           {"[{target: 'http://a?b', plugins: [a]}]", "can't have a query"},
		"a fragment":        {"[{target: 'http://a#', plugins: [a]}]", "can't have a query or a fragment"},
		"a password":        {"[{target: 'http://a:SECRET@b', plugins: [a]}]", "no user and no password"},
		"a placeholder":     {"[{target: 'http://a/{{plugin}}', plugins: [a]}]", "there is only {{pluginId}}"},
		"SRV for both":      {"[{target: 'http+srv://a', plugins: [a]}]", "can only be a target.internal"},
		"SRV for outside":   {"[{target: {external: 'http+srv://a'}, plugins: [a]}]", "can only be a target.internal"},
		"SRV with a port":   {"[{target: {internal: 'http+srv://a:80'}, plugins: [a]}]", "can't have a port"},
		"SRV of what":       {"[{target: {internal: 'ftp+srv://a'}, plugins: [a]}]", "must begin with http"},
		"the line is named": {"\n    - target: http://a\n      plugins: [a]\n    - target: http://a?b\n      plugins: [b]", "app-config.yaml:7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "backend:\n  listen: 127.0.0.1:0\ndiscovery:\n  endpoints: "+test.endpoints+"\n")
			b := backend.New(backend.Options{Config: config.Options{Dir: dir}})
			b.Add(plugin.New("todo", plugin.Init(func(service.Discovery) {})))
			err := b.Start(t.Context())
			if err == nil {
				_ = b.Stop(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func write(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "app-config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestChanges has the configuration change while the backend runs.
func TestChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	configure := func(target string) {
		write(t, dir, "backend:\n  listen: 127.0.0.1:0\ndiscovery:\n  endpoints: [{target: '"+target+"', plugins: [catalog]}]\n")
	}
	configure("http://before")
	var d service.Discovery
	var cfg service.Config
	b := backend.New(backend.Options{Config: config.Options{Dir: dir, Watch: true}})
	b.Add(plugin.New("todo", plugin.Init(func(found service.Discovery, c service.Config) { d, cfg = found, c })))
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	changed := make(chan struct{}, 10)
	defer cfg.Subscribe(func() { changed <- struct{}{} })()
	configure("http://after")
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Fatal("the change is not noticed")
	}
	if got, err := d.BaseURL(t.Context(), "catalog"); err != nil || got != "http://after" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestFrontend has the frontend get to know what it needs, and nothing of what is inside.
func TestFrontend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, `
discovery:
  endpoints:
    - target: {internal: "http://hidden", external: "https://shown"}
      plugins: [catalog]
    - target: https://both
      plugins: ["*"]
`)
	store, err := config.Load(t.Context(), config.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var schemas service.ConfigSchemas
	for _, s := range discovery.Services() {
		for _, schema := range s.ConfigSchemas() {
			schemas = append(schemas, service.ConfigSchemaSource{Feature: s.String(), Schema: schema})
		}
	}
	if err := store.Validate(schemas); err != nil {
		t.Fatal(err)
	}
	want := `map[discovery:map[endpoints:[map[plugins:[catalog] target:map[external:https://shown]] map[plugins:[*] target:https://both]]]]`
	if s := fmt.Sprint(store.Frontend()); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}
