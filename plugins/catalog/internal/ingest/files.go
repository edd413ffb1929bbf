package ingest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The sizes up to which files are read: those with entities, of which one is in memory at a time, and those that become part of an entity.
const (
	maxEntityFile = 512 << 20
	maxTextFile   = 64 << 20
)

// A configured location may be any file: who writes the configuration runs the backend. What stands in such a file may come from others,
// a checkout for instance. So what it points to must be below the directory of the configured file or below the working directory of the process, and
// symbolic links must not lead out of there: nobody gets hold of other files of the machine by declaring entities.

// openFile opens a file that a location with the given origin points to, unless it is larger than the limit.
func openFile(name, origin string, limit int64) (io.ReadCloser, error) {
	f, err := findFile(name, origin)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular(): // the likes of /dev/zero have no size, and no end
		err = errors.New("it is not a regular file")
	case info.Size() > limit:
		err = fmt.Errorf("it has %d bytes, and may have %d MiB", info.Size(), limit>>20)
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// findFile opens a file that a location with the given origin may point to.
func findFile(name, origin string) (*os.File, error) {
	name = filepath.Clean(name)
	if name == filepath.Clean(origin) {
		return os.Open(name)
	}
	working, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Dir(filepath.Clean(origin)), working} {
		below, err := filepath.Rel(dir, name)
		if err != nil || below == ".." || strings.HasPrefix(below, ".."+string(filepath.Separator)) {
			continue
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		f, err := root.Open(below)
		return f, errors.Join(err, root.Close())
	}
	return nil, fmt.Errorf("it is outside of %s, where the registered location is, and of the working directory; add it to catalog.locations if it is meant", filepath.Dir(origin))
}

// readFile reads a file that a location with the given origin points to.
func readFile(name, origin string) (_ []byte, err error) {
	f, err := openFile(name, origin, maxTextFile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// resolveFile is the file that a relative path in the file base means.
func resolveFile(base, target string) string {
	if strings.HasPrefix(target, ".") {
		return filepath.Join(filepath.Dir(base), target)
	}
	return target
}
