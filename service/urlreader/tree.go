package urlreader

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"sync"

	"github.com/portico-dev/portico/service"
)

// errRead is the error of a tree that is read a second time.
var errRead = errors.New("the tree has been read already: its content arrives only once")

// Tree is the service.URLTree of an archive or of a list of files.
type Tree struct {
	etag    string
	entries iter.Seq2[*entry, error]
	close   func() error

	mu   sync.Mutex
	read bool
}

// NewTree makes a tree of files, for a [Source] that has no archives. release, which may be nil, is called when the tree is closed.
func NewTree(etag string, files iter.Seq2[service.URLTreeFile, error], release func() error) *Tree {
	entries := func(yield func(*entry, error) bool) {
		for f, err := range files {
			if err != nil {
				yield(nil, err)
				return
			}
			clean, err := cleanPath(f.Path)
			if err != nil {
				yield(nil, service.InputError.Errorf("a path leads out of the tree: %q", f.Path))
				return
			}
			if clean == "" {
				continue
			}
			if !yield(&entry{path: clean, size: f.Size, mode: f.Mode, modified: f.LastModified, body: f.Body}, nil) {
				return
			}
		}
	}
	return &Tree{etag: etag, entries: entries, close: release}
}

// bound has the files of the tree fail where they exceed the limits.
func (t *Tree) bound(subject string, limits Limits) {
	u := &unpacking{subject: subject, limits: limits}
	inner := t.entries
	t.entries = func(yield func(*entry, error) bool) {
		for e, err := range inner {
			if err == nil {
				_, _, err = u.admit(e.path, e.size, false)
			}
			if err == nil {
				// What a list says about sizes may be outdated.
				e.body = &boundedReader{r: limitReader(e.body, limits.MaxFileSize, subject+": "+e.path), archive: u}
				if u.total+e.size > limits.MaxTreeSize {
					err = u.tooLarge()
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// ETag implements service.URLTree.
func (t *Tree) ETag() string { return t.etag }

// once tells whether the tree has not been read.
func (t *Tree) once() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.read
	t.read = true
	return !was
}

// Files implements service.URLTree.
func (t *Tree) Files() iter.Seq2[service.URLTreeFile, error] {
	return func(yield func(service.URLTreeFile, error) bool) {
		if !t.once() {
			yield(service.URLTreeFile{}, errRead)
			return
		}
		for e, err := range t.entries {
			if err != nil {
				yield(service.URLTreeFile{}, err)
				return
			}
			if e.link != "" {
				continue
			}
			if !yield(service.URLTreeFile{Path: e.path, Size: e.size, Mode: e.mode, LastModified: e.modified, Body: e.body}, nil) {
				return
			}
		}
	}
}

// Close implements service.URLTree.
func (t *Tree) Close() error {
	if t.close == nil {
		return nil
	}
	return t.close()
}

// Extract implements service.URLTree.
func (t *Tree) Extract(dir string) error {
	if !t.once() {
		return errRead
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("extracting a tree: %w", err)
	}
	defer root.Close()
	x := extraction{root: root, made: map[string]bool{".": true}}
	var links []*entry
	for e, err := range t.entries {
		if err != nil {
			return err
		}
		if e.link != "" {
			// Links are made at the end, so that no file is written through one.
			links = append(links, e)
			continue
		}
		if err := x.file(e); err != nil {
			return fmt.Errorf("extracting %s: %w", e.path, err)
		}
	}
	return x.links(links)
}

// extraction writes a tree below a root, which nothing can leave.
type extraction struct {
	root *os.Root
	made map[string]bool
	buf  []byte
}

func (x *extraction) parent(name string) error {
	dir := path.Dir(name)
	if x.made[dir] {
		return nil
	}
	if err := x.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for ; !x.made[dir]; dir = path.Dir(dir) {
		x.made[dir] = true
	}
	return nil
}

func (x *extraction) file(e *entry) error {
	if err := x.parent(e.path); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if e.mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := x.root.OpenFile(e.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if x.buf == nil {
		x.buf = make([]byte, 128<<10)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{e.body}, x.buf)
	return errors.Join(err, f.Close())
}

// links makes symbolic links, and removes those again that lead nowhere or out of the root. Only when all are there can be told
// where one leads, since links may lead through links.
func (x *extraction) links(all []*entry) error {
	var made []string
	for _, e := range all {
		if path.IsAbs(e.link) {
			continue
		}
		if err := x.parent(e.path); err != nil {
			return fmt.Errorf("extracting %s: %w", e.path, err)
		}
		if err := x.root.Symlink(e.link, e.path); err != nil {
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			return fmt.Errorf("extracting the link %s: %w", e.path, err)
		}
		made = append(made, e.path)
	}
	// Removing a link may leave another one dangling, so this is repeated until nothing changes.
	for changed := true; changed; {
		changed = false
		made = slices.DeleteFunc(made, func(name string) bool {
			if _, err := x.root.Stat(name); err == nil {
				return false
			}
			removed := x.root.Remove(name) == nil
			changed = changed || removed
			return removed
		})
	}
	return nil
}
