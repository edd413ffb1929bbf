//go:build unix

package catalog_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/unprocessed"
)

// TestFilesThatAreNone has configured locations, a Location and a placeholder lead to named pipes, to which nobody writes, and to a device.
func TestFilesThatAreNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	file := write(t, dir, "all.yaml", component("good", "team")+
		"---\napiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: { name: points }\nspec: { targets: [./pipe.yaml] }\n"+
		"---\napiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: { name: defined }\n"+
		"spec: { type: openapi, lifecycle: production, owner: team, definition: { $text: ./pipe.yaml } }\n")
	b := backendtest.Start(t, catalog.Plugin(), unprocessed.Module(), located(file, pipe, "/dev/zero"))
	c := b.As(t, "user:default/guest")
	var failed map[string]string
	await(t, "the errors", func() bool {
		failed = failures(t, c)
		return len(failed) == 4
	})
	all := strings.Join(slices.Collect(maps.Values(failed)), "\n")
	for want, times := range map[string]int{
		"file " + pipe + " could not be read: it is not a regular file": 2, // as it is configured, and as the Location points there
		"file /dev/zero could not be read: it is not a regular file":    1,
		"it is not a regular file":                                      4,
	} {
		if n := strings.Count(all, want); n != times {
			t.Errorf("%q is said %d times, not %d:\n%s", want, n, times, all)
		}
	}
	await(t, "the good one", func() bool { return exists(c, "component/default/good") })
}
