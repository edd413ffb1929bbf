package catalog_test

import (
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

// TestStitchingStrategy has the forms of Backstage's setting, which are accepted.
func TestStitchingStrategy(t *testing.T) {
	t.Parallel()
	for name, strategy := range map[string]map[string]any{
		"a mode":                 {"mode": "deferred"},
		"durations":              {"pollingInterval": map[string]any{"seconds": 1}, "stitchTimeout": map[string]any{"minutes": 1}},
		"durations of one field": {"pollingInterval": "1s", "stitchTimeout": "PT1M"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := backendtest.Start(t, catalog.Plugin(), backendtest.Config(map[string]any{"catalog": map[string]any{"stitchingStrategy": strategy}}))
			if n := strings.Count(b.Log.String(), "catalog.stitchingStrategy has no effect"); n != 1 {
				t.Errorf("it is said %d times", n)
			}
		})
	}
}
