package catalog_test

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/labstack/echo/v4"
	"github.com/uptrace/bun"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/backend/backendtest"
	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugin"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/synthetic"
	"github.com/portico-dev/portico/service"
	"github.com/portico-dev/portico/service/auditor"
	"github.com/portico-dev/portico/service/logger"
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

func run(b *testing.B, database map[string]any, features ...backend.Feature) *running {
	b.Helper()
	r := &running{source: source{name: "synthetic"}}
	// The log and the audit of tests keep everything.
	features = append(features, service.Root[service.RootLogger](func(cfg service.Config) (service.RootLogger, error) {
		return logger.New(cfg, logger.Options{Writer: io.Discard, Format: logger.FormatJSON})
	}))
	for _, s := range auditor.Services() {
		features = append(features, s)
	}
	r.Backend = backendtest.Start(b, append(features, catalog.Plugin(), module(&r.source),
		plugin.NewModule("catalog", "probe", plugin.Init(func(db *bun.DB) { r.db = db })),
		backendtest.Config(map[string]any{
			"backend": map[string]any{"database": database, "auth": map[string]any{"dangerouslyDisableDefaultAuthPolicy": true},
				"logger": map[string]any{"level": "info"}},
			"catalog": map[string]any{},
		}))...)
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
	for deadline := time.Now().Add(patience); total(b, client) < len(entities); time.Sleep(10 * time.Millisecond) { // asking costs time, too
		if time.Now().After(deadline) {
			b.Fatal("waited in vain for all entities to be served")
		}
	}
}

// BenchmarkIngest measures the time from the mutation of a provider to all entities being processed, stitched and served, also as a multiple of
// the time that it takes to insert the rows that are there in the end, and nothing else.
func BenchmarkIngest(b *testing.B) {
	for _, database := range benchDatabases {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", database.name, n), func(b *testing.B) {
				if n > 10_000 && testing.Short() {
					b.Skip("takes long")
				}
				entities := synthetics(b, n)
				var floor time.Duration
				for b.Loop() {
					b.StopTimer()
					r := run(b, database.make(b), service.Root[clockwork.Clock](clockwork.NewRealClock))
					b.StartTimer()
					r.ingest(b, entities)
					b.StopTimer()
					var bytes int64
					if err := r.db.NewRaw(database.size).Scan(b.Context(), &bytes); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(bytes)/float64(n), "db-B/entity")
					b.ReportMetric(float64(heap())/float64(n), "heap-B/entity")
					floor += insertRaw(b, r.db)
					b.StartTimer()
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entities/s")
				b.ReportMetric(b.Elapsed().Seconds()/floor.Seconds(), "x-floor")
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

// BenchmarkSteadyState measures processing entities once more that have not changed: the time of the processor, ours and the database's if it is
// embedded.
func BenchmarkSteadyState(b *testing.B) {
	for _, database := range benchDatabases {
		b.Run(database.name, func(b *testing.B) {
			const n = 10_000
			r := run(b, database.make(b))
			r.ingest(b, synthetics(b, n))
			begin := busy(b)
			for b.Loop() {
				r.Clock.Advance(time.Hour)
				await(b, "all entities to be processed", func() bool {
					var due int64
					if err := r.db.NewRaw("SELECT MIN(next_update_at) FROM refresh_state").Scan(b.Context(), &due); err != nil {
						b.Fatal(err)
					}
					return due > r.Clock.Now().UnixMilli()
				})
			}
			b.ReportMetric(float64((busy(b)-begin).Microseconds())/float64(b.N*n), "CPU-µs/entity")
		})
	}
}

// busy is the time that processors have spent on this process.
func busy(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkRestart measures the start of a catalog on a database with entities in it, until it is ready.
func BenchmarkRestart(b *testing.B) {
	for _, database := range benchDatabases {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", database.name, n), func(b *testing.B) {
				if n > 10_000 && testing.Short() {
					b.Skip("takes long")
				}
				config := database.make(b)
				first := run(b, config)
				first.ingest(b, synthetics(b, n))
				if err := first.Stop(b.Context()); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					r := run(b, config)
					b.StopTimer()
					b.ReportMetric(float64(heap())/float64(n), "heap-B/entity")
					if err := r.Stop(b.Context()); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			})
		}
	}
}

// requests are what is measured. The entities that they answer are in catalogs of 10,000 and more.
var requests = []struct{ name, method, path, body string }{
	{"by-name", "GET", "/entities/by-name/component/default/component-77", ""},
	{"by-refs of 50", "POST", "/entities/by-refs", `{"entityRefs":[` + fiftyRefs() + `]}`},
	{"list of 20", "GET", "/entities?limit=20&filter=kind=component", ""},
	{"ordered 20 with total", "GET", "/entities/by-query?limit=20&filter=kind=component&orderField=metadata.name,asc", ""},
	{"three filters", "GET", "/entities/by-query?limit=20&filter=kind=component,spec.type=service,spec.lifecycle=production,relations.ownedBy=group:default/group-3&orderField=metadata.name,asc", ""},
	{"text", "GET", "/entities/by-query?limit=20&fullTextFilterTerm=nent-12&fullTextFilterFields=metadata.name&orderField=metadata.name,asc", ""},
	{"three facets", "GET", "/entity-facets?filter=kind=component&facet=spec.type&facet=spec.lifecycle&facet=relations.ownedBy", ""},
}

func fiftyRefs() string {
	refs := make([]string, 50)
	for i := range refs {
		refs[i] = fmt.Sprintf("%q", fmt.Sprint("component:default/component-", i*100))
	}
	return strings.Join(refs, ",")
}

// BenchmarkRequests measures requests over HTTP, with eight at a time, and then as many to a bare Echo that has the same answer ready. Logging is
// as in production, but for where it goes to. The time of processors is that of both sides.
func BenchmarkRequests(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := run(b, benchDatabases[0].make(b))
			r.ingest(b, synthetics(b, n))
			for _, request := range requests {
				b.Run(request.name, func(b *testing.B) { measure(b, r.URL()+"/api/catalog"+request.path, request.method, request.body) })
			}
		})
	}
}

func measure(b *testing.B, url, method, body string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var answer bytes.Buffer
	if err := ask(client, url, method, body, &answer); err != nil {
		b.Fatal(err)
	}
	floor := serveReady(b, answer.Bytes())
	b.ResetTimer()
	took, used := askOften(b, client, url, method, body)
	b.StopTimer()
	leastTook, leastUsed := askOften(b, client, floor, method, body)
	b.ReportMetric(float64(b.N)/took.Seconds(), "requests/s")
	b.ReportMetric(float64(b.N)/leastTook.Seconds(), "echo-requests/s")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "CPU-µs/request")
	b.ReportMetric(float64(leastUsed.Microseconds())/float64(b.N), "echo-CPU-µs/request")
}

// askOften makes b.N requests, and answers how long that took and the time of processors.
func askOften(b *testing.B, client *http.Client, url, method, body string) (took, used time.Duration) {
	b.SetParallelism(max(1, 8/runtime.GOMAXPROCS(0)))
	begin, before := time.Now(), busy(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := ask(client, url, method, body, io.Discard); err != nil {
				b.Error(err)
			}
		}
	})
	return time.Since(begin), busy(b) - before
}

// ask makes a request.
func ask(client *http.Client, url, method, body string, answer io.Writer) (err error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body)) //nolint:noctx // it ends with the benchmark
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	_, err = io.Copy(answer, res.Body)
	return err
}

// serveReady serves an answer by an Echo without anything else.
func serveReady(b *testing.B, answer []byte) (url string) {
	b.Helper()
	e := echo.New()
	e.Any("/", func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(answer)))
		return c.Blob(http.StatusOK, "application/json; charset=utf-8", answer)
	})
	server := httptest.NewServer(e)
	b.Cleanup(server.Close)
	return server.URL
}

// BenchmarkWholeCatalog reads all entities in one request.
func BenchmarkWholeCatalog(b *testing.B) {
	r := run(b, benchDatabases[0].make(b))
	r.ingest(b, synthetics(b, 10_000))
	for b.Loop() {
		res, err := http.Get(r.URL() + "/api/catalog/entities") //nolint:noctx // it ends with the benchmark
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("status %d, %v", res.StatusCode, err)
		}
		if err := res.Body.Close(); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
	}
}

// heap is the memory in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
