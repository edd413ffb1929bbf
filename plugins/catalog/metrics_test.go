package catalog_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	const token = "a-token-for-scrapers"
	one := &source{name: "one"}
	b := backendtest.Start(t, catalog.Plugin(), module(one),
		backendtest.Config(map[string]any{"backend": map[string]any{"metrics": map[string]any{"prometheus": map[string]any{"token": token}}}}))
	one.full(t, parse(t, component("a", "team")))
	settle(t, b, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`catalog_entities_count{kind="Component"`, `catalog_processed_entities_count_total{`, `catalog_processing_duration_seconds_count{`,
		`catalog_registered_locations_count`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not measured:\n%s", want, text)
		}
	}
}
