package catalog_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/synthetic"
)

// benchDatabases are the databases that benchmarks run on, each new and empty.
var benchDatabases = []struct {
	name string
	make func(b *testing.B) map[string]any
	size string // a query for the bytes of the database
}{
	{"SQLite", func(b *testing.B) map[string]any {
		return map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": b.TempDir()}}
	}, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"},
	{"PostgreSQL", newPostgres, "SELECT pg_database_size(current_database())"},
}

func newPostgres(b *testing.B) map[string]any {
	address := os.Getenv("PORTICO_TEST_POSTGRES")
	if address == "" {
		address = "postgres://postgres@127.0.0.1:5432"
	}
	server, err := sql.Open("pgx", address)
	if err != nil {
		b.Fatal(err)
	}
	if err := server.PingContext(b.Context()); err != nil {
		b.Skip(err)
	}
	prefix := "portico_bench_" + strings.ToLower(rand.Text()[:10]) + "_"
	b.Cleanup(func() {
		if _, err := server.Exec(`DROP DATABASE "` + prefix + `catalog" WITH (FORCE)`); err != nil {
			b.Error(err)
		}
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	})
	return map[string]any{"client": "pg", "connection": address, "prefix": prefix}
}

// synthetics are n synthetic entities.
func synthetics(b *testing.B, n int) []catalogmodel.Entity {
	b.Helper()
	entities, err := synthetic.Entities(n)
	if err != nil {
		b.Fatal(err)
	}
	return entities
}

// running is a catalog on a database of its own.
type running struct {
	*backendtest.Backend
	source source
	db     *bun.DB
}

func run(b *testing.B, database map[string]any) *running {
	b.Helper()
	r := &running{source: source{name: "synthetic"}}
	r.Backend = backendtest.Start(b, catalog.Plugin(), module(&r.source),
		plugin.NewModule("catalog", "probe", plugin.Init(func(db *bun.DB) { r.db = db })),
		backendtest.Config(map[string]any{
			"backend": map[string]any{"database": database, "auth": map[string]any{"dangerouslyDisableDefaultAuthPolicy": true},
				"logger": map[string]any{"level": "warn"}},
			"catalog": map[string]any{"processingInterval": false},
		}))
	return r
}

// ingest brings the entities and waits until all are served in their final form.
func (r *running) ingest(b *testing.B, entities []catalogmodel.Entity) {
	b.Helper()
	if err := r.source.conn.ApplyMutation(b.Context(), catalog.FullMutation(entities...)); err != nil {
		b.Fatal(err)
	}
	// Entities are served when they are final: with all relations, for nothing is stitched before everything is processed.
	client := r.As(b, "user:default/guest")
	await(b, "all entities to be served", func() bool { return total(b, client) == len(entities) })
}

// BenchmarkIngest measures the time from the mutation of a provider to all entities being processed, stitched and served.
func BenchmarkIngest(b *testing.B) {
	for _, database := range benchDatabases {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", database.name, n), func(b *testing.B) {
				if n > 10_000 && testing.Short() {
					b.Skip("takes long")
				}
				entities := synthetics(b, n)
				for b.Loop() {
					b.StopTimer()
					r := run(b, database.make(b))
					b.StartTimer()
					r.ingest(b, entities)
					b.StopTimer()
					var bytes int64
					if err := r.db.NewRaw(database.size).Scan(b.Context(), &bytes); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(bytes)/float64(n), "db-B/entity")
					b.ReportMetric(float64(heap())/float64(n), "heap-B/entity")
					b.StartTimer()
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entities/s")
			})
		}
	}
}

// BenchmarkSameAgain measures a full mutation that changes nothing.
func BenchmarkSameAgain(b *testing.B) {
	for _, database := range benchDatabases {
		b.Run(database.name, func(b *testing.B) {
			entities := synthetics(b, 10_000)
			r := run(b, database.make(b))
			r.ingest(b, entities)
			for b.Loop() {
				if err := r.source.conn.ApplyMutation(b.Context(), catalog.FullMutation(entities...)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRequests measures requests over HTTP, with eight at a time.
func BenchmarkRequests(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := run(b, benchDatabases[0].make(b))
			r.ingest(b, synthetics(b, n))
			refs := make([]string, 50)
			for i := range refs {
				refs[i] = fmt.Sprintf("%q", fmt.Sprint("component:default/component-", i*100))
			}
			for _, request := range []struct{ name, method, path, body string }{
				{"by-name", "GET", "/entities/by-name/component/default/component-77", ""},
				{"by-refs of 50", "POST", "/entities/by-refs", `{"entityRefs":[` + strings.Join(refs, ",") + `]}`},
				{"list of 20", "GET", "/entities?limit=20&filter=kind=component", ""},
				{"ordered 20 with total", "GET", "/entities/by-query?limit=20&filter=kind=component&orderField=metadata.name,asc", ""},
				{"three filters", "GET", "/entities/by-query?limit=20&filter=kind=component,spec.type=service,spec.lifecycle=production,relations.ownedBy=group:default/group-3&orderField=metadata.name,asc", ""},
				{"text", "GET", "/entities/by-query?limit=20&fullTextFilterTerm=nent-12&fullTextFilterFields=metadata.name&orderField=metadata.name,asc", ""},
				{"three facets", "GET", "/entity-facets?filter=kind=component&facet=spec.type&facet=spec.lifecycle&facet=relations.ownedBy", ""},
			} {
				b.Run(request.name, func(b *testing.B) { serve(b, r.URL()+"/api/catalog"+request.path, request.method, request.body) })
			}
		})
	}
}

func serve(b *testing.B, url, method, body string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}}
	defer client.CloseIdleConnections()
	b.SetParallelism(max(1, 8/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequest(method, url, strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			res, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
				b.Errorf("status %d, %v", res.StatusCode, err)
			}
			if err := res.Body.Close(); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// heap is the memory in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
