package catalog_test

import (
	"context"
	"encoding/csv"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
)

func modelling(set func(catalog.Processing)) plugin.Module {
	return plugin.NewModule("catalog", "modelling", plugin.Init(func(p catalog.Processing) { set(p) }))
}

// readCSV reads Components of which each line has the name and the owner.
func readCSV(r io.Reader, _ string) iter.Seq2[catalogmodel.Entity, error] {
	return func(yield func(catalogmodel.Entity, error) bool) {
		lines := csv.NewReader(r)
		for {
			line, err := lines.Read()
			if err == io.EOF {
				return
			}
			var e catalogmodel.Entity
			if err == nil {
				e, err = catalogmodel.EntityOf(map[string]any{"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": map[string]any{"name": line[0]},
					"spec": map[string]any{"type": "x", "lifecycle": "x", "owner": line[1]}})
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// TestModulesChangeTheModel has modules read files of another format, allow other names, and hear of what goes wrong.
func TestModulesChangeTheModel(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var failed []string
	b := backendtest.Start(t, catalog.Plugin(), located(write(t, t.TempDir(), "all.csv", "a b,team\nc,team\nx/y,team\n")),
		modelling(func(p catalog.Processing) { p.SetEntityDataParser(readCSV) }),
		plugin.NewModule("catalog", "names", plugin.Init(func(p catalog.Processing) {
			p.SetFieldFormats(catalogmodel.Formats{Name: catalogmodel.Format{
				Valid: func(name string) bool { return !strings.Contains(name, "/") }, Allowed: "anything without slashes"}})
			p.OnProcessingError(func(_ context.Context, _ catalogmodel.Entity, f catalog.ProcessingErrors) {
				mu.Lock()
				defer mu.Unlock()
				for _, e := range f.Errors {
					failed = append(failed, f.Entity+" "+e.Message)
				}
			})
		})))
	c := settle(t, b, 3)
	if !exists(c, "component/default/a%20b") || !exists(c, "component/default/c") {
		t.Error("an entity of the file is missing")
	}
	await(t, "the error to be told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.ContainsFunc(failed, func(f string) bool {
			return strings.Contains(f, "x/y") && strings.Contains(f, "anything without slashes")
		})
	})
}

func TestModulesThatContradict(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set  func(catalog.Processing)
		want string
	}{
		"parsers": {func(p catalog.Processing) { p.SetEntityDataParser(readCSV); p.SetEntityDataParser(readCSV) }, "two modules set the parser"},
		"formats": {func(p catalog.Processing) {
			p.SetFieldFormats(catalogmodel.Formats{})
			p.SetFieldFormats(catalogmodel.Formats{})
		}, "two modules set the formats"},
	} {
		if _, err := backendtest.TryStart(t, catalog.Plugin(), modelling(test.set)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := backendtest.TryStart(t, catalog.Plugin(), analyzing(func(a catalog.Analysis) {
		a.SetLocationAnalyzer(unwilling{})
		a.SetLocationAnalyzer(unwilling{})
	})); err == nil || !strings.Contains(err.Error(), "two modules set the location analyzer") {
		t.Errorf("analyzers: %v", err)
	}
}
