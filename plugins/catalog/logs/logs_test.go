package logs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/logs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestErrorsAreLogged(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "catalog-info.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: bad }\nspec: { type: 1 }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := backendtest.Start(t, catalog.Plugin(), logs.Module(), backendtest.Config(map[string]any{
		"catalog": map[string]any{"locations": []any{map[string]any{"type": "file", "target": file}}},
	}))
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(time.Minute); ; {
		for _, entry := range b.Log.Entries() {
			if entry.Level == "warn" && entry.Plugin == "catalog" && entry.Fields["name"] == "InputError" {
				who, _ := entry.Fields["entity"].(string)
				if who != "component:default/bad" || entry.Fields["location"] != "file:"+file ||
					!strings.HasPrefix(entry.Message, file+":4: entity component:default/bad is not valid: ") {
					t.Errorf("logged %v", entry.Fields)
				}
				return
			}
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("nothing was logged")
		}
	}
}
