package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/config"
	"github.com/portico-dev/portico/service/integration"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// quiet leaves out what fxtest logs.
type quiet struct{ testing.TB }

func (quiet) Logf(string, ...any) {}

func tryNew(t testing.TB, integrations object, clock clockwork.Clock, log slog.Handler) (*integration.Integrations, error) {
	t.Helper()
	lifecycle := fxtest.NewLifecycle(quiet{t})
	in, err := integration.New(config.Static(object{"integrations": integrations}), service.RootLogger{Logger: slog.New(log)}, clock, lifecycle)
	lifecycle.RequireStart()
	t.Cleanup(func() { lifecycle.RequireStop() })
	return in, err
}

func newIntegrations(t testing.TB, integrations object) *integration.Integrations {
	t.Helper()
	in, err := tryNew(t, integrations, clockwork.NewRealClock(), slog.DiscardHandler)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// all is a configuration with a server of each type besides the public ones.
var all = object{
	"github":          []any{object{"host": "ghe.test", "apiBaseUrl": "https://ghe.test/api/v3"}},
	"gitlab":          []any{object{"host": "gitlab.test:8443", "apiBaseUrl": "https://gitlab.test:8443/sub/api/v4", "baseUrl": "https://gitlab.test:8443/sub/"}},
	"bitbucketServer": []any{object{"host": "bitbucket.test"}},
	"azure":           []any{object{"host": "azure.test"}, object{"host": "acme.visualstudio.com"}},
	"gitea":           []any{object{"host": "gitea.test"}},
	"gerrit":          []any{object{"host": "gerrit.test", "gitilesBaseUrl": "https://gerrit.test/gitiles", "username": "me", "password": "secret"}},
}

func TestParse(t *testing.T) {
	t.Parallel()
	in := newIntegrations(t, all)
	tests := []struct {
		url  string
		want string // type, owner, project, repository, ref and its type, view, path
	}{
		{"https://github.com/acme/shop", "github acme . shop . . . ."},
		{"https://github.com/acme/shop.git", "github acme . shop . . . ."},
		{"https://github.com/acme/shop/", "github acme . shop . . . ."},
		{"https://github.com/acme/shop/blob/main/docs/a.yaml#L3", "github acme . shop main . blob docs/a.yaml"},
		{"https://github.com/acme/shop/tree/main", "github acme . shop main . tree ."},
		{"https://github.com/acme/shop/tree/main/docs/", "github acme . shop main . tree docs"},
		{"https://github.com/acme/shop/blob/feature%2Fx/a%20b.yaml", "github acme . shop feature/x . blob a b.yaml"},
		{"https://github.com/acme/shop/blob/main/docs/../a.yaml", "github acme . shop main . blob a.yaml"},
		{"https://github.com/acme/shop/issues/3", "github acme . shop . . . ."},
		{"https://ghe.test/acme/shop/blob/main/a", "github acme . shop main . blob a"},
		{"https://gitlab.com/acme/team/shop/-/blob/main/a/b", "gitlab acme/team . shop main . blob a/b"},
		{"https://gitlab.com/acme/shop/blob/main/a/b", "gitlab acme . shop main . blob a/b"},
		{"https://gitlab.com/acme/team/shop", "gitlab acme/team . shop . . . ."},
		{"https://gitlab.test:8443/sub/acme/shop/-/tree/main", "gitlab acme . shop main . tree ."},
		{"https://gitlab.com/acme/blob/-/blob/main/blob/a", "gitlab acme . blob main . blob blob/a"},
		{"https://bitbucket.org/acme/shop/src/main/a/b", "bitbucketCloud acme . shop main . src a/b"},
		{"https://bitbucket.test/projects/ACME/repos/shop/browse/a/b?at=feature/x", "bitbucketServer ACME . shop feature/x . browse a/b"},
		{"https://bitbucket.test/context/users/me/repos/shop/browse", "bitbucketServer ~me . shop . . browse ."},
		{"https://dev.azure.com/acme/p/_git/shop?path=%2Fa%2Fb&version=GBfeature/x", "azure acme p shop feature/x branch . a/b"},
		{"https://dev.azure.com/acme/_git/shop?version=GTv1", "azure acme shop shop v1 tag . ."},
		{"https://azure.test/tfs/acme/p/_git/shop", "azure tfs/acme p shop . . . ."},
		{"https://acme.visualstudio.com/p/_git/shop?path=/a", "azure acme p shop . . . a"},
		{"https://gitea.test/acme/shop/src/branch/main/a/b", "gitea acme . shop main branch src a/b"},
		{"https://gitea.test/acme/shop/src/tag/v1", "gitea acme . shop v1 tag src ."},
		{"https://gitea.test/acme/shop", "gitea acme . shop . . . ."},
		{"https://gerrit.test/gitiles/acme/shop/+/refs/heads/main/a/b", "gerrit . . acme/shop main branch . a/b"},
		{"https://gerrit.test/a/gitiles/acme/shop/+/refs/tags/v1/", "gerrit . . acme/shop v1 tag . ."},
		{"https://gerrit.test/gitiles/shop/+/HEAD/a", "gerrit . . shop . . . a"},
		{"https://gerrit.test/gitiles/shop/+/0123456789abcdef0123456789abcdef01234567/a", "gerrit . . shop 0123456789abcdef0123456789abcdef01234567 commit . a"},
	}
	for _, test := range tests {
		one, ok := in.ByURL(test.url)
		if !ok {
			t.Errorf("%s belongs to no integration", test.url)
			continue
		}
		l, err := one.Parse(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		got := one.Type()
		for _, part := range []string{l.Owner, l.Project, l.Repo, l.Ref, string(l.RefType), l.View, l.Path} {
			if part == "" {
				part = "."
			}
			got += " " + part
		}
		if got != test.want {
			t.Errorf("%s\nis   %s\nwant %s", test.url, got, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	in := newIntegrations(t, all)
	for _, url := range []string{
		"https://github.com", "https://github.com/acme", "https://github.com//shop", "https://github.com/acme/.git",
		"https://github.com/acme/shop/blob/main/%2e%2e/%2e%2e/a", "https://github.com/acme/shop/blob/main/%252e%252e%252fa", "https://github.com/acme/shop/blob/..%2f..%2fother/a",
		"https://gitlab.com/acme", "https://gitlab.test:8443/other/acme/shop", "https://gitlab.com/acme/%2e%2e%2fother/-/blob/main/a",
		"https://bitbucket.test/projects/ACME", "https://bitbucket.test/projects//repos/shop",
		"https://dev.azure.com/acme/p", "https://dev.azure.com/acme/p/_git/shop?path=/../../a", "https://dev.azure.com/acme/p/_git/shop?path=/%252e%252e/a",
		"https://dev.azure.com/acme/p/_git/shop?version=main", "https://dev.azure.com/acme/p/_git/shop?version=GB",
		"https://gitea.test/acme", "https://gerrit.test/acme/shop", "https://gerrit.test/gitiles/shop/+/main/a", "https://gerrit.test/gitiles/+/HEAD/a",
	} {
		one, ok := in.ByURL(url)
		if !ok { // the URL is refused before anything is known of the forge
			if _, err := integration.ParseURL(url); !errors.Is(err, service.InputError) {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		if l, err := one.Parse(url); !errors.Is(err, service.InputError) {
			t.Errorf("%s: %+v, %v", url, l, err)
		}
	}
}

func TestResolveURL(t *testing.T) {
	t.Parallel()
	in := newIntegrations(t, all)
	tests := []struct {
		base, target string
		line         int
		want         string
	}{
		{"https://github.com/acme/shop/blob/main/docs/a.yaml", "https://other.test/b", 0, "https://other.test/b"},
		{"https://github.com/acme/shop/blob/main/docs/a.yaml", "./b.yaml", 0, "https://github.com/acme/shop/tree/main/docs/b.yaml"},
		{"https://github.com/acme/shop/blob/main/docs/a.yaml", "b.yaml", 7, "https://github.com/acme/shop/tree/main/docs/b.yaml#L7"},
		{"https://github.com/acme/shop/blob/main/docs/a.yaml", "../b.yaml", 0, "https://github.com/acme/shop/tree/main/b.yaml"},
		{"https://github.com/acme/shop/blob/main/docs/a.yaml", "/x/b.yaml", 0, "https://github.com/acme/shop/tree/main/x/b.yaml"},
		{"https://github.com/acme/shop/blob/main/docs/a.yaml", "/../../../b.yaml", 0, "https://github.com/acme/shop/tree/main/b.yaml"},
		{"https://github.com/acme/shop/blob/feature%2Fx/a%20b/c.yaml", "/d e.yaml", 0, "https://github.com/acme/shop/tree/feature%2Fx/d%20e.yaml"},
		{"https://github.com/acme/shop/tree/main/docs/", "/b.yaml", 0, "https://github.com/acme/shop/tree/main/b.yaml"},
		{"https://gitlab.com/acme/team/shop/-/blob/main/docs/a.yaml", "/b.yaml", 3, "https://gitlab.com/acme/team/shop/-/blob/main/b.yaml#L3"},
		{"https://gitlab.test:8443/sub/acme/shop/-/blob/main/docs/a.yaml", "/b.yaml", 0, "https://gitlab.test:8443/sub/acme/shop/-/blob/main/b.yaml"},
		{"https://bitbucket.org/acme/shop/src/main/docs/a.yaml", "/b.yaml", 3, "https://bitbucket.org/acme/shop/src/main/b.yaml#lines-3"},
		{"https://bitbucket.test/projects/ACME/repos/shop/browse/docs/a.yaml?at=x", "/b.yaml", 3, "https://bitbucket.test/projects/ACME/repos/shop/browse/b.yaml?at=x#3"},
		{"https://bitbucket.test/projects/ACME/repos/shop/browse/docs/a.yaml?at=x", "b.yaml", 0, "https://bitbucket.test/projects/ACME/repos/shop/browse/docs/b.yaml?at=x"},
		{"https://dev.azure.com/acme/p/_git/shop?path=%2Fdocs%2Fa.yaml&version=GBx", "b.yaml", 0, "https://dev.azure.com/acme/p/_git/shop?path=%2Fdocs%2Fb.yaml&version=GBx"},
		{"https://dev.azure.com/acme/p/_git/shop?path=%2Fdocs%2Fa.yaml", "/b.yaml", 2, "https://dev.azure.com/acme/p/_git/shop?line=2&lineEnd=3&lineEndColumn=1&lineStartColumn=1&path=%2Fb.yaml"},
		{"https://gitea.test/acme/shop/src/branch/main/docs/a.yaml", "/b.yaml", 0, "https://gitea.test/acme/shop/src/branch/main/b.yaml"},
		{"https://gerrit.test/gitiles/shop/+/refs/heads/main/docs/a.yaml", "/b.yaml", 0, "https://gerrit.test/gitiles/shop/+/refs/heads/main/b.yaml"},
		{"https://other.test/docs/a.yaml?x=1", "b.yaml", 0, "https://other.test/docs/b.yaml?x=1"},
		{"https://other.test/docs/a.yaml", "/b.yaml", 0, "https://other.test/b.yaml"},
	}
	for _, test := range tests {
		if got, err := in.ResolveURL(test.target, test.base, test.line); err != nil || got != test.want {
			t.Errorf("%s relative to %s\nis   %s, %v\nwant %s", test.target, test.base, got, err, test.want)
		}
	}
	for _, target := range []string{"%zz", "a\x00b"} {
		if got, err := in.ResolveURL(target, "https://github.com/acme/shop/blob/main/a", 0); !errors.Is(err, service.InputError) {
			t.Errorf("%q: %s, %v", target, got, err)
		}
	}
}

func TestEditURL(t *testing.T) {
	t.Parallel()
	in := newIntegrations(t, all)
	for url, want := range map[string]string{
		"https://github.com/acme/shop/blob/main/a.yaml":                      "https://github.com/acme/shop/edit/main/a.yaml",
		"https://github.com/acme/shop/tree/main/a.yaml":                      "https://github.com/acme/shop/edit/main/a.yaml",
		"https://gitlab.com/acme/shop/-/blob/main/a.yaml":                    "https://gitlab.com/acme/shop/-/edit/main/a.yaml",
		"https://bitbucket.org/acme/shop/src/main/a.yaml":                    "https://bitbucket.org/acme/shop/src/main/a.yaml?at=main&mode=edit",
		"https://bitbucket.test/projects/ACME/repos/shop/browse/a.yaml?at=x": "https://bitbucket.test/projects/ACME/repos/shop/browse/a.yaml",
		"https://dev.azure.com/acme/p/_git/shop?path=%2Fa.yaml":              "https://dev.azure.com/acme/p/_git/shop?path=%2Fa.yaml",
		"https://gitea.test/acme/shop/src/branch/main/a.yaml":                "https://gitea.test/acme/shop/_edit/main/a.yaml",
		"https://gerrit.test/gitiles/shop/+/refs/heads/main/a.yaml":          "https://gerrit.test/admin/repos/edit/repo/shop/branch/refs/heads/main/file/a.yaml",
		"https://other.test/a.yaml":                                          "https://other.test/a.yaml",
	} {
		if got, err := in.EditURL(url); err != nil || got != want {
			t.Errorf("%s\nis   %s, %v\nwant %s", url, got, err, want)
		}
	}
}

func TestMistakesInConfiguration(t *testing.T) {
	t.Parallel()
	one := func(forge string, values object) object { return object{forge: []any{values}} }
	tests := []struct {
		config object
		want   string
	}{
		{one("github", object{"host": "https://ghe.test"}), "github[0].host"},
		{one("github", object{"host": "ghe.test/path", "apiBaseUrl": "https://ghe.test/api/v3"}), "github[0].host"},
		{one("github", object{"host": "ghe.test"}), "apiBaseUrl"},
		{one("github", object{"host": "ghe.test", "apiBaseUrl": "ghe.test/api"}), "github[0].apiBaseUrl"},
		{one("github", object{"host": "github.com", "apps": []any{object{"appId": 1, "privateKey": "secret", "clientId": "a", "clientSecret": "b"}}}), "apps[0].privateKey"},
		{one("gitlab", object{"token": "secret"}), "host"},
		{one("gitlab", object{"host": "gitlab.test", "token": "secret"}), "apiBaseUrl"},
		{one("bitbucketCloud", object{"username": "me"}), "token"},
		{one("bitbucketCloud", object{"clientId": "me"}), "clientSecret"},
		{one("azure", object{"host": "dev.azure.com", "credentials": []any{object{"clientId": "a", "clientSecret": "secret"}}}), "credentials[0]"},
		{one("azure", object{"host": "azure.test", "credentials": []any{object{"clientId": "a"}}}), "azure.test"},
		{one("azure", object{"host": "azure.test", "credentials": []any{object{"personalAccessToken": "secret"}, object{"personalAccessToken": "secret"}}}), "second entry"},
		{one("gerrit", object{"host": "gerrit.test"}), "gitilesBaseUrl"},
		{one("gerrit", object{"host": "gerrit.test", "gitilesBaseUrl": "https://other.test/gitiles", "username": "me", "password": "secret"}), "below baseUrl"},
	}
	for _, test := range tests {
		_, err := tryNew(t, test.config, clockwork.NewRealClock(), slog.DiscardHandler)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want an error with %s", test.config, err, test.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has the secret: %v", err)
		}
	}
}

func TestServerThatIsConfiguredTwice(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	in, err := tryNew(t, object{"github": []any{object{"host": "github.com", "token": "first"}, object{"token": "second"}}},
		clockwork.NewRealClock(), slog.NewTextHandler(&log, nil))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "github.com is configured more than once") {
		t.Errorf("the log is %s", log.String())
	}
	one, _ := in.ByHost("github.com")
	if c, err := one.Credentials(t.Context(), integration.Location{}); err != nil || c.Token() != "first" {
		t.Errorf("the token is %q, %v", c.Token(), err)
	}
}

func TestCredentialsPrintNothing(t *testing.T) {
	t.Parallel()
	c := integration.Bearer("secret")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "credentials", c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "credentials", c)
	for _, printed := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %q %s", c, c, c, []any{c}), log.String(), fmt.Sprintf("%+v", struct{ C integration.Credentials }{c})} {
		if strings.Contains(printed, "secret") {
			t.Errorf("printed as %s", printed)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"https://github.com/acme/shop/blob/feature%2Fx/a%20b.yaml", "https://gitlab.test:8443/sub/a/b/c/-/tree/main/x", "https://bitbucket.org/a/b/src/m/x",
		"https://bitbucket.test/projects/A/repos/b/browse/x?at=y", "https://dev.azure.com/a/b/_git/c?path=/x&version=GBm",
		"https://acme.visualstudio.com/p/_git/shop?path=/a", "https://gitea.test/a/b/src/branch/m/x", "https://gerrit.test/a/gitiles/r/+/refs/heads/m/x",
		"https://github.com/a/b/blob/m/%252e%252e/x", "http://[::1]:80/a/b", "https://github.com/a/b/blob/m/..%5c..%5cx",
	} {
		f.Add(seed, "../b.yaml")
		f.Add(seed, "/b.yaml")
	}
	in := newIntegrations(f, all)
	f.Fuzz(func(t *testing.T, raw, target string) {
		one, ok := in.ByURL(raw)
		if !ok {
			return
		}
		l, err := one.Parse(raw)
		if err != nil {
			if !errors.Is(err, service.InputError) {
				t.Errorf("%q: %v is no InputError", raw, err)
			}
			return
		}
		for _, part := range []string{l.Owner, l.Project, l.Repo, l.Ref, l.Path} {
			for segment := range strings.FieldsFuncSeq(part, func(r rune) bool { return r == '/' || r == '\\' }) {
				if segment == "." || segment == ".." {
					t.Errorf("%q leads out: %+v", raw, l)
				}
			}
		}
		if l.Repo == "" {
			t.Errorf("%q has no repository", raw)
		}
		resolved, err := in.ResolveURL(target, raw, 0)
		if err != nil || strings.Contains(target, ":") || strings.HasPrefix(target, "//") || !strings.HasPrefix(target, "/") {
			return
		}
		again, ok := in.ByURL(resolved)
		if !ok {
			return
		}
		// What is relative to the root of a repository stays in it.
		if r, err := again.Parse(resolved); err == nil && (r.Repo != l.Repo || r.Owner != l.Owner) && l.Ref != "" {
			t.Errorf("%q relative to %q is %q, of another repository", target, raw, resolved)
		}
	})
}
