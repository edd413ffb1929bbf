package gitlab_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// gitLab is the part of GitLab that is asked, with the shapes of its documentation.
type gitLab struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	projects []object
	groups   []object
	users    []object
	members  map[string][]string // names of users, by full path of the group
	files    map[string]string   // contents, by <project id>:<ref>:<path>
	commits  map[string][]object // what they have done to files, by <project id>:<commit>
	hidden   string              // a group whose members can't be seen
	size     int                 // the most that a page has
	fault    func(w http.ResponseWriter, r *http.Request) bool
	asked    []string
}

func newGitLab(t *testing.T) *gitLab {
	t.Helper()
	s := &gitLab{t: t, members: map[string][]string{}, files: map[string]string{}, size: 1}
	mux := http.NewServeMux()
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /api/v4/projects":                                  s.listProjects,
		"GET /api/v4/groups/{group}/projects":                   s.listProjects,
		"GET /api/v4/projects/{id}":                             s.one(&s.projects, "path_with_namespace"),
		"GET /api/v4/groups/{id}":                               s.one(&s.groups, "full_path"),
		"GET /api/v4/users/{id}":                                s.one(&s.users, "username"),
		"GET /api/v4/groups":                                    func(w http.ResponseWriter, r *http.Request) { s.page(w, r, s.groups) },
		"GET /api/v4/groups/{group}/search":                     s.search,
		"GET /api/v4/users":                                     s.listUsers,
		"GET /api/v4/groups/{group}/members/all":                s.listMembers,
		"GET /api/v4/groups/{group}/members/all/{id}":           s.member,
		"GET /api/v4/projects/{id}/repository/files/{path}":     s.file,
		"GET /api/v4/projects/{id}/repository/files/{path}/raw": s.file,
		"GET /api/v4/projects/{id}/repository/commits/{commit}/diff": func(w http.ResponseWriter, r *http.Request) {
			files, ok := s.commits[r.PathValue("id")+":"+r.PathValue("commit")]
			if !ok {
				notFound(w)
				return
			}
			s.page(w, r, files)
		},
		"POST /api/graphql": s.graphQL,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
			if s.fault != nil && s.fault(w, r) {
				return
			}
			if r.Header.Get("Authorization") != "Bearer glpat" {
				answer(w, http.StatusUnauthorized, object{"message": "401 Unauthorized"})
				return
			}
			handle(w, r)
		})
	}
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *gitLab) host() string { return strings.TrimPrefix(s.URL, "http://") }

func (s *gitLab) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// questions are the requests so far.
func (s *gitLab) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func notFound(w http.ResponseWriter) {
	answer(w, http.StatusNotFound, object{"message": "404 Not found"})
}

// page answers a page of a list, with the headers of offset-based pagination.
func (s *gitLab) page(w http.ResponseWriter, r *http.Request, all []object) {
	n, _ := strconv.Atoi(r.URL.Query().Get("page"))
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	size = min(size, s.size)
	start := min((n-1)*size, len(all))
	end := min(start+size, len(all))
	next := ""
	if end < len(all) {
		next = strconv.Itoa(n + 1)
	}
	w.Header().Set("X-Next-Page", next)
	answer(w, http.StatusOK, append([]object{}, all[start:end]...))
}

// one answers the object with the id, or the name that the key has.
func (s *gitLab) one(all *[]object, key string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, o := range *all {
			if id := r.PathValue("id"); fmt.Sprint(o["id"]) == id || o[key] == id {
				answer(w, http.StatusOK, o)
				return
			}
		}
		notFound(w)
	}
}

func (s *gitLab) project(id int, path string, more object) object {
	p := object{"id": id, "path_with_namespace": path, "web_url": s.URL + "/" + path, "default_branch": "main", "archived": false, "topics": []string{}}
	for k, v := range more {
		p[k] = v
	}
	return p
}

func (s *gitLab) listProjects(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var all []object
	for _, p := range s.projects {
		topics := strings.FieldsFunc(query.Get("topic"), func(r rune) bool { return r == ',' })
		lacks := slices.ContainsFunc(topics, func(topic string) bool { return !slices.Contains(p["topics"].([]string), topic) })
		if lacks || query.Get("archived") == "false" && p["archived"] == true || query.Get("membership") == "true" && p["member"] == nil ||
			!strings.HasPrefix(p["path_with_namespace"].(string), strings.TrimPrefix(r.PathValue("group")+"/", "/")) {
			continue
		}
		if query.Get("simple") == "true" {
			short := object{}
			for _, key := range []string{"id", "path_with_namespace", "web_url", "default_branch", "topics"} {
				short[key] = p[key]
			}
			p = short
		}
		all = append(all, p)
	}
	s.page(w, r, all)
}

func (s *gitLab) file(w http.ResponseWriter, r *http.Request) {
	content, ok := s.files[r.PathValue("id")+":"+r.URL.Query().Get("ref")+":"+r.PathValue("path")]
	for _, p := range s.projects {
		if p["path_with_namespace"] == r.PathValue("id") { // a project may be named by its path
			content, ok = s.files[fmt.Sprint(p["id"])+":"+r.URL.Query().Get("ref")+":"+r.PathValue("path")]
		}
	}
	if !ok {
		notFound(w)
		return
	}
	fmt.Fprint(w, content)
}

func (s *gitLab) search(w http.ResponseWriter, r *http.Request) {
	var all []object
	for _, p := range s.projects {
		for key := range s.files {
			id, rest, _ := strings.Cut(key, ":")
			ref, path, _ := strings.Cut(rest, ":")
			if id == fmt.Sprint(p["id"]) && r.URL.Query().Get("scope") == "blobs" && strings.HasSuffix(path, strings.TrimPrefix(r.URL.Query().Get("search"), "filename:")) &&
				strings.HasPrefix(p["path_with_namespace"].(string), r.PathValue("group")+"/") {
				all = append(all, object{"project_id": p["id"], "ref": ref, "path": path, "basename": path})
			}
		}
	}
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	s.page(w, r, all)
}

func (s *gitLab) listUsers(w http.ResponseWriter, r *http.Request) {
	var all []object
	for _, u := range s.users {
		if name := r.URL.Query().Get("username"); name == "" || u["username"] == name {
			all = append(all, u)
		}
	}
	s.page(w, r, all)
}

func (s *gitLab) pathOf(group string) string {
	for _, g := range s.groups {
		if fmt.Sprint(g["id"]) == group {
			return g["full_path"].(string)
		}
	}
	return group
}

func (s *gitLab) membersOf(group string) []object {
	var all []object
	for _, u := range s.users {
		if slices.Contains(s.members[s.pathOf(group)], u["username"].(string)) {
			all = append(all, u)
		}
	}
	return all
}

func (s *gitLab) listMembers(w http.ResponseWriter, r *http.Request) {
	s.page(w, r, s.membersOf(r.PathValue("group")))
}

func (s *gitLab) member(w http.ResponseWriter, r *http.Request) {
	for _, u := range s.membersOf(r.PathValue("group")) {
		if fmt.Sprint(u["id"]) == r.PathValue("id") {
			answer(w, http.StatusOK, u)
			return
		}
	}
	notFound(w)
}

var operation = regexp.MustCompile(`^query (\w+)`)

func (s *gitLab) graphQL(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Query     string
		Variables struct {
			Group     string
			Relations []string
			Cursor    string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		s.t.Error(err)
	}
	var nodes []object
	group := q.Variables.Group
	if !slices.ContainsFunc(s.groups, func(g object) bool { return g["full_path"] == group }) {
		answer(w, http.StatusOK, object{"data": object{"group": nil}})
		return
	}
	field := "descendantGroups"
	switch operation.FindStringSubmatch(q.Query)[1] {
	case "descendantGroups":
		for _, g := range s.groups {
			if strings.HasPrefix(g["full_path"].(string), group+"/") {
				nodes = append(nodes, object{"id": fmt.Sprint("gid://gitlab/Group/", g["id"]), "name": g["name"], "description": g["description"],
					"fullPath": g["full_path"], "visibility": g["visibility"], "parent": object{"id": fmt.Sprint("gid://gitlab/Group/", g["parent_id"])}})
			}
		}
	case "groupMembers":
		field = "groupMembers"
		from := []string{group}
		if above, _, below := strings.Cut(group, "/"); below && slices.Contains(q.Variables.Relations, "INHERITED") {
			from = append(from, above)
		}
		for _, one := range from {
			for _, u := range s.membersOf(one) {
				nodes = append(nodes, object{"user": object{"id": fmt.Sprint("gid://gitlab/User/", u["id"]), "username": u["username"]}})
			}
		}
		nodes = append(nodes, object{"user": nil}) // somebody who was invited by mail
	default:
		s.t.Errorf("unknown query %s", q.Query)
	}
	if field == "groupMembers" && group == s.hidden {
		answer(w, http.StatusOK, object{"data": object{"group": object{field: nil}}})
		return
	}
	start, _ := strconv.Atoi(q.Variables.Cursor)
	end := min(start+s.size, len(nodes))
	answer(w, http.StatusOK, object{"data": object{"group": object{field: object{
		"nodes": append([]object{}, nodes[start:end]...), "pageInfo": object{"hasNextPage": end < len(nodes), "endCursor": strconv.Itoa(end)}}}}})
}

// config is the configuration with the server as an integration and one provider.
func (s *gitLab) config(provider object) backend.Feature {
	one := object{"host": s.host(), "schedule": object{"frequency": "PT30M", "timeout": "PT3M"}}
	for k, v := range provider {
		if one[k] = v; v == nil {
			delete(one, k)
		}
	}
	return backendtest.Config(object{
		"integrations": object{"gitlab": []any{object{"host": one["host"], "apiBaseUrl": s.URL + "/api/v4", "baseUrl": s.URL, "token": "glpat"}}},
		"catalog":      object{"providers": object{"gitlab": object{"acme": one}}},
	})
}

func start(t *testing.T, features ...backend.Feature) *backendtest.Backend {
	t.Helper()
	return backendtest.Start(t, append(features, catalog.Plugin())...)
}
