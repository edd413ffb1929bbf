package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkReady measures from the start of the portal's process, on existing SQLite files, until its readiness is 200, and the memory that
// it then has resident. The floor is a process of the same binary that only prints its help.
func BenchmarkReady(b *testing.B) {
	data := b.TempDir()
	binary := filepath.Join(data, "portal")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	port := freePort(b)
	url := "http://127.0.0.1:" + port + "/.backstage/health/v1/readiness"
	_, _, stop := ready(b, binary, data, port, url) // makes the files
	stop()
	var took, floor time.Duration
	var resident int
	for b.Loop() {
		t, kilobytes, stop := ready(b, binary, data, port, url)
		stop()
		took += t
		resident = max(resident, kilobytes)
		began := time.Now()
		if err := exec.CommandContext(b.Context(), binary, "--help").Run(); err != nil {
			b.Fatal(err)
		}
		floor += time.Since(began)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds()*1000/float64(b.N), "ms/ready")
	b.ReportMetric(took.Seconds()/floor.Seconds(), "x-floor")
	b.ReportMetric(float64(resident)/1024, "MiB-resident")
}

// ready starts the portal and returns how long it took to be ready, its resident memory in KiB, and a function that stops it.
func ready(b *testing.B, binary, data, port, url string) (took time.Duration, kilobytes int, stop func()) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), `APP_CONFIG_backend_listen="127.0.0.1:`+port+`"`, "APP_CONFIG_backend_database_connection_directory="+data)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for {
		if res, err := http.Get(url); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
		}
		if ctx.Err() != nil {
			b.Fatal("the portal is not ready after a minute")
		}
	}
	took = time.Since(began)
	status, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
	if err == nil { // only Linux tells
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		kilobytes, _ = strconv.Atoi(strings.Fields(rest)[0])
	}
	return took, kilobytes, func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		cancel()
	}
}

// freePort is a port that nobody listens on.
func freePort(b *testing.B) string {
	b.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
