package msgraph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// object is a JSON object, or a part of a configuration.
type object = map[string]any

const (
	tenant = "11111111-2222-3333-4444-555555555555"
	secret = "s3cret-of-the-app"
)

// graph is a Microsoft Graph, and the login to it.
type graph struct {
	t      *testing.T
	server *httptest.Server
	// before, if it is set, may answer a request instead; then it returns true.
	before func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	users    []object
	groups   []object
	members  map[string][]string // ids of users and groups, by that of the group
	photos   map[string]map[string]int
	requests []*http.Request
	logins   []url.Values
}

func newGraph(t *testing.T) *graph {
	g := &graph{t: t, members: map[string][]string{}, photos: map[string]map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/{tenant}/oauth2/v2.0/token", g.login)
	mux.HandleFunc("GET /v1.0/organization/{id}", func(w http.ResponseWriter, _ *http.Request) {
		g.answer(w, object{"id": tenant, "displayName": "Acme  Inc"})
	})
	mux.HandleFunc("GET /v1.0/users", func(w http.ResponseWriter, r *http.Request) { g.pages(w, r, g.users) })
	mux.HandleFunc("GET /v1.0/groups", func(w http.ResponseWriter, r *http.Request) { g.pages(w, r, g.groups) })
	mux.HandleFunc("GET /v1.0/groups/{id}/members", g.membersOf)
	mux.HandleFunc("GET /v1.0/groups/{id}/members/{type}", g.membersOf)
	mux.HandleFunc("GET /v1.0/groups/{id}/members/{type}/{$}", g.membersOf)
	mux.HandleFunc("GET /v1.0/users/{id}/photos", func(w http.ResponseWriter, r *http.Request) {
		sizes := g.photos[r.PathValue("id")]
		if sizes == nil {
			g.refuse(w, http.StatusNotFound, "ImageNotFound", "Photo wasn't found.")
			return
		}
		var all []object
		for id, height := range sizes {
			all = append(all, object{"id": id, "height": height})
		}
		slices.SortFunc(all, func(a, b object) int { return a["height"].(int) - b["height"].(int) })
		g.answer(w, object{"value": all})
	})
	mux.HandleFunc("GET /v1.0/users/{id}/photos/{photo}/$value", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "photo %s of %s", r.PathValue("photo"), r.PathValue("id"))
	})
	g.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.requests = append(g.requests, r)
		if g.before != nil && g.before(w, r) {
			return
		}
		if !strings.HasPrefix(r.URL.Path, "/login/") && r.Header.Get("Authorization") != "Bearer token" {
			g.refuse(w, http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token is empty.")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(g.server.Close)
	return g
}

func (g *graph) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		g.t.Error(err)
	}
	g.logins = append(g.logins, r.PostForm)
	good := r.PathValue("tenant") == tenant && r.PostForm.Get("client_id") == "app" && r.PostForm.Get("scope") == "http://127.0.0.1/.default" &&
		(r.PostForm.Get("client_secret") == secret || r.PostForm.Get("client_assertion") == "assertion")
	if !good {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(object{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.\nTrace ID: 1"})
		return
	}
	g.answer(w, object{"access_token": "token", "token_type": "Bearer", "expires_in": 3600})
}

// pages answers a collection, two objects a page.
func (g *graph) pages(w http.ResponseWriter, r *http.Request, all []object) {
	skip, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
	end := min(skip+2, len(all))
	page := object{"value": all[skip:end]}
	if end < len(all) {
		query := r.URL.Query()
		query.Set("$skiptoken", strconv.Itoa(end))
		page["@odata.nextLink"] = g.server.URL + r.URL.Path + "?" + query.Encode()
	}
	g.answer(w, page)
}

func (g *graph) membersOf(w http.ResponseWriter, r *http.Request) {
	only := strings.Trim(r.PathValue("type"), "/")
	members := []object{}
	for _, id := range g.members[r.PathValue("id")] {
		for kind, all := range map[string][]object{"microsoft.graph.user": g.users, "microsoft.graph.group": g.groups, "microsoft.graph.device": {{"id": "device"}}} {
			for _, o := range all {
				if o["id"] == id && (only == "" || only == kind) {
					member := object{"@odata.type": "#" + kind}
					for key, value := range o {
						member[key] = value
					}
					members = append(members, member)
				}
			}
		}
	}
	g.pages(w, r, members)
}

func (g *graph) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		g.t.Error(err)
	}
}

func (g *graph) refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object{"error": object{"code": code, "message": message}})
}

// asked are the requests so far whose path ends so.
func (g *graph) asked(suffix string) (found []*http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.requests {
		if strings.HasSuffix(r.URL.Path, suffix) {
			found = append(found, r)
		}
	}
	return found
}
