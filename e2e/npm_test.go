package e2e_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// install returns a directory in which npm has installed the package, in the version of the release. It is kept for later runs. Without
// Node, or without a registry, the test is skipped, or fails if PORTICO_TEST_REQUIRE is all.
func install(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		skip(t, "Node is not installed: %v", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "portico-e2e", published+"-"+strings.NewReplacer("@", "", "/", "-").Replace(name))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		t.Fatal(err)
	}
	// Others may be about to do the same: it becomes visible as a whole.
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "install-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--before="+published, "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", fresh, name)
	if out, err := cmd.CombinedOutput(); err != nil {
		skip(t, "npm can't install %s: %v\n%s", name, err, out)
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, known := os.Stat(dir); known != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// skip skips the test, unless everything is required.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("PORTICO_TEST_REQUIRE") == "all" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
