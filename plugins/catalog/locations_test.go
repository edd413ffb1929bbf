package catalog_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

// site serves files over HTTP, with ETags, and can be made to fail.
type site struct {
	*httptest.Server

	mu      sync.Mutex
	files   map[string]string
	failure func(w http.ResponseWriter, r *http.Request) // what is answered instead
	read    int                                          // how many times content was sent
	asked   int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{files: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content, ok := s.files[r.URL.Path]
	failure := s.failure
	s.asked++
	s.mu.Unlock()
	etag := fmt.Sprintf(`"%d-%x"`, len(content), content)
	switch {
	case failure != nil:
		failure(w, r)
	case !ok:
		http.NotFound(w, r)
	case r.Header.Get("If-None-Match") == etag:
		w.WriteHeader(http.StatusNotModified)
	default:
		s.mu.Lock()
		s.read++
		s.mu.Unlock()
		w.Header().Set("ETag", etag)
		_, _ = w.Write([]byte(content))
	}
}

func (s *site) put(name, content string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = content
	return s.URL + name
}

func (s *site) fail(failure http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = failure
}

func (s *site) counts() (asked, read int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.read
}

// location is a registered location as the API answers it.
type location struct{ ID, Type, Target, EntityRef string }

func register(t *testing.T, c *backendtest.Client, target string) location {
	t.Helper()
	res := c.Post("/api/catalog/locations", map[string]string{"type": "url", "target": target})
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("registering %s: status %d: %v", target, res.StatusCode, backendtest.JSON[any](t, res))
	}
	return backendtest.JSON[struct{ Location location }](t, res).Location
}

func TestRegisteredLocations(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		s := newSite(t)
		target := s.put("/all.yaml", component("a", "team")+"---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: more }\nspec: { target: ./more.yaml }\n")
		s.put("/more.yaml", component("b, annotations: { backstage.io/source-location: 'url:https://own/', backstage.io/view-url: '' }", "team"))
		b := backendtest.Start(t, catalog.Plugin(), readable(s.URL), database)
		c := b.As(t, "user:default/guest")

		dry := backendtest.JSON[struct {
			Exists   bool
			Location location
			Entities []any
		}](t, c.Post("/api/catalog/locations?dryRun=true", map[string]string{"type": "url", "target": target}))
		if dry.Exists || len(dry.Entities) != 4 || dry.Location.Target != target || total(t, c) != 0 {
			t.Errorf("the dry run answers %+v", dry)
		}

		l := register(t, c, target)
		settle(t, b, 4) // two Locations, two Components; the clock stands still
		if e := entity(t, c, "component/default/b")["metadata"].(map[string]any)["annotations"].(map[string]any); e["backstage.io/managed-by-location"] != "url:"+s.URL+"/more.yaml" ||
			e["backstage.io/managed-by-origin-location"] != "url:"+target || e["backstage.io/source-location"] != "url:https://own/" || e["backstage.io/view-url"] != "" {
			t.Errorf("the annotations are %v", e)
		}
		if e := entity(t, c, "component/default/a")["metadata"].(map[string]any)["annotations"].(map[string]any); e["backstage.io/view-url"] != target {
			t.Errorf("the annotations are %v", e)
		}
		if res := c.Post("/api/catalog/locations", map[string]string{"type": "url", "target": target}); res.StatusCode != http.StatusConflict {
			t.Errorf("status %d for a location that is registered", res.StatusCode)
		}
		again := backendtest.JSON[struct{ Location location }](t, c.Post("/api/catalog/locations?onConflict=refresh", map[string]string{"type": "url", "target": target}))
		if again.Location != l {
			t.Errorf("registering it once more answers %+v, want %+v", again, l)
		}
		for path, want := range map[string]int{
			"/locations/" + l.ID: 200, "/locations/nope": 404, "/locations/by-entity/component/default/b": 200, "/locations/by-entity/component/default/nope": 404,
		} {
			res := c.Get("/api/catalog" + path)
			if res.StatusCode != want || want == 200 && backendtest.JSON[location](t, res) != l {
				t.Errorf("GET %s: status %d", path, res.StatusCode)
			}
		}
		if all := backendtest.JSON[[]struct{ Data location }](t, c.Get("/api/catalog/locations")); len(all) != 1 || all[0].Data != l {
			t.Errorf("the locations are %+v", all)
		}

		other := s.put("/other.yaml", component("c", "team"))
		res := c.Do(http.MethodPut, "/api/catalog/locations/"+l.ID, map[string]string{"type": "url", "target": other})
		if moved := backendtest.JSON[location](t, res); moved.ID != l.ID || moved.Target != other || moved.EntityRef != l.EntityRef {
			t.Errorf("moved to %+v", moved)
		}
		await(t, "the other file to take the place of the first", func() bool {
			b.Clock.Advance(31e9) // orphans are deleted every 30 seconds
			return exists(c, "component/default/c") && !exists(c, "component/default/a") && !exists(c, "component/default/b")
		})

		if res := c.Do(http.MethodDelete, "/api/catalog/locations/"+l.ID, nil); res.StatusCode != http.StatusNoContent {
			t.Errorf("status %d", res.StatusCode)
		}
		settle(t, b, 0)
		if res := c.Do(http.MethodDelete, "/api/catalog/locations/"+l.ID, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("status %d for a location that is gone", res.StatusCode)
		}
	})
}

// TestRegistrationIsSoonVisible measures the time from registering a location until what is there is served: less than a second. On a busy
// machine, one of many times has to do.
func TestRegistrationIsSoonVisible(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		s := newSite(t)
		b := backendtest.Start(t, catalog.Plugin(), readable(s.URL), database)
		c := b.As(t, "user:default/guest")
		var took time.Duration
		for n := range 30 {
			name := fmt.Sprint("part-", n)
			target := s.put("/"+name+".yaml", component(name, "team"))
			begin := time.Now()
			register(t, c, target)
			await(t, name, func() bool { return exists(c, "component/default/"+name) })
			if took = time.Since(begin); took < time.Second {
				t.Logf("visible after %s", took)
				return
			}
		}
		t.Errorf("what is registered is visible after %s", took)
	})
}

func TestLocationsByQuery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := backendtest.Start(t, catalog.Plugin(), readable(s.URL))
	c := b.As(t, "user:default/guest")
	for n := range 5 {
		register(t, c, fmt.Sprint(s.URL, "/", n, ".yaml"))
	}
	type page struct {
		Items      []location
		TotalItems int
		PageInfo   struct{ NextCursor string }
	}
	var got []string
	body := map[string]any{"limit": 2, "query": map[string]any{"$not": map[string]any{"target": s.URL + "/3.YAML"}}}
	for range 3 {
		p := backendtest.JSON[page](t, c.Post("/api/catalog/locations/by-query", body))
		if p.TotalItems != 4 {
			t.Errorf("there are %d in all", p.TotalItems)
		}
		for _, l := range p.Items {
			got = append(got, l.Target)
		}
		if p.PageInfo.NextCursor == "" {
			break
		}
		body = map[string]any{"cursor": p.PageInfo.NextCursor}
	}
	if len(got) != 4 || strings.Contains(fmt.Sprint(got), "3.yaml") {
		t.Errorf("got %v", got)
	}
	for _, body := range []any{map[string]any{"limit": 0}, map[string]any{"cursor": "x"}, map[string]any{"query": map[string]any{"kind": "a"}}, map[string]any{"query": 1}} {
		if res := c.Post("/api/catalog/locations/by-query", body); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: status %d", body, res.StatusCode)
		}
	}
}

func TestReadonly(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin(), backendtest.Config(map[string]any{"catalog": map[string]any{"readonly": true}}))
	c := b.As(t, "user:default/guest")
	in := map[string]string{"type": "url", "target": "http://example.com/a.yaml"}
	for _, request := range [][2]string{{"POST", ""}, {"PUT", "/x"}, {"DELETE", "/x"}} {
		if res := c.Do(request[0], "/api/catalog/locations"+request[1], in); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d", request[0], res.StatusCode)
		}
	}
}

// TestSources has the source of a location do what sources do.
func TestSources(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	target := s.put("/all.yaml", component("a", "one")+component("b", "one"))
	b := backendtest.Start(t, catalog.Plugin(), readable(s.URL))
	c := b.As(t, "user:default/guest")
	l := register(t, c, target)
	settle(t, b, 3)
	ref := strings.Replace(l.EntityRef, ":", "/", 1)
	refresh := func() {
		t.Helper()
		if res := c.Post("/api/catalog/refresh", map[string]string{"entityRef": l.EntityRef}); res.StatusCode != http.StatusOK {
			t.Fatalf("status %d", res.StatusCode)
		}
	}

	asked, read := s.counts()
	refresh()
	await(t, "the file to be asked for", func() bool { now, _ := s.counts(); return now > asked })
	if _, now := s.counts(); now != read {
		t.Error("a file that has not changed was read again")
	}

	s.put("/all.yaml", component("a", "two")+component("b", "one"))
	refresh()
	await(t, "the change", func() bool { return entity(t, c, "component/default/a")["spec"].(map[string]any)["owner"] == "two" })

	for name, failure := range map[string]http.HandlerFunc{
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"404":     http.NotFound,
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("\x00\xff: [")) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		},
	} {
		s.fail(failure)
		refresh()
		await(t, name+" to be reported", func() bool { return entity(t, c, ref)["status"] != nil })
		b.Clock.Advance(31e9) // orphans would be deleted
		s.fail(nil)
		refresh()
		await(t, "the errors to go after "+name, func() bool { return entity(t, c, ref)["status"] == nil })
		if total(t, c) != 3 {
			t.Fatalf("after %s there are %d entities", name, total(t, c))
		}
	}

	s.put("/all.yaml", component("a", "two"))
	refresh()
	await(t, "b to go", func() bool {
		b.Clock.Advance(31e9)
		return !exists(c, "component/default/b")
	})
}

func TestDeleteByUID(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database backend.Feature) {
		dir := t.TempDir()
		file := write(t, dir, "all.yaml", component("a", "team"))
		one := &source{name: "one"}
		b := backendtest.Start(t, catalog.Plugin(), located(file), module(one), database)
		one.full(t, parse(t, component("b", "team")))
		c := settle(t, b, 3)
		uid := func(path string) string { return entity(t, c, path)["metadata"].(map[string]any)["uid"].(string) }
		remove := func(uid string, want int) {
			t.Helper()
			if res := c.Do(http.MethodDelete, "/api/catalog/entities/by-uid/"+uid, nil); res.StatusCode != want {
				t.Fatalf("status %d, want %d", res.StatusCode, want)
			}
		}
		a := uid("component/default/a")
		remove(a, http.StatusNoContent)
		await(t, "what is still declared to come back", func() bool { return exists(c, "component/default/a") })
		if uid("component/default/a") == a {
			t.Error("it came back with the same uid")
		}
		remove(a, http.StatusNoContent)
		remove(uid("component/default/b"), http.StatusNoContent)
		if exists(c, "component/default/b") {
			t.Error("an entity is still there after it was deleted")
		}
	})
}
