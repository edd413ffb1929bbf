package incremental_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogpermission"
	"github.com/portico-dev/portico/plugins/catalog/incremental"
	"github.com/portico-dev/portico/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// warehouse serves an inventory, and records which pages it is asked for.
type warehouse struct {
	mu    sync.Mutex
	pages [][]string
	asked []int
	// before is called before a page is answered; an error is answered as such.
	before func(r *http.Request, page int) error
}

func (w *warehouse) ServeHTTP(res http.ResponseWriter, r *http.Request) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	w.mu.Lock()
	w.asked = append(w.asked, page)
	pages, before := w.pages, w.before
	w.mu.Unlock()
	if before != nil {
		if err := before(r, page); err != nil {
			http.Error(res, err.Error(), http.StatusBadGateway)
			return
		}
	}
	answer := map[string]any{"items": pages[page]}
	if page+1 < len(pages) {
		answer["next"] = strconv.Itoa(page + 1)
	}
	_ = json.NewEncoder(res).Encode(answer)
}

// restock changes what the warehouse has.
func (w *warehouse) restock(before func(*http.Request, int) error, pages ...[]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages, w.before = pages, before
}

// askedFor answers the pages that were asked for since the last time.
func (w *warehouse) askedFor() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}

// portal is a backend whose catalog reads the warehouse.
type portal struct {
	*backendtest.Backend
	t      *testing.T
	client *backendtest.Client
}

func open(t *testing.T, w *warehouse, options map[string]any, features ...backend.Feature) *portal {
	t.Helper()
	settings := serveInventory(t, w.ServeHTTP)
	for key, value := range options {
		settings[key] = value
	}
	features = append(features, catalog.Plugin(), incremental.Module(), inventoryModule(), backendtest.Config(map[string]any{
		"catalog": map[string]any{
			"rules":     []any{map[string]any{"allow": []any{"Resource"}}},
			"providers": map[string]any{"inventory": settings},
		},
	}))
	b := backendtest.Start(t, features...)
	return &portal{Backend: b, t: t, client: b.As(t, "user:default/operator")}
}

// names are the resources that the catalog serves.
func (p *portal) names() string {
	p.t.Helper()
	found := backendtest.JSON[struct {
		Items []struct{ Metadata struct{ Name string } }
	}](p.t, p.client.Get("/api/catalog/entities/by-query?filter=kind=resource&limit=1000&orderField=metadata.name,asc"))
	var names []string
	for _, item := range found.Items {
		names = append(names, item.Metadata.Name)
	}
	return strings.Join(names, " ")
}

// has waits until the catalog serves these resources.
func (p *portal) has(want string) {
	p.t.Helper()
	p.await("the catalog to have "+want, func() bool { return p.names() == want })
}

func (p *portal) await(what string, holds func() bool) {
	p.t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(2 * time.Minute); !holds(); {
		select {
		case <-ticker.C:
		case <-deadline:
			p.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// status is what the provider does, and its last error.
func (p *portal) status() (action, lastError string) {
	p.t.Helper()
	answer := backendtest.JSON[struct {
		Status struct {
			Action string `json:"current_action"`
		}
		LastError string `json:"last_error"`
	}](p.t, p.client.Get("/api/catalog/incremental/providers/inventory"))
	return answer.Status.Action, answer.LastError
}

// does waits until the provider does this.
func (p *portal) does(want string) {
	p.t.Helper()
	p.await("the provider to be "+want, func() bool {
		action, _ := p.status()
		return action == want
	})
}

// tick lets time pass and then does what is due.
func (p *portal) tick(after time.Duration) error {
	p.t.Helper()
	p.Clock.Advance(after)
	return p.RunTask(p.t, "catalog", "inventory")
}

func (p *portal) tickOK(after time.Duration) {
	p.t.Helper()
	if err := p.tick(after); err != nil {
		p.t.Fatal(err)
	}
}

const day = 24 * time.Hour

func TestIngestion(t *testing.T) {
	t.Parallel()
	w := &warehouse{pages: [][]string{{"a", "b"}, {}, {"c"}}}
	p := open(t, w, nil)
	p.has("a b c")
	p.does("resting")
	if asked := w.askedFor(); !slices.Equal(asked, []int{0, 1, 2}) {
		t.Errorf("asked for the pages %v", asked)
	}
	w.restock(nil, []string{"b"}, []string{"d", "d"})
	p.tickOK(day - time.Minute)
	if asked := w.askedFor(); asked != nil {
		t.Errorf("asked for the pages %v while it rests", asked)
	}
	p.tickOK(time.Minute)
	p.has("b d")
}

// TestBurstLength has time pass while pages are fetched.
func TestBurstLength(t *testing.T) {
	t.Parallel()
	w := &warehouse{}
	gate := make(chan func(time.Duration), 1)
	w.restock(func(*http.Request, int) error {
		advance := <-gate
		advance(2 * time.Second)
		gate <- advance
		return nil
	}, []string{"a"}, []string{"b"}, []string{"c"}, []string{"d"}, []string{"e"})
	p := open(t, w, nil)
	gate <- p.Clock.Advance // two seconds a page are two pages in a burst of three seconds
	p.does("interstitial")
	if asked := w.askedFor(); !slices.Equal(asked, []int{0, 1}) {
		t.Errorf("the first burst has asked for the pages %v", asked)
	}
	p.tickOK(time.Second)
	p.tickOK(time.Second)
	p.does("resting")
	if asked := w.askedFor(); !slices.Equal(asked, []int{2, 3, 4}) {
		t.Errorf("the other bursts have asked for the pages %v", asked)
	}
	p.has("a b c d e")
	marks := backendtest.JSON[struct {
		Success bool
		Records []struct {
			ID        string
			Ingestion string `json:"ingestion_id"`
			Cursor    *string
			Sequence  int
			CreatedAt time.Time `json:"created_at"`
		}
	}](t, p.client.Get("/api/catalog/incremental/providers/inventory/marks"))
	if len(marks.Records) != 5 || marks.Records[0].Sequence != 4 || marks.Records[0].Cursor != nil || *marks.Records[4].Cursor != "1" {
		t.Errorf("the marks are %+v", marks)
	}
}

// TestRestart stops the backend in the middle of a page.
func TestRestart(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		if config["connection"] == ":memory:" {
			t.Skip("nothing of it is left after a restart")
		}
		database := backendtest.Config(map[string]any{"backend": map[string]any{"database": config}})
		w := &warehouse{}
		pages := [][]string{{"a"}, {"b"}, {"c"}, {"d"}}
		reached := make(chan struct{}, 10)
		w.restock(func(r *http.Request, page int) error {
			if page == 2 {
				reached <- struct{}{}
				<-r.Context().Done() // until the backend hangs up
			}
			return nil
		}, pages...)
		t.Run("stopped", func(t *testing.T) {
			p := open(t, w, nil, database)
			<-reached
			p.has("a b")
		})
		if asked := w.askedFor(); !slices.Equal(asked, []int{0, 1, 2}) {
			t.Fatalf("asked for the pages %v before the backend stopped", asked)
		}
		w.restock(nil, pages...)
		t.Run("started again", func(t *testing.T) {
			p := open(t, w, nil, database)
			p.has("a b c d")
			p.does("resting")
			if asked := w.askedFor(); !slices.Equal(asked, []int{2, 3}) {
				t.Errorf("asked for the pages %v after the restart", asked)
			}
		})
		t.Run("resting", func(t *testing.T) {
			p := open(t, w, nil, database)
			p.tickOK(time.Second)
			if asked := w.askedFor(); asked != nil {
				t.Errorf("asked for the pages %v, though it rests", asked)
			}
			w.restock(nil, []string{"a"}, []string{"d"})
			p.tickOK(2 * day)
			p.has("a d")
		})
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	w := &warehouse{}
	pages := [][]string{{"a"}, {"b"}}
	w.restock(func(_ *http.Request, page int) error {
		if page == 1 {
			return errors.New("no forklift")
		}
		return nil
	}, pages...)
	p := open(t, w, nil)
	p.does("backing off")
	if _, lastError := p.status(); lastError != "page 2: the inventory answers 502 Bad Gateway" {
		t.Errorf("the last error is %q", lastError)
	}
	w.askedFor()
	p.tickOK(59 * time.Second) // of the first minute
	if asked := w.askedFor(); asked != nil {
		t.Errorf("asked for the pages %v too early", asked)
	}
	if err := p.tick(time.Second); err == nil || !strings.Contains(err.Error(), "goes on in 5m0s: page 2: ") {
		t.Errorf("error is %v", err)
	}
	if err := p.tick(5 * time.Minute); err == nil || !strings.Contains(err.Error(), "goes on in 5m0s: page 2: ") {
		t.Errorf("error is %v: the last time of backoff stays", err)
	}
	w.restock(nil, pages...)
	p.tickOK(5 * time.Minute)
	p.has("a b")
	if asked := w.askedFor(); !slices.Equal(asked, []int{1, 1, 1}) {
		t.Errorf("asked for the pages %v: the first one was there already", asked)
	}
}

func TestRejectedRemovals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options   map[string]any
		pages     [][]string
		want      string
		lastError string
	}{
		"few":         {map[string]any{"rejectRemovalsAbovePercentage": 50}, [][]string{{"a", "b"}}, "a b", ""},
		"many":        {map[string]any{"rejectRemovalsAbovePercentage": 49}, [][]string{{"a", "b"}}, "a b c", "REMOVAL_THRESHOLD exceeded"},
		"all":         {map[string]any{"rejectRemovalsAbovePercentage": 99}, [][]string{{}}, "a b c", "REMOVAL_THRESHOLD exceeded"},
		"empty":       {map[string]any{"rejectEmptySourceCollections": true}, [][]string{{}}, "a b c", "the source has no entities: 3 are kept"},
		"not empty":   {map[string]any{"rejectEmptySourceCollections": true}, [][]string{{"b"}}, "b", ""},
		"not careful": {nil, [][]string{{}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &warehouse{pages: [][]string{{"a", "b"}, {"c"}}}
			p := open(t, w, test.options)
			p.has("a b c")
			p.does("resting")
			w.restock(nil, test.pages...)
			p.tickOK(day)
			p.has(test.want)
			if _, lastError := p.status(); !strings.HasPrefix(lastError, test.lastError) || (lastError == "") != (test.lastError == "") {
				t.Errorf("the last error is %q", lastError)
			}
			// What was kept is still known, and goes when that is not too much any more.
			w.restock(nil, []string{"a", "b", "d", "e"})
			p.tickOK(day)
			p.has("a b d e")
		})
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := &warehouse{pages: [][]string{{"a", "b"}}}
	p := open(t, w, nil)
	p.has("a b")
	p.does("resting")
	p.Publish(t, "inventory", map[string]string{"added": "c"})
	p.has("a b c")
	p.Publish(t, "inventory", map[string]string{"removed": "a"})
	p.has("b c")
	p.tickOK(day) // the source has a, but not c
	p.has("a b")
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, config map[string]any) {
		w := &warehouse{pages: [][]string{{"a", "b"}, {"c"}}}
		p := open(t, w, nil, backendtest.Config(map[string]any{"backend": map[string]any{"database": config}}))
		p.does("resting")
		p.has("a b c")
		answers := func(method, path string, status int, want string) {
			t.Helper()
			res := p.client.Do(method, "/api/catalog/incremental"+path, nil)
			got, err := json.Marshal(backendtest.JSON[any](t, res))
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != status || string(got) != want {
				t.Errorf("%s %s: status %d, answer\n%s, want %d\n%s", method, path, res.StatusCode, got, status, want)
			}
		}
		at := func(after time.Duration) string {
			return p.Clock.Now().Add(after).UTC().Format("2006-01-02T15:04:05.000Z")
		}
		answers("GET", "/health", 200, `{"healthy":true}`)
		answers("GET", "/providers", 200, `{"providers":["inventory"],"success":true}`)
		answers("GET", "/providers/inventory", 200,
			`{"last_error":null,"status":{"current_action":"resting","next_action_at":"`+at(day)+`"},"success":true}`)
		answers("GET", "/providers/other", 404, `{"last_error":"Provider 'other' not found","status":{},"success":false}`)
		answers("GET", "/providers/other/marks", 404, `{"last_error":"Provider 'other' not found","status":{},"success":false}`)
		for _, command := range []string{"trigger", "start", "cancel"} {
			answers("POST", "/providers/other/"+command, 404, `{"message":"Provider 'other' not found","success":false}`)
		}
		answers("DELETE", "/providers/other", 404, `{"message":"Provider 'other' not found","success":false}`)

		w.askedFor()
		answers("POST", "/providers/inventory/trigger", 200, `{"message":"inventory: Next action triggered.","success":true}`)
		p.tickOK(0)
		if asked := w.askedFor(); !slices.Equal(asked, []int{0, 1}) {
			t.Errorf("asked for the pages %v after the trigger", asked)
		}

		answers("POST", "/providers/inventory/start", 200, `{"message":"inventory: Next cycle triggered.","success":true}`)
		answers("GET", "/providers/inventory", 200, `{"status":{"current_action":"rest complete, waiting to start"},"success":true}`)
		answers("GET", "/providers/inventory/marks", 200, `{"message":"No records yet (provider is restarting)","success":true}`)
		answers("POST", "/providers/inventory/start", 200, `{"message":"Provider is already restarting","success":true}`)
		answers("POST", "/providers/inventory/cancel", 200, `{"message":"Provider is currently restarting, please wait.","success":true}`)
		answers("POST", "/providers/inventory/trigger", 200,
			`{"message":"Unable to trigger next action (provider is restarting)","success":true}`)
		p.tickOK(0)
		if asked := w.askedFor(); !slices.Equal(asked, []int{0, 1}) {
			t.Errorf("asked for the pages %v after the start", asked)
		}

		// An ingestion is cancelled, and one is started anew, while a page is on its way.
		for _, command := range []string{"cancel", "start"} {
			w.restock(func(_ *http.Request, page int) error {
				if page == 1 {
					p.client.Post("/api/catalog/incremental/providers/inventory/"+command, nil)
				}
				return nil
			}, []string{"a"}, []string{"b"}, []string{"c"})
			p.tickOK(2 * day)
			if asked := w.askedFor(); !slices.Equal(asked, []int{0, 1}) {
				t.Errorf("asked for the pages %v while the ingestion got the command %s", asked, command)
			}
		}
		w.restock(nil, []string{"a"})
		p.tickOK(0)
		p.has("a")

		answers("DELETE", "/providers/inventory/marks", 200, `{"deletions":{"deletions":{"ingestionsDeleted":0,"markEntitiesDeleted":0,`+
			`"marksDeleted":0}},"message":"Expired marks for provider 'inventory' removed.","success":true}`)
		answers("DELETE", "/providers/inventory", 200, `{"ingestionsDeleted":1,"markEntitiesDeleted":1,"marksDeleted":1,"provider":"inventory"}`)
		answers("POST", "/cleanup", 200, `{"ingestionMarksDeleted":0,"ingestionsDeleted":1,"markEntitiesDeleted":0}`)
		answers("GET", "/providers/inventory", 200,
			`{"last_error":null,"status":{"current_action":"resting","next_action_at":"`+at(day)+`"},"success":true}`)
		if res := p.Anonymous(t).Get("/api/catalog/incremental/providers"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("without credentials: status %d", res.StatusCode)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	good := incremental.Options{BurstInterval: time.Second, BurstLength: time.Second, RestLength: time.Second}
	for want, source := range map[string]incremental.Source{
		"NewSource":                     {},
		"needs a BurstInterval":         incremental.NewSource(&inventory{}, incremental.Options{}),
		"RejectRemovalsAbovePercentage": incremental.NewSource(&inventory{}, with(good, func(o *incremental.Options) { o.RejectRemovalsAbovePercentage = -1 })),
		"Backoff of -1s":                incremental.NewSource(&inventory{}, with(good, func(o *incremental.Options) { o.Backoff = []time.Duration{-time.Second} })),
		"has the name \"\"":             incremental.NewSource(nameless{}, good),
	} {
		module := plugin.NewModule("catalog", "inventory", plugin.Init(func(providers incremental.Providers) { providers.AddProvider(source) }))
		_, err := backendtest.TryStart(t, catalog.Plugin(), incremental.Module(), module)
		if err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("error is %v, want one about %s", err, want)
		}
	}
}

func with(o incremental.Options, change func(*incremental.Options)) incremental.Options {
	change(&o)
	return o
}

type nameless struct{ *inventory }

func (nameless) Name() string { return "" }

func TestRecorder(t *testing.T) {
	t.Parallel()
	var got incremental.Recorder
	backendtest.Start(t, inventoryModule(), backendtest.ExtensionPoint(incremental.ProvidersPoint, &got), backendtest.Config(map[string]any{
		"catalog": map[string]any{"providers": map[string]any{"inventory": serveInventory(t, http.NotFound)}},
	}))
	if len(got.Sources) != 1 || got.Sources[0].Name() != "inventory" {
		t.Errorf("recorded %v", got.Sources)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	b := backendtest.Start(t, catalog.Plugin(), incremental.Module(), backendtest.Permissions(func(_ service.Credentials, p service.Permission) service.Decision {
		if p == catalogpermission.IngestionManage {
			return service.Decision{Result: service.ResultDeny}
		}
		return service.Decision{Result: service.ResultAllow}
	}))
	jane := b.As(t, "user:default/jane")
	if got := jane.Get("/api/catalog/incremental/providers").StatusCode; got != http.StatusOK {
		t.Errorf("seeing the providers: status %d", got)
	}
	if got := jane.Post("/api/catalog/incremental/cleanup", nil).StatusCode; got != http.StatusForbidden {
		t.Errorf("cleaning up: status %d", got)
	}
}
