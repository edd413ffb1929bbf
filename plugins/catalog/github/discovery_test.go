package github_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/github"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

// acme has a repository for each filter.
func acme() []repo {
	return []repo{
		{name: "archived", branch: "main", visibility: "public", archived: true, topics: []string{"backstage"}},
		{name: "empty", visibility: "public"},
		{name: "fork", branch: "main", visibility: "public", fork: true, file: "kind: Component"},
		{name: "legacy-shop", branch: "master", visibility: "private", topics: []string{"backstage", "old"}},
		{name: "shop", branch: "main", visibility: "internal", topics: []string{"backstage"}, file: "kind: Component"},
		{name: "web", branch: "release/1.x", visibility: "public"},
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	const (
		fork, legacy, shop, web = "/acme/fork/blob/main/catalog-info.yaml", "/acme/legacy-shop/blob/master/catalog-info.yaml",
			"/acme/shop/blob/main/catalog-info.yaml", "/acme/web/blob/release%2F1.x/catalog-info.yaml"
	)
	for name, test := range map[string]struct {
		settings object
		want     []string
	}{
		"all that has a branch and isn't archived": {object{}, []string{fork, legacy, shop, web}},
		"pages":              {object{"pageSizes": object{"repositories": 1}}, []string{fork, legacy, shop, web}},
		"a look-ahead":       {object{"filters": object{"repository": "(?!legacy-).*"}}, []string{fork, shop, web}},
		"a whole name":       {object{"filters": object{"repository": "shop"}}, []string{shop}},
		"no forks":           {object{"filters": object{"allowForks": false}}, []string{legacy, shop, web}},
		"topics":             {object{"filters": object{"topic": object{"include": []any{"backstage"}, "exclude": []any{"old"}}}}, []string{shop}},
		"archived ones too":  {object{"filters": object{"allowArchived": true, "topic": object{"include": []any{"backstage"}}}}, []string{"/acme/archived/blob/main/catalog-info.yaml", legacy, shop}},
		"visibility":         {object{"filters": object{"visibility": []any{"private", "internal"}}}, []string{legacy, shop}},
		"a branch":           {object{"filters": object{"branch": "dev", "repository": "^sho"}}, nil},
		"another branch":     {object{"filters": object{"branch": "dev", "repository": "^shop$"}}, []string{"/acme/shop/blob/dev/catalog-info.yaml"}},
		"a glob":             {object{"catalogPath": "/**/catalog-*.yaml", "filters": object{"repository": "shop"}}, []string{"/acme/shop/blob/main/**/catalog-*.yaml"}},
		"where the file is":  {object{"validateLocationsExist": true}, []string{fork, shop}},
		"by the app's owner": {object{"organization": nil, "app": 42}, []string{fork, legacy, shop, web}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newGitHub(t)
			s.repos["acme"], s.installed = acme(), []string{"acme"}
			settings := object{"host": s.host(), "organization": "acme"}
			for k, v := range test.settings {
				if v == nil {
					delete(settings, k)
				} else {
					settings[k] = v
				}
			}
			integration := token
			if settings["app"] != nil {
				integration = object{"apps": []any{app(t)}}
			}
			b := start(t, github.Module(), s.config(integration, object{"github": object{"one": settings}}))
			if test.want == nil { // the run has to be over
				served.Await(t, "the run", func() bool { return strings.Contains(b.Log.String(), "Read 6 GitHub repositories (0 matching") })
			}
			served.Targets(t, b, s.URL, test.want...)
		})
	}
}

func TestWhatALocationIs(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.repos["acme"] = []repo{{name: "shop", branch: "main", visibility: "public"}}
	b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "acme"}}))
	served.Targets(t, b, s.URL, "/acme/shop/blob/main/catalog-info.yaml")
	e := backendtest.JSON[[]struct {
		Metadata struct {
			Name        string
			Annotations map[string]string
		}
		Spec map[string]string
	}](t, b.As(t, "user:default/guest").Get("/api/catalog/entities?filter=kind=location"))[0]
	target := s.URL + "/acme/shop/blob/main/catalog-info.yaml"
	if !strings.HasPrefix(e.Metadata.Name, "generated-") || len(e.Metadata.Name) != len("generated-")+40 {
		t.Errorf("the name is %s", e.Metadata.Name)
	}
	for _, annotation := range []string{"backstage.io/managed-by-location", "backstage.io/managed-by-origin-location"} {
		if got := e.Metadata.Annotations[annotation]; got != "url:"+target {
			t.Errorf("%s is %q", annotation, got)
		}
	}
	if fmt.Sprint(e.Spec) != fmt.Sprint(map[string]string{"type": "url", "target": target, "presence": "optional"}) {
		t.Errorf("the spec is %v", e.Spec)
	}
}

// TestRuns has repositories come and go, and runs fail in between.
func TestRuns(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.repos["acme"] = acme()[3:]
	b := start(t, github.Module(), s.config(token, object{"github": object{"host": s.host(), "organization": "acme",
		"pageSizes": object{"repositories": 2}, "schedule": object{"frequency": "PT30M", "timeout": "PT3M"}}}))
	all := []string{"/acme/legacy-shop/blob/master/catalog-info.yaml", "/acme/shop/blob/main/catalog-info.yaml", "/acme/web/blob/release%2F1.x/catalog-info.yaml"}
	served.Targets(t, b, s.URL, all...)

	s.with(func() {
		s.repos["acme"] = []repo{{name: "a", branch: "main"}, {name: "b", branch: "main"}, {name: "c", branch: "main"}}
		first := len(s.asked) + 1
		s.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool { // the second page never comes
			if n > first {
				answer(w, object{"data": object{"repositoryOwner": nil}, "errors": []any{object{"type": "FORBIDDEN", "message": "Resource protected by organization SAML enforcement."}}})
			}
			return n > first
		}
	})
	err := b.RunTask(t, "catalog", "github-provider:default:refresh")
	if err == nil || !strings.Contains(err.Error(), "SAML enforcement") || !strings.Contains(err.Error(), "the repositories of acme") {
		t.Errorf("the error is %v", err)
	}
	served.Targets(t, b, s.URL, all...) // half of a list is none

	s.with(func() { s.fault = nil })
	b.Clock.Advance(30 * time.Minute)
	served.Targets(t, b, s.URL, "/acme/a/blob/main/catalog-info.yaml", "/acme/b/blob/main/catalog-info.yaml", "/acme/c/blob/main/catalog-info.yaml")
}

// TestTokensThatEnd has the server hang for so long that the token of the app ends between two pages.
func TestTokensThatEnd(t *testing.T) {
	t.Parallel()
	s := newGitHub(t)
	s.repos["acme"], s.installed = acme(), []string{"Acme"}
	hangs := make(chan struct{})
	s.fault = func(n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 2 {
			close(hangs)
			<-r.Context().Done()
		}
		return n == 2
	}
	b := start(t, github.Module(), s.config(object{"apps": []any{app(t)}}, object{"github": object{"host": s.host(), "organization": "acme", "pageSizes": object{"repositories": 2}}}))
	<-hangs
	b.Clock.Advance(51 * time.Minute) // ten minutes before its end, a token isn't used any more
	served.Await(t, "the rest of the run", func() bool {
		b.Clock.Advance(time.Second)
		return strings.Contains(b.Log.String(), "Read 6 GitHub repositories")
	})
	s.with(func() {
		if s.tokens != 2 {
			t.Errorf("%d tokens were made, want 2", s.tokens)
		}
	})
	if !strings.Contains(b.Log.String(), "it hasn't answered within 1m0s") {
		t.Error("the log doesn't tell that the server hung")
	}
}

func TestWrongDiscoveries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings object
		want     []string
	}{
		"no organization":        {object{"one": object{"host": "github.com"}}, []string{"catalog.providers.github.one", "needs an organization"}},
		"an unknown host":        {object{"one": object{"host": "ghe.example.com", "organization": "acme"}}, []string{"catalog.providers.github.one", "no GitHub integration for the host ghe.example.com"}},
		"a glob to be validated": {object{"organization": "acme", "catalogPath": "/*.yaml", "validateLocationsExist": true}, []string{"validateLocationsExist with a glob"}},
		"a slash in the branch":  {object{"organization": "acme", "filters": object{"branch": "a/b"}}, []string{"slash in filters.branch"}},
		"a broken pattern":       {object{"organization": "acme", "filters": object{"repository": "(a"}}, []string{"filters.repository", "not a regular expression"}},
		"a broken glob":          {object{"organization": "acme", "catalogPath": "*{a"}, []string{"catalogPath", "not a valid glob"}},
		"an unknown visibility":  {object{"organization": "acme", "filters": object{"visibility": []any{"secret"}}}, []string{"visibility"}},
		"no timeout":             {object{"organization": "acme", "schedule": object{"frequency": "5m"}}, []string{"schedule.timeout"}},
		"too large pages":        {object{"organization": "acme", "pageSizes": object{"repositories": 1000}}, []string{"pageSizes.repositories"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := backendtest.TryStart(t, catalog.Plugin(), github.Module(), backendtest.Config(object{"catalog": object{"providers": object{"github": test.settings}}}))
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in the error: %v", want, err)
				}
			}
		})
	}
}

func TestNothingConfigured(t *testing.T) {
	t.Parallel()
	start(t, github.Module())
}
