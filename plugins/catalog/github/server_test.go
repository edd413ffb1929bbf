package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

// repo is a repository on the server of tests.
type repo struct {
	name, branch, visibility string
	topics                   []string
	archived, fork           bool
	file                     string // the content of the catalog's file
}

// gitHub is the part of GitHub that is asked, with the shapes of its documentation: a GitHub Enterprise server.
type gitHub struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex
	repos map[string][]repo // by owner
	users map[string][]object
	teams map[string][]object
	// installed are the owners that the app is installed for; valid is the token that is accepted besides "pat".
	installed []string
	valid     string
	tokens    int
	// fault answers a request instead of the server, if it wants to; n counts the requests for GraphQL from 1.
	fault func(n int, w http.ResponseWriter, r *http.Request) bool
	asked []string          // the operations of GraphQL requests
	files map[string]string // by path, of any repository and branch
	// commits are the files of commits, of which a page has one.
	commits map[string][]object
	// version is that of the server, if it is none of GitHub's own; answers are by path.
	version string
	answers map[string]any
}

func newGitHub(t *testing.T) *gitHub {
	t.Helper()
	s := &gitHub{t: t, repos: map[string][]repo{}, users: map[string][]object{}, teams: map[string][]object{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/graphql", s.graphQL)
	mux.HandleFunc("GET /api/v3/repos/{owner}/{name}/contents/{path...}", s.content)
	mux.HandleFunc("GET /api/v3/repos/{owner}/{name}/commits/{id}", s.commit)
	mux.HandleFunc("GET /api/v3/search/code", s.search)
	mux.HandleFunc("GET /api/v3/repos/{owner}/{name}", s.metadata)
	mux.HandleFunc("GET /api/v3/app/installations", s.installations)
	mux.HandleFunc("GET /api/v3/{path...}", s.rest)
	mux.HandleFunc("POST /api/v3/app/installations/{id}/access_tokens", s.token)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *gitHub) host() string { return strings.TrimPrefix(s.URL, "http://") }

// with changes the server while it may be asked.
func (s *gitHub) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *gitHub) operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

var operation = regexp.MustCompile(`^query (\w+)`)

func (s *gitHub) graphQL(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Query     string
		Variables object
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		s.t.Errorf("a request that isn't JSON: %v", err)
	}
	name := operation.FindStringSubmatch(q.Query)[1]
	s.mu.Lock()
	s.asked = append(s.asked, name)
	fault, n := s.fault, len(s.asked)
	s.mu.Unlock()
	if fault != nil && fault(n, w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); got != "pat" && (got == "" || got != s.valid) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"message": "Bad credentials", "documentation_url": "https://docs.github.com/graphql"}`)
		return
	}
	answer(w, object{"data": s.data(name, q.Query, q.Variables)})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func (s *gitHub) data(name, query string, v object) any {
	switch name {
	case "repositories":
		repos, ok := s.repos[v["owner"].(string)]
		if !ok {
			return object{"repositoryOwner": nil}
		}
		var nodes []object
		for _, r := range repos {
			nodes = append(nodes, s.repository(v, r))
		}
		return object{"repositoryOwner": object{"repositories": page(nodes, v, "first")}}
	case "repository":
		for _, r := range s.repos[v["owner"].(string)] {
			if r.name == v["name"] {
				return object{"repositoryOwner": object{"repository": s.repository(v, r)}}
			}
		}
		return object{"repositoryOwner": object{"repository": nil}}
	}
	return s.people(name, query, v)
}

func (s *gitHub) repository(v object, r repo) object {
	topics := []object{}
	for _, topic := range r.topics {
		topics = append(topics, object{"topic": object{"name": topic}})
	}
	node := object{
		"name": r.name, "url": fmt.Sprintf("%s/%s/%s", s.URL, v["owner"], r.name), "isArchived": r.archived, "isFork": r.fork,
		"visibility": strings.ToUpper(r.visibility), "repositoryTopics": object{"nodes": topics}, "defaultBranchRef": nil,
	}
	if r.branch != "" {
		node["defaultBranchRef"] = object{"name": r.branch}
	}
	if v["validate"] == true && r.file != "" && v["file"] == "HEAD:catalog-info.yaml" {
		node["catalogInfoFile"] = object{"__typename": "Blob", "byteSize": len(r.file)}
	}
	return node
}

// page is the part of the nodes that follows the cursor, as many as the variable says.
func page(nodes []object, v object, first string) object {
	start := 0
	if cursor, ok := v["cursor"].(string); ok {
		start, _ = strconv.Atoi(strings.TrimPrefix(cursor, "after-"))
	}
	end := min(start+int(v[first].(float64)), len(nodes))
	return object{"nodes": nodes[start:end], "pageInfo": object{"hasNextPage": end < len(nodes), "endCursor": fmt.Sprint("after-", end)}}
}

func (s *gitHub) content(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.files[r.PathValue("path")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	fmt.Fprint(w, content)
}

func (s *gitHub) commit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, ok := s.commits[r.PathValue("id")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	n, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || n > len(files) {
		s.t.Errorf("asked for the page %q", r.URL.Query().Get("page"))
		return
	}
	if n < len(files) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=%d>; rel="next", <%s>; rel="last"`, s.URL, r.URL.Path, n+1, s.URL))
	}
	answer(w, object{"sha": r.PathValue("id"), "files": files[n-1 : n]})
}

func (s *gitHub) installations(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []object{}
	for i, owner := range s.installed {
		all = append(all, object{"id": i + 1, "target_type": "Organization", "account": object{"login": owner}})
	}
	answer(w, all)
}

// token makes a token, which ends those before it.
func (s *gitHub) token(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens++
	s.valid = fmt.Sprint("token-", s.tokens)
	// The clock of a backend under test stands still at first. Only the first token ends in an hour.
	end := time.Now().Add(time.Hour)
	if s.tokens > 1 {
		end = end.AddDate(1, 0, 0)
	}
	w.WriteHeader(http.StatusCreated)
	answer(w, object{"token": s.valid, "expires_at": end, "repository_selection": "all"})
}

// app makes an app for the configuration of an integration.
func app(t *testing.T) object {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return object{"appId": 42, "privateKey": string(text)}
}

// config is the configuration with the server as an integration and what is below catalog.providers.
func (s *gitHub) config(integration, providers object) backend.Feature {
	one := object{"host": s.host(), "apiBaseUrl": s.URL + "/api/v3"}
	for k, v := range integration {
		one[k] = v
	}
	return backendtest.Config(object{
		"integrations": object{"github": []any{one}},
		"catalog":      object{"providers": providers},
	})
}

var token = object{"token": "pat"}

func start(t *testing.T, features ...backend.Feature) *backendtest.Backend {
	t.Helper()
	return backendtest.Start(t, append(features, catalog.Plugin())...)
}
