package gitlab_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/gitlab"
	"github.com/portico-dev/portico/plugins/catalog/internal/served"
)

const component = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: shop, description: %s }\n" +
	"spec: { type: service, lifecycle: production, owner: team }\n"

// fill gives the server a project for each setting.
func (s *gitLab) fill() {
	s.projects = []object{
		s.project(1, "acme/shop", object{"topics": []string{"a", "b"}, "member": true}),
		s.project(2, "acme/web/legacy", object{"default_branch": "release/1.x", "topics": []string{"a"}}),
		s.project(3, "acme/web/fork", object{"forked_from_project": object{"id": 1}}),
		s.project(4, "acme/old", object{"archived": true}),
		s.project(5, "acme/empty", object{"default_branch": nil}),
		s.project(6, "acme/nothing", nil),
		s.project(7, "other/shop", nil),
	}
	for i, path := range []string{"acme", "acme/web", "other", "acme-two"} {
		s.groups = append(s.groups, object{"id": i + 1, "full_path": path, "name": path, "parent_id": nil})
	}
	for _, key := range []string{"1:main", "2:release/1.x", "3:main", "4:main", "5:master", "7:main", "1:dev"} {
		s.files[key+":catalog-info.yaml"] = fmt.Sprintf(component, key)
	}
	s.files["1:main:docs/other.yaml"] = fmt.Sprintf(component, "docs")
	s.files["1:main:sub/catalog-info.yaml"] = fmt.Sprintf(component, "sub")
}

const (
	shop   = "/acme/shop/-/blob/main/catalog-info.yaml"
	legacy = "/acme/web/legacy/-/blob/release%2F1.x/catalog-info.yaml"
	fork   = "/acme/web/fork/-/blob/main/catalog-info.yaml"
	old    = "/acme/old/-/blob/main/catalog-info.yaml"
	empty  = "/acme/empty/-/blob/master/catalog-info.yaml"
	others = "/other/shop/-/blob/main/catalog-info.yaml"
)

func TestDiscovery(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings object
		want     []string
	}{
		"all":                      {object{}, []string{empty, shop, fork, legacy, others}},
		"a group":                  {object{"group": "acme"}, []string{empty, shop, fork, legacy}},
		"a group below":            {object{"group": "acme/web"}, []string{fork, legacy}},
		"groups that match":        {object{"groupPattern": "^acme$"}, []string{empty, shop, fork, legacy}},
		"one of several patterns":  {object{"groupPattern": []any{"^acme/w", "^other"}}, []string{fork, legacy, others}},
		"a look-ahead":             {object{"projectPattern": "^acme/(?!web)"}, []string{empty, shop}},
		"no forks":                 {object{"skipForkedRepos": true, "group": "acme/web"}, []string{legacy}},
		"archived ones too":        {object{"includeArchivedRepos": true, "group": "acme"}, []string{empty, old, shop, fork, legacy}},
		"some left out":            {object{"excludeRepos": []any{"acme/shop", "acme/web/fork"}, "group": "acme"}, []string{empty, legacy}},
		"topics":                   {object{"topics": []any{"a", "b"}}, []string{shop}},
		"topics, as text":          {object{"topics": "a"}, []string{shop, legacy}},
		"where the user is member": {object{"membership": true}, []string{shop}},
		"another branch":           {object{"branch": "dev"}, []string{"/acme/shop/-/blob/dev/catalog-info.yaml"}},
		"another fallback":         {object{"fallbackBranch": "main", "group": "acme"}, []string{shop, fork, legacy}},
		"another file":             {object{"entityFilename": "docs/other.yaml"}, []string{"/acme/shop/-/blob/main/docs/other.yaml"}},
		"by search": {object{"useSearch": true, "group": "acme", "skipForkedRepos": true, "groupPattern": "shop"},
			[]string{"/acme/shop/-/blob/dev/catalog-info.yaml", shop, "/acme/shop/-/blob/main/sub/catalog-info.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newGitLab(t)
			s.fill()
			b := start(t, gitlab.Module(), s.config(test.settings))
			served.Targets(t, b, s.URL, test.want...)
		})
	}
}

// TestPatternForAllGroups has the pattern that Backstage's documentation shows as the default: no groups are listed for it, of which gitlab.com has
// millions.
func TestPatternForAllGroups(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.fill()
	b := start(t, gitlab.Module(), s.config(object{"group": "acme/web", "groupPattern": `[\s\S]*`}))
	served.Targets(t, b, s.URL, fork, legacy)
	if asked := s.questions(); slices.ContainsFunc(asked, func(q string) bool { return strings.Contains(q, "/groups?") }) {
		t.Errorf("asked for groups: %q", asked)
	}
}

func TestEntitiesOfFiles(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.fill()
	b := start(t, gitlab.Module(), s.config(object{"group": "acme", "topics": "b"}))
	served.Part(t, b, "component:default/shop", `"1:main"`, "metadata", "description")
	served.Part(t, b, "component:default/shop", fmt.Sprintf("%q", "url:"+s.URL+"/acme/shop/-/blob/main/catalog-info.yaml"), "metadata", "annotations", "backstage.io/managed-by-location")
}

// TestRunsThatFail has requests fail in all places. What was there before stays.
func TestRunsThatFail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at   string
		want string
	}{
		"a page of projects": {"page=3", "the projects of acme: it refuses the credentials"},
		"a file":             {"/projects/3/repository", "the file catalog-info.yaml of acme/web/fork: it refuses the credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newGitLab(t)
			s.fill()
			b := start(t, gitlab.Module(), s.config(object{"group": "acme"}))
			served.Targets(t, b, s.URL, empty, shop, fork, legacy)
			s.with(func() {
				s.projects = s.projects[1:]
				s.fault = func(w http.ResponseWriter, r *http.Request) bool {
					fails := strings.Contains(r.URL.RequestURI(), test.at)
					if fails {
						w.WriteHeader(http.StatusUnauthorized)
					}
					return fails
				}
			})
			err := b.RunTask(t, "catalog", "GitlabDiscoveryEntityProvider:acme:refresh")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
			served.Targets(t, b, s.URL, empty, shop, fork, legacy)
			s.with(func() { s.fault = nil })
			b.Clock.Advance(30 * time.Minute)
			served.Targets(t, b, s.URL, empty, fork, legacy)
		})
	}
}

// TestRateLimits has the server ask to come back later, in its two ways.
func TestRateLimits(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.fill()
	n := 0
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		n++
		switch n {
		case 2:
			w.Header().Set("Retry-After", "45")
		case 4:
			w.Header().Set("RateLimit-Remaining", "0")
			w.Header().Set("RateLimit-Reset", fmt.Sprint(time.Now().Add(5*time.Minute).Unix()))
		default:
			return false
		}
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, "Retry later\n")
		return true
	}
	b := start(t, gitlab.Module(), s.config(object{"group": "acme"}))
	began := b.Clock.Now()
	served.Await(t, "the end of the run", func() bool {
		// Only while the client waits: it would take a server for slow whose answer is on its way.
		if waits, n := strings.Count(b.Log.String(), "and is repeated"), len(s.questions()); waits == 1 && n == 2 || waits == 2 && n == 4 {
			b.Clock.Advance(time.Second)
		}
		return strings.Contains(b.Log.String(), "Processed 4 locations from scanned 5 projects")
	})
	if passed := b.Clock.Since(began); passed < 4*time.Minute+45*time.Second {
		t.Errorf("the run took %s: limits weren't waited for", passed)
	}
}

func TestPushes(t *testing.T) {
	t.Parallel()
	s := newGitLab(t)
	s.fill()
	s.files, s.size = map[string]string{}, 100
	b := start(t, gitlab.Module(), s.config(object{"group": "acme", "groupPattern": "^acme$"}))
	served.Await(t, "the first run", func() bool { return strings.Contains(b.Log.String(), "Processed 0 locations") })
	push := func(id int, ref string, commits ...object) object {
		p := s.projects[id-1]
		return object{"object_kind": "push", "event_name": "push", "ref": "refs/heads/" + ref, "project_id": id, "total_commits_count": len(commits), "commits": commits,
			"project": object{"id": id, "web_url": p["web_url"], "path_with_namespace": p["path_with_namespace"], "default_branch": "main"}}
	}
	publish := func(payload object) { b.Publish(t, "gitlab.push", payload) }
	change := func(commit, file string) object {
		c := object{"added": []string{}, "modified": []string{}, "removed": []string{}}
		c[commit] = []string{file}
		return c
	}
	const file = "catalog-info.yaml"
	write := func(content string) {
		s.with(func() { s.files["1:main:"+file], s.files["7:main:"+file] = content, content })
	}

	write(fmt.Sprintf(component, "first"))
	publish(push(1, "main", change("added", "README.md")))
	publish(push(1, "dev", change("added", file)))
	publish(push(7, "main", change("added", file))) // of another group
	pretended := push(1, "main", change("added", file))
	pretended["project"].(object)["web_url"] = "https://gitlab.example.com/acme/shop"
	publish(pretended)
	publish(object{"project": "x"})
	served.Targets(t, b, s.URL)
	publish(push(1, "main", change("added", file)))
	served.Part(t, b, "component:default/shop", `"first"`, "metadata", "description")
	served.Targets(t, b, s.URL, shop)

	write(fmt.Sprintf(component, "second"))
	publish(push(1, "main", change("modified", file)))
	served.Part(t, b, "component:default/shop", `"second"`, "metadata", "description")

	// Of many commits, GitLab tells the newest ones only.
	write(fmt.Sprintf(component, "third"))
	many := push(1, "main", change("added", "README.md"))
	many["total_commits_count"] = 50
	publish(many)
	served.Part(t, b, "component:default/shop", `"third"`, "metadata", "description")

	s.with(func() { s.files = map[string]string{} })
	publish(push(1, "main", change("removed", file)))
	served.Targets(t, b, s.URL)
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	schedule := object{"frequency": "5m", "timeout": "1m"}
	for name, test := range map[string]struct {
		settings object
		want     string
	}{
		"no host":                {object{"schedule": schedule}, "catalog.providers.gitlab.acme.host"},
		"no schedule":            {object{"host": "gitlab.com"}, "catalog.providers.gitlab.acme.schedule"},
		"an unknown host":        {object{"host": "gitlab.example.com", "schedule": schedule}, "no GitLab integration for the host gitlab.example.com"},
		"a search everywhere":    {object{"host": "gitlab.com", "schedule": schedule, "useSearch": true}, "needs a group where useSearch"},
		"users of no group":      {object{"host": "gitlab.com", "schedule": schedule, "orgEnabled": true, "restrictUsersToGroup": true}, "needs a group where restrictUsersToGroup"},
		"all users of the world": {object{"host": "gitlab.com", "schedule": schedule, "orgEnabled": true}, "needs a group: the users of gitlab.com"},
		"a broken pattern":       {object{"host": "gitlab.com", "schedule": schedule, "groupPattern": []any{"a", "(b"}}, `"(b" is not a regular expression`},
		"an unknown relation":    {object{"host": "gitlab.com", "schedule": schedule, "relations": []any{"FRIENDS"}}, "relations"},
		"a misspelt key":         {object{"host": "gitlab.com", "schedule": schedule, "grup": "acme"}, "grup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := backendtest.TryStart(t, catalog.Plugin(), gitlab.Module(), gitlab.OrgModule(),
				backendtest.Config(object{"catalog": object{"providers": object{"gitlab": object{"acme": test.settings}}}}))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q is not in the error: %v", test.want, err)
			}
		})
	}
}

func TestNothingConfigured(t *testing.T) {
	t.Parallel()
	start(t, gitlab.Module(), gitlab.OrgModule())
}
