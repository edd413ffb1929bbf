package catalog_test

import (
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/catalogclient"
	"github.com/portico-dev/portico/plugins/catalog/internal/synthetic"
)

func exportedNames(t *testing.T, entities iter.Seq2[catalogmodel.Entity, error]) []string {
	t.Helper()
	var all []string
	for e, err := range entities {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name())
	}
	slices.Sort(all)
	return all
}

func TestBulk(t *testing.T) {
	t.Parallel()
	backendtest.EachDatabaseConfig(t, func(t *testing.T, section map[string]any) {
		s := &source{name: "s"}
		var c *catalogclient.Client
		b := backendtest.Start(t, catalog.Plugin(), module(s), client(&c), database(section))
		ctx := t.Context()
		s.full(t, parse(t, component("taken", "s")))
		settle(t, b, 1)

		entities, err := synthetic.Entities(1200) // more than a page of an export and a batch of an import
		if err != nil {
			t.Fatal(err)
		}
		report, err := c.Import(ctx, catalogclient.Import{Provider: "bulk", Full: true, Entities: slices.Values(entities)})
		if err != nil || report.Lines != 1200 || report.Accepted != 1200 || report.Failed != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		settle(t, b, 1201)
		cursor, exported, err := c.Export(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := exportedNames(t, exported); len(got) != 1201 {
			t.Errorf("%d entities were exported", len(got))
		}
		_, some, err := c.Export(ctx, "kind=user,metadata.name=user-7", "metadata.name=taken")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "a part", exportedNames(t, some), "taken", "user-7")

		// What was exported, imported again, changes nothing.
		var again []catalogmodel.Entity
		_, exported, err = c.Export(ctx, "kind=user,kind=group")
		if err != nil {
			t.Fatal(err)
		}
		for e := range exported {
			again = append(again, e)
		}
		if report, err := c.Import(ctx, catalogclient.Import{Provider: "bulk", Entities: slices.Values(again)}); err != nil || report.Accepted != len(again) {
			t.Errorf("%+v, %v", report, err)
		}
		if page, err := c.Changes(ctx, catalogclient.ChangesQuery{Cursor: cursor}); err != nil || len(page.Items) != 0 {
			t.Errorf("after the same again: %+v, %v", page, err)
		}

		// Bad lines keep no others back, and nothing is removed because of them.
		service := b.AsService(t, "external:ci")
		entity := func(name string) string {
			return fmt.Sprintf(`{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":%q,"annotations":{"backstage.io/managed-by-location":"file:/etc/x"}},"spec":{"type":"x","lifecycle":"x","owner":"x"}}`, name)
		}
		body := entity("one") + "\n\n{\n" + entity("no name") + "\n" + entity("taken") + "\r\n" + entity("one") + "\n" + `{"delete":"user:default/user-1"}` + "\n" +
			strings.Repeat(" ", 11<<20) + "\n" + entity("two")
		res := service.Post("/api/catalog/import?provider=bulk&mode=full", strings.NewReader(body))
		full := backendtest.JSON[catalogclient.ImportReport](t, res)
		var lines []int
		for _, e := range full.Errors {
			lines = append(lines, e.Line)
		}
		slices.Sort(lines)
		if res.StatusCode != http.StatusOK || fmt.Sprint(lines) != "[3 4 5 6 7 8]" || full.Failed != 6 || full.Accepted != 2 || !full.Kept || full.Removed != 0 {
			t.Errorf("status %d, %+v", res.StatusCode, full)
		}
		guest := settle(t, b, 1203)
		e := backendtest.JSON[struct {
			Metadata struct{ Annotations map[string]string }
		}](t, guest.Get("/api/catalog/entities/by-name/component/default/two"))
		if location := e.Metadata.Annotations[catalogmodel.AnnotationManagedByLocation]; location != "provider:import:bulk" {
			t.Errorf("the location of an imported entity is %q", location)
		}

		report, err = c.Import(ctx, catalogclient.Import{Provider: "bulk", Entities: slices.Values([]catalogmodel.Entity{parse(t, component("three", "x"))}),
			Removed: []catalogmodel.Ref{{Kind: "component", Name: "one"}, {Kind: "component", Name: "two"}}})
		if err != nil || report.Removed != 2 || report.Accepted != 1 {
			t.Errorf("%+v, %v", report, err)
		}
		settle(t, b, 1202)
		if report, err := c.Import(ctx, catalogclient.Import{Provider: "bulk", Full: true}); err != nil || report.Removed != 1201 {
			t.Errorf("%+v, %v", report, err)
		}
		settle(t, b, 1)

		if res := guest.Post("/api/catalog/import?provider=bulk&mode=full", strings.NewReader("")); res.StatusCode != http.StatusForbidden {
			t.Errorf("a user importing: status %d", res.StatusCode)
		}
		for _, bad := range []string{"", "?provider=bulk", "?mode=full", "?provider=a/b&mode=full", "?provider=bulk&mode=all"} {
			if res := service.Post("/api/catalog/import"+bad, strings.NewReader("")); res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: status %d", bad, res.StatusCode)
			}
		}
	})
}

// TestImportedEntitiesStay has a replica start anew.
func TestImportedEntitiesStay(t *testing.T) {
	t.Parallel()
	section := map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": t.TempDir()}}
	t.Run("import", func(t *testing.T) {
		var c *catalogclient.Client
		b := backendtest.Start(t, catalog.Plugin(), client(&c), database(section))
		if _, err := c.Import(t.Context(), catalogclient.Import{Provider: "bulk", Full: true, Entities: slices.Values([]catalogmodel.Entity{parse(t, component("a", "x"))})}); err != nil {
			t.Fatal(err)
		}
		settle(t, b, 1)
	})
	t.Run("start anew", func(t *testing.T) {
		settle(t, backendtest.Start(t, catalog.Plugin(), database(section)), 1)
	})
}
