package catalog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
)

// client has a plugin ask for the client of the catalog, as any plugin does.
func client(c **catalogclient.Client) plugin.Plugin {
	return plugin.New("reader", plugin.Init(func(asked *catalogclient.Client) { *c = asked }))
}

// told says of changes what happened to what.
func told(changes ...catalogclient.Change) []string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, c.Type+" "+c.EntityRef)
	}
	slices.Sort(lines)
	return lines
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		s := &source{name: "s"}
		var c *catalogclient.Client
		b := backendtest.Start(t, catalog.Plugin(), module(s), client(&c), database(section),
			backendtest.Config(map[string]any{"catalog": map[string]any{"history": map[string]any{"retention": "2h"}}}))
		ctx := t.Context()
		read := func(q catalogclient.ChangesQuery) catalogclient.ChangesPage {
			t.Helper()
			page, err := c.Changes(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		start := read(catalogclient.ChangesQuery{})
		if start.Cursor == "" || len(start.Items) != 0 || start.More {
			t.Fatalf("at the beginning: %+v", start)
		}
		s.full(t, parse(t, component("a", "one")), parse(t, component("b", "one")))
		settle(t, b, 2)
		created := read(catalogclient.ChangesQuery{Cursor: start.Cursor})
		expect(t, "all changes", told(created.Items...), "created component:default/a", "created component:default/b")
		if e := created.Items[0].Entity; e.UID() != created.Items[0].UID || e.Name() == "" || created.Items[0].Cause != (catalogclient.Cause{Reason: "content", Provider: "s"}) {
			t.Errorf("a change is %+v", created.Items[0])
		}
		one := read(catalogclient.ChangesQuery{Cursor: start.Cursor, Limit: 1})
		two := read(catalogclient.ChangesQuery{Cursor: one.Cursor, Limit: 1})
		if !one.More || two.More || two.Cursor != created.Cursor {
			t.Errorf("page by page: %+v, %+v", one, two)
		}
		expect(t, "page by page", told(one.Items[0], two.Items[0]), told(created.Items...)...)

		// a leaves the filter, b goes, c comes.
		s.full(t, parse(t, component("a", "two")), parse(t, component("c", "one")))
		await(t, "the changes", func() bool {
			return exists(b.As(t, "user:default/guest"), "component/default/c") && !exists(b.As(t, "user:default/guest"), "component/default/b") &&
				entity(t, b.As(t, "user:default/guest"), "component/default/a")["spec"].(map[string]any)["owner"] == "two"
		})
		all := read(catalogclient.ChangesQuery{Cursor: created.Cursor, Fields: []string{"spec.owner"}, Previous: true})
		expect(t, "all changes", told(all.Items...), "created component:default/c", "deleted component:default/b", "updated component:default/a")
		for _, change := range all.Items {
			if change.EntityRef == "component:default/a" && (change.Entity.String() != `{"spec":{"owner":"two"}}` || change.Previous.String() != `{"spec":{"owner":"one"}}`) {
				t.Errorf("a was %s and became %s", change.Previous, change.Entity)
			}
		}
		of := func(owner string) []string {
			return told(read(catalogclient.ChangesQuery{Cursor: created.Cursor, Filter: []string{"spec.owner=" + owner}}).Items...)
		}
		expect(t, "seen by one", of("one"), "created component:default/c", "deleted component:default/a", "deleted component:default/b")
		expect(t, "seen by two", of("two"), "created component:default/a")
		expect(t, "seen by three", of("three"))
		earliest := read(catalogclient.ChangesQuery{Cursor: "earliest"})
		if len(earliest.Items) != 5 {
			t.Errorf("from the beginning there are %d changes, want 5", len(earliest.Items))
		}

		if _, err := c.Changes(ctx, catalogclient.ChangesQuery{Cursor: "1000000"}); err == nil || !strings.Contains(err.Error(), "not one of this catalog") {
			t.Errorf("a cursor from the future: %v", err)
		}
		b.Clock.Advance(3 * time.Hour)
		if err := b.RunTask(t, "catalog", "forget-history"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Changes(ctx, catalogclient.ChangesQuery{Cursor: start.Cursor}); !errors.Is(err, catalogclient.ErrCursorTooOld) || !strings.Contains(err.Error(), "export") {
			t.Errorf("a cursor that is too old: %v", err)
		}
		for _, err := range c.Follow(ctx, catalogclient.ChangesQuery{Cursor: start.Cursor}) {
			if !errors.Is(err, catalogclient.ErrCursorTooOld) {
				t.Errorf("following from a cursor that is too old: %v", err)
			}
		}
		if page := read(catalogclient.ChangesQuery{Cursor: all.Cursor}); len(page.Items) > 0 || page.Cursor != all.Cursor {
			t.Errorf("at the end: %+v", page)
		}
	})
}

// TestFollow has somebody follow changes while they happen, and come back.
func TestFollow(t *testing.T) {
	t.Parallel()
	s := &source{name: "s"}
	var c *catalogclient.Client
	b := backendtest.Start(t, catalog.Plugin(), module(s), client(&c))
	start, err := c.Changes(t.Context(), catalogclient.ChangesQuery{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const count = 20
	// Several at once, each with breaks, get everything once and in order.
	results := make(chan []string)
	for range 5 {
		go func() {
			var got []string
			q := catalogclient.ChangesQuery{Cursor: start.Cursor, Filter: []string{"metadata.name=a"}}
			for len(got) < count {
				for change, err := range c.Follow(ctx, q) {
					if err != nil {
						t.Error(err)
						results <- got
						return
					}
					q.Cursor = change.Cursor
					if got = append(got, change.Entity.Get("spec", "owner").Text()); len(got)%3 == 0 || len(got) == count {
						break
					}
				}
			}
			results <- got
		}()
	}
	guest := b.As(t, "user:default/guest")
	var want []string
	for n := range count {
		owner := fmt.Sprint("owner-", n)
		want = append(want, owner)
		s.full(t, parse(t, component("a", owner)), parse(t, component("b", "x")))
		await(t, "the change to be served", func() bool {
			return exists(guest, "component/default/a") && entity(t, guest, "component/default/a")["spec"].(map[string]any)["owner"] == owner
		})
	}
	for range 5 {
		if got := <-results; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestEventStream looks at the stream as a browser sees it: heartbeats, and the end when the backend stops.
func TestEventStream(t *testing.T) {
	t.Parallel()
	s := &source{name: "s"}
	b := backendtest.Start(t, catalog.Plugin(), module(s), backendtest.Config(map[string]any{"backend": map[string]any{
		"auth": map[string]any{"dangerouslyDisableDefaultAuthPolicy": true}}}))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL()+"/api/catalog/changes", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") || res.Header.Get("Content-Encoding") != "" {
		t.Fatalf("status %d, %v", res.StatusCode, res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	next := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want || strings.HasSuffix(want, "…") && strings.HasPrefix(lines.Text(), strings.TrimSuffix(want, "…")) {
				return
			}
		}
		t.Fatalf("the stream has ended (%v) without %q", lines.Err(), want)
	}
	next("retry: 3000")
	next("id: 0")
	s.full(t, parse(t, component("a", "x")))
	next("id: 1")
	next("event: created")
	next(`data: {"cursor":"1","type":"created","entityRef":"component:default/a",…`)
	b.Clock.Advance(15 * time.Second)
	next(": alive")
	next("id: 1")
	if err := b.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("the backend does not stop well: %v", err)
	}
	for lines.Scan() {
		if lines.Text() != "" {
			t.Errorf("after the stop there is %q", lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream does not end well: %v", err)
	}
}

func database(section map[string]any) backend.Feature {
	return backendtest.Config(map[string]any{"backend": map[string]any{"database": section}})
}
