package catalog_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/service"
)

// TestHistory has an entity change, go and come back, and looks at it and at the whole catalog at every moment.
func TestHistory(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		s := &source{name: "s"}
		var c *catalogclient.Client
		b := backendtest.Start(t, catalog.Plugin(), module(s), client(&c), database(section))
		ctx := t.Context()
		guest := b.As(t, "user:default/guest")
		owner := func() string {
			if !exists(guest, "component/default/a") {
				return ""
			}
			return entity(t, guest, "component/default/a")["spec"].(map[string]any)["owner"].(string)
		}
		beginning := b.Clock.Now()
		var moments []time.Time
		owners := []string{"one", "two", "", "three"}
		for n, next := range owners {
			b.Clock.Advance(time.Minute)
			entities := []catalogmodel.Entity{parse(t, component(fmt.Sprint("other-", n), "x"))}
			if next != "" {
				entities = append(entities, parse(t, component("a", next)))
			}
			s.full(t, entities...)
			await(t, "the change", func() bool { return owner() == next && exists(guest, fmt.Sprint("component/default/other-", n)) })
			moments = append(moments, b.Clock.Now())
		}
		a := catalogmodel.Ref{Kind: "Component", Name: "A"}
		var got []string
		q := catalogclient.HistoryQuery{Limit: 2, Entity: true, Previous: true, Diff: true}
		for {
			page, err := c.History(ctx, a, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range page.Items {
				line := fmt.Sprintf("%s %s: %q to %q", v.Type, v.At.Sub(beginning).Round(time.Second), v.Previous.Get("spec", "owner").Text(), v.Entity.Get("spec", "owner").Text())
				for _, op := range v.Diff {
					if op.Path == "/spec/owner" {
						line += " by " + op.Op + " " + op.Value.String()
					}
				}
				got = append(got, line)
			}
			if q.Cursor = page.Page.NextCursor; q.Cursor == "" {
				break
			}
		}
		expect(t, "history", got, `created 4m0s: "" to "three"`, `deleted 3m0s: "two" to ""`, `updated 2m0s: "one" to "two" by replace two`, `created 1m0s: "" to "one"`)
		if page, err := c.History(ctx, a, catalogclient.HistoryQuery{}); err != nil || len(page.Items) != 4 || !page.Items[0].Entity.IsZero() || page.Items[2].Diff != nil {
			t.Errorf("a history without details is %+v, %v", page, err)
		}
		if _, err := c.History(ctx, catalogmodel.Ref{Kind: "component", Name: "nope"}, q); !errors.Is(err, service.NotFoundError) {
			t.Errorf("the history of what never was: %v", err)
		}

		for n, want := range owners {
			at := moments[n].Add(30 * time.Second)
			e, err := c.EntityAt(ctx, a, at)
			if want == "" && !errors.Is(err, service.NotFoundError) || want != "" && (err != nil || e.Get("spec", "owner").Text() != want) {
				t.Errorf("a at %s is %s, %v, want one of %s", at, e, err, want)
			}
			all, err := c.EntitiesAt(ctx, at, "kind=component")
			var names []string
			for _, e := range all {
				names = append(names, e.Name()+" "+e.Get("spec", "owner").Text())
			}
			wanted := []string{fmt.Sprintf("other-%d x", n)}
			if want != "" {
				wanted = append([]string{"a " + want}, wanted...)
			}
			if err != nil {
				t.Error(err)
			}
			slices.Sort(names)
			expect(t, "the catalog at "+at.String(), names, wanted...)
		}
		if all, err := c.EntitiesAt(ctx, beginning); err != nil || len(all) != 0 {
			t.Errorf("at the beginning there were %v, %v", all, err)
		}

		at := "&at=" + moments[0].Add(30*time.Second).UTC().Format(time.RFC3339)
		facets := guest.Get("/api/catalog/entity-facets?facet=spec.owner" + at)
		if text := fmt.Sprint(backendtest.JSON[map[string]any](t, facets)); text != "map[facets:map[spec.owner:[map[count:1 value:one] map[count:1 value:x]]]]" {
			t.Errorf("the facets were %s", text)
		}
		list := guest.Get("/api/catalog/entities?limit=1" + at)
		next := list.Header.Get("Link")
		if len(backendtest.JSON[[]any](t, list)) != 1 || !strings.Contains(next, "&at=") {
			t.Errorf("the link to the next page is %s", next)
		}
		second := guest.Get("/api/catalog" + strings.TrimSuffix(strings.TrimPrefix(next, "<"), `>; rel="next"`))
		if names := backendtest.JSON[[]struct{ Metadata struct{ Name string } }](t, second); len(names) != 1 || names[0].Metadata.Name != "other-0" {
			t.Errorf("the second page is %+v", names)
		}
		for _, bad := range []string{"/entities?at=yesterday", "/entities/by-name/component/default/a?at=", "/entities/by-name/component/default/a/history?include=all",
			"/entities/by-name/component/default/a/history?limit=0"} {
			if res := guest.Get("/api/catalog" + bad); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: status %d", bad, res.StatusCode)
			}
		}
		long := moments[0].AddDate(-1, 0, 0).UTC().Format(time.RFC3339)
		if res := guest.Get("/api/catalog/entities?at=" + long); res.StatusCode != http.StatusOK || len(backendtest.JSON[[]any](t, res)) != 0 {
			t.Errorf("before the beginning: status %d", res.StatusCode)
		}
	})
}
