package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/portico-dev/portico/service/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes the files in a new directory.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		put(t, filepath.Join(dir, name), content)
	}
	return dir
}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// mustLoad loads the files, of which app-config.yaml is one, with the environment.
func mustLoad(t testing.TB, files map[string]string, env ...string) *config.Store {
	t.Helper()
	s, err := config.Load(t.Context(), config.Options{Dir: write(t, files), Env: append([]string{"_="}, env...)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// problems are those of an error, one on a line.
func problems(t testing.TB, err error) []string {
	t.Helper()
	var e *config.Error
	if !errors.As(err, &e) {
		if err != nil {
			t.Fatalf("%T: %v", err, err)
		}
		return nil
	}
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return lines
}
