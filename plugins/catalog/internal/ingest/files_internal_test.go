package ingest

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesThatGrow has files that have become larger than they may be when they are read.
func TestFilesThatGrow(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	name := filepath.Join(t.TempDir(), "file")
	for size, want := range map[int64]string{limit: "", limit + 1: "it has grown while it was read, and may have 1 MiB"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := openFile(name, name, limit)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		if want == "" && (err != nil || int64(len(content)) != size) {
			t.Errorf("of %d bytes, %d are read: %v", size, len(content), err)
		} else if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("of %d bytes: error is %v, want %q", size, err, want)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
