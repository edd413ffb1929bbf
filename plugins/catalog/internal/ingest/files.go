package ingest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"
)

// The sizes up to which files are read: those with entities, of which one is in memory at a time, and those that become part of an entity.
const (
	maxEntityFile = 512 << 20
	maxTextFile   = 64 << 20
)

// A configured location may be any file: who writes the configuration runs the backend. What stands in such a file may come from others,
// a checkout for instance. So what it points to must be below the directory of the configured file or below the working directory of the process, and
// symbolic links must not lead out of there: nobody gets hold of other files of the machine by declaring entities.

// openFlag is how files are opened: without waiting for somebody to write to a named pipe, which is refused then.
const openFlag = os.O_RDONLY | syscall.O_NONBLOCK

// openFile opens a file that a location with the given origin points to, unless it is larger than the limit. Reading fails if it has become larger
// meanwhile.
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
		return &bounded{ReadCloser: f, limit: limit}, nil
	}
	return nil, errors.Join(err, f.Close())
}

// bounded is a file of which no more than a limit can be read.
type bounded struct {
	io.ReadCloser
	read, limit int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.read += int64(n); b.read > b.limit {
		return 0, fmt.Errorf("it has grown while it was read, and may have %d MiB", b.limit>>20)
	}
	return n, err
}

// findFile opens a file that a location with the given origin may point to.
func findFile(name, origin string) (*os.File, error) {
	if name = filepath.Clean(name); name == filepath.Clean(origin) {
		return os.OpenFile(name, openFlag, 0)
	}
	dir, below, err := readable(name, origin)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(below, openFlag, 0)
	return f, errors.Join(err, root.Close())
}

// readable is the directory, below which a location with the given origin may point to files, that has a path, and the path relative to it.
func readable(name, origin string) (dir, below string, err error) {
	working, err := os.Getwd()
	if err != nil {
		return "", "", err
	}
	start := filepath.Dir(filepath.Clean(origin))
	if isPattern(origin) {
		start, _ = splitPattern(origin)
	}
	for _, dir := range []string{start, working} {
		below, err := filepath.Rel(dir, name)
		if err == nil && filepath.IsLocal(below) {
			return dir, below, nil
		}
	}
	return "", "", fmt.Errorf("it is outside of %s, where the registered location is, and of the working directory; add it to catalog.locations if it is meant", start)
}

// matchFiles are the files that a target means, which is a path or a pattern of paths: for a location with the given origin.
func matchFiles(target, origin string) ([]string, error) {
	if !isPattern(target) {
		return []string{target}, nil
	}
	base, pattern := splitPattern(target)
	dir, below, err := readable(base, origin)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := doublestar.Glob(root.FS(), path.Join(filepath.ToSlash(below), pattern), doublestar.WithFilesOnly())
	for i, name := range names {
		names[i] = filepath.Join(dir, filepath.FromSlash(name))
	}
	return names, errors.Join(err, root.Close())
}

// isPattern tells whether a target is a pattern, such as ./components/*.yaml, and not a file of that very name.
func isPattern(target string) bool {
	if !strings.ContainsAny(target, "*?[{") {
		return false
	}
	_, err := os.Lstat(target)
	return isMissing(err)
}

// splitPattern parts a pattern from the directory that it is below.
func splitPattern(target string) (dir, pattern string) {
	dir, pattern = doublestar.SplitPattern(filepath.ToSlash(filepath.Clean(target)))
	return filepath.FromSlash(dir), pattern
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
