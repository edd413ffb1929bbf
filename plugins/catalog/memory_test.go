package catalog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portico-dev/portico/backend"
	"github.com/portico-dev/portico/plugins/catalog"
	"github.com/portico-dev/portico/plugins/catalog/internal/synthetic"
	"github.com/portico-dev/portico/service/config"
)

// memoryVariable has the directory of the databases of a process that BenchmarkMemory measures. It makes this test's program that process.
const memoryVariable = "PORTICO_TEST_MEMORY"

// memoryProviderVariable has the number of entities that a provider brings in that process, all at once.
const memoryProviderVariable = "PORTICO_TEST_MEMORY_PROVIDER"

// memoryToken is that with which the benchmark imports.
const memoryToken = "the-token-of-the-memory-benchmark"

// BenchmarkMemory measures the memory of a process that serves 100,000 entities, which are imported or which a provider makes in that process and
// brings in one mutation: what is resident at most until all are served, after requests, and at most in all; and what is live in the end, which
// doesn't depend on GOGC.
func BenchmarkMemory(b *testing.B) {
	if testing.Short() {
		b.Skip("takes long")
	}
	if runtime.GOOS != "linux" {
		b.Skip("asks Linux what is resident")
	}
	b.Run("Import", func(b *testing.B) { measureMemory(b, false) })
	b.Run("Provider", func(b *testing.B) { measureMemory(b, true) })
}

func measureMemory(b *testing.B, provider bool) {
	const n = 100_000
	for b.Loop() {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), memoryVariable+"="+b.TempDir())
		if provider {
			cmd.Env = append(cmd.Env, memoryProviderVariable+"="+strconv.Itoa(n))
		}
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		url := "http:" + said(b, lines, "http:")
		if !provider {
			load(b, url, n)
		}
		for !strings.Contains(fetch(b, url+"/api/catalog/entities/by-query?limit=0"), fmt.Sprintf(`"totalItems":%d,`, n)) {
			time.Sleep(100 * time.Millisecond)
		}
		b.ReportMetric(resident(b, cmd.Process.Pid, "VmHWM"), "ingest-peak-MB")
		for _, request := range requests {
			if request.method == http.MethodGet {
				fetch(b, url+"/api/catalog"+request.path)
			}
		}
		fetch(b, url+"/api/catalog/entities")
		b.ReportMetric(resident(b, cmd.Process.Pid, "VmRSS"), "serving-MB")
		b.ReportMetric(resident(b, cmd.Process.Pid, "VmHWM"), "peak-MB")
		if err := stdin.Close(); err != nil {
			b.Fatal(err)
		}
		live, err := strconv.ParseFloat(said(b, lines, "live "), 64)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(live/n, "live-B/entity")
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

// said waits for a line that begins with the prefix, and answers the rest of it.
func said(b *testing.B, lines *bufio.Scanner, prefix string) string {
	b.Helper()
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return rest
		}
	}
	b.Fatalf("the process ended before it said %q: %v", prefix, lines.Err())
	return ""
}

// fetch answers the beginning of what is at the URL, all of which is read.
func fetch(b *testing.B, url string) string {
	b.Helper()
	res, err := http.Get(url) //nolint:noctx // it ends with the benchmark
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	begin, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("%s: status %d, %v", url, res.StatusCode, err)
	}
	return string(begin)
}

// resident is a figure of a process in megabytes: VmRSS for now, VmHWM for the most so far.
func resident(b *testing.B, pid int, figure string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), figure+":")
	var kilobytes float64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil {
		b.Fatal(err)
	}
	return kilobytes / 1024
}

// load imports entities into the catalog at the URL, so that its process doesn't have all of them in memory already for having made them.
func load(b *testing.B, url string, n int) {
	b.Helper()
	read, write := io.Pipe()
	go func() {
		var err error
		for _, e := range synthetics(b, n) {
			if _, err = write.Write(append(e.AppendJSON(nil), '\n')); err != nil {
				break
			}
		}
		_ = write.CloseWithError(err)
	}()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/api/catalog/import?provider=synthetic&mode=full", read)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+memoryToken)
	req.Header.Set("Content-Type", "application/x-ndjson")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		b.Fatalf("status %d, %s, %v", res.StatusCode, answer, err)
	}
}

// serveMemory is the program of the process that BenchmarkMemory measures: a portal that serves until its standard input ends, and then says how
// many bytes are live in its heap.
func serveMemory(dir string) error {
	b := backend.New(backend.Options{Config: config.Options{Dir: dir, Overrides: map[string]any{
		"backend": map[string]any{
			"listen":   map[string]any{"host": "127.0.0.1", "port": 0},
			"database": map[string]any{"client": "better-sqlite3", "connection": map[string]any{"directory": dir}},
			"auth": map[string]any{"dangerouslyDisableDefaultAuthPolicy": true, "externalAccess": []any{
				map[string]any{"type": "static", "options": map[string]any{"token": memoryToken, "subject": "load"}}}},
			"logger": map[string]any{"level": "error"},
		},
	}}})
	s := source{name: "synthetic"}
	b.Add(catalog.Plugin(), module(&s))
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		return err
	}
	if n, err := strconv.Atoi(os.Getenv(memoryProviderVariable)); err == nil {
		entities, err := synthetic.Entities(n)
		if err == nil {
			err = s.conn.ApplyMutation(ctx, catalog.FullMutation(entities...))
		}
		if err != nil {
			return errors.Join(err, b.Stop(ctx))
		}
	}
	fmt.Println(b.URL())
	_, err := io.Copy(io.Discard, os.Stdin)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println("live", m.HeapAlloc)
	return errors.Join(err, b.Stop(ctx))
}
