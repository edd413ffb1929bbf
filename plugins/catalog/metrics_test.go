package catalog_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/plugins/catalog"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	one := &source{name: "one"}
	b := backendtest.Start(t, catalog.Plugin(), module(one), measured())
	one.full(t, parse(t, component("a", "team")))
	settle(t, b, 1)
	text := scrape(t, b)
	for _, want := range []string{
		`catalog_entities_count{kind="Component"`, `catalog_processed_entities_count_total{`, `catalog_processing_duration_seconds_count{`,
		`catalog_processors_duration_seconds_count{`, `le="0.0005"`, `catalog_processing_queue_delay_seconds_count`, `catalog_registered_locations_count`, `catalog_stitched_entities_count_total{`, `catalog_stitching_queue_length`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not measured:\n%s", want, text)
		}
	}
}

// scrapersToken is what [scrape] shows.
const scrapersToken = "a-token-for-scrapers"

// measured has a backend's metrics scraped.
func measured() backend.Feature {
	return backendtest.Config(map[string]any{"backend": map[string]any{"metrics": map[string]any{"prometheus": map[string]any{"token": scrapersToken}}}})
}

// scrape answers the metrics of a backend, as Prometheus has them.
func scrape(t *testing.T, b *backendtest.Backend) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+scrapersToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sum is the sum of a metric over all its labels.
func sum(t *testing.T, scraped, name string) (n int) {
	t.Helper()
	for line := range strings.Lines(scraped) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:len(line)-1], 64)
			if err != nil {
				t.Fatal(err)
			}
			n += int(value)
		}
	}
	return n
}
