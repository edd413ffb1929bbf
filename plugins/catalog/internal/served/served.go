// Package served looks at what a catalog serves, in tests of its modules. It waits for a minute at most: what comes in milliseconds may take
// long where others need the machine.
package served

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
)

// Await waits until a condition holds.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Entities waits until the catalog serves so many entities, and answers them by their refs.
func Entities(t testing.TB, b *backendtest.Backend, n int) (found map[string]catalogmodel.Entity) {
	t.Helper()
	c := guest(t, b)
	defer func() {
		if t.Failed() {
			t.Logf("the catalog has %q", slices.Sorted(maps.Keys(found)))
		}
	}()
	Await(t, fmt.Sprint(n, " entities"), func() bool {
		found = map[string]catalogmodel.Entity{}
		for _, e := range backendtest.JSON[[]catalogmodel.Entity](t, c.Get("/api/catalog/entities")) {
			found[e.Ref().String()] = e
		}
		return len(found) == n
	})
	return found
}

// Entity is the entity with the ref, or nil.
func Entity(t testing.TB, b *backendtest.Backend, ref string) map[string]any {
	t.Helper()
	return get(t, guest(t, b), ref)
}

// Part waits until the part of an entity at the path is as wanted, as JSON.
func Part(t testing.TB, b *backendtest.Backend, ref, want string, path ...string) {
	t.Helper()
	c := guest(t, b)
	var got string
	defer func() {
		if t.Failed() {
			t.Logf("%s of %s is %s", strings.Join(path, "."), ref, got)
		}
	}()
	Await(t, fmt.Sprintf("%s of %s to be %s", strings.Join(path, "."), ref, want), func() bool {
		var v any = get(t, c, ref)
		for _, key := range path {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		text, _ := json.Marshal(v) // it has just been decoded
		got = string(text)
		return got == want
	})
}

// Gone waits until there is no such entity. Orphans are deleted from time to time.
func Gone(t testing.TB, b *backendtest.Backend, ref string) {
	t.Helper()
	c := guest(t, b)
	Await(t, ref+" to go", func() bool {
		b.Clock.Advance(time.Minute)
		return get(t, c, ref) == nil
	})
}

// Targets waits until these are the targets of all Locations, without the server's URL, in their order.
func Targets(t testing.TB, b *backendtest.Backend, server string, want ...string) {
	t.Helper()
	c := guest(t, b)
	var got []string
	defer func() {
		if t.Failed() {
			t.Logf("the targets are %q", got)
		}
	}()
	Await(t, fmt.Sprintf("the targets %q", want), func() bool {
		got = nil
		for _, e := range backendtest.JSON[[]catalogmodel.Entity](t, c.Get("/api/catalog/entities?filter=kind=location&order=asc:spec.target")) {
			got = append(got, strings.TrimPrefix(e.Get("spec", "target").Text(), server))
		}
		return slices.Equal(got, want)
	})
}

// Like compares a part of an entity with JSON, without regard to the order of fields.
func Like(t testing.TB, what string, got catalogmodel.Value, want string) {
	t.Helper()
	text := func(raw []byte) string {
		var x any
		if err := json.Unmarshal(raw, &x); err != nil {
			t.Fatal(err)
		}
		out, _ := json.Marshal(x) // it has just been decoded
		return string(out)
	}
	if g, w := text(got.AppendJSON(nil)), text([]byte(want)); g != w {
		t.Errorf("%s is\n%s, want\n%s", what, g, w)
	}
}

func guest(t testing.TB, b *backendtest.Backend) *backendtest.Client {
	return b.As(t, "user:default/guest")
}

func get(t testing.TB, c *backendtest.Client, ref string) map[string]any {
	t.Helper()
	kind, name, _ := strings.Cut(ref, ":")
	res := c.Get("/api/catalog/entities/by-name/" + kind + "/" + name)
	if res.StatusCode == http.StatusNotFound {
		return nil
	}
	return backendtest.JSON[map[string]any](t, res)
}
