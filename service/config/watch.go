package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files must stay as they are before they are read again: editors and kubelets change them in several steps.
const settle = 50 * time.Millisecond

// watch reloads the configuration when its sources change, until the store is closed. The files had the given stamps when they were
// read.
func (s *Store) watch(read map[string]stamp) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.stopped = cancel, make(chan struct{})
	w := &watching{store: s, seen: read}
	var err error
	if w.files, err = fsnotify.NewWatcher(); err != nil {
		s.options.OnReloadError(fmt.Errorf("configuration: changes of files go unnoticed: %w", err))
	} else {
		w.events, w.errors = w.files.Events, w.files.Errors
		w.follow()
	}
	go func() {
		defer close(s.stopped)
		if w.files != nil {
			defer w.files.Close()
		}
		w.run(ctx)
	}()
}

type watching struct {
	store  *Store
	files  *fsnotify.Watcher
	events <-chan fsnotify.Event
	errors <-chan error
	// seen are the files as they were when they were read.
	seen map[string]stamp
}

func (w *watching) run(ctx context.Context) {
	var poll <-chan time.Time
	if slices.ContainsFunc(newLoader(w.store.options).targets(), func(t target) bool { return t.url != nil }) {
		ticker := time.NewTicker(w.store.options.PollInterval)
		defer ticker.Stop()
		poll = ticker.C
	}
	// The first look is at what happened before the directories were followed.
	look := time.NewTimer(0)
	defer look.Stop()
	waiting := true
	last := w.seen
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-w.errors:
			w.store.options.OnReloadError(fmt.Errorf("configuration: watching files: %w", err))
			if !waiting { // Events may have been lost.
				waiting = true
				look.Reset(settle)
			}
			continue
		case <-w.events:
			if !waiting {
				waiting = true
				look.Reset(settle)
			}
			continue
		case <-look.C:
			waiting = false
			now := stamps(w.seen)
			if same(now, w.seen) {
				continue
			}
			if !same(now, last) {
				last, waiting = now, true
				look.Reset(settle)
				continue
			}
		case <-poll:
		}
		read, err := w.store.reload(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.store.options.OnReloadError(err)
		}
		w.seen, last = read, read
		if w.files != nil {
			w.follow()
		}
		// What changed while it was read, in a directory that wasn't followed yet, has had no event.
		if !waiting {
			waiting = true
			look.Reset(settle)
		}
	}
}

// follow watches the directories of all files of the configuration, rather than the files: those are replaced rather than written.
func (w *watching) follow() {
	for file, was := range w.seen {
		dirs := []string{filepath.Dir(file)}
		if was.path != "" {
			dirs = append(dirs, filepath.Dir(was.path))
		}
		for _, dir := range slices.Compact(dirs) {
			if err := w.files.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				w.store.options.OnReloadError(fmt.Errorf("configuration: changes in %s go unnoticed: %w", dir, err))
			}
		}
	}
}

// stamp tells one state of a file from another.
type stamp struct {
	info fs.FileInfo
	// path is what symbolic links lead to.
	path string
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	path, err := filepath.EvalSymlinks(file)
	if err != nil {
		return stamp{}
	}
	return stamp{info: info, path: path}
}

func (s stamp) same(other stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return s.path == other.path && os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() &&
		s.info.ModTime().Equal(other.info.ModTime())
}

// stamps are the present states of the files of another map.
func stamps(files map[string]stamp) map[string]stamp {
	now := make(map[string]stamp, len(files))
	for file := range files {
		now[file] = stampOf(file)
	}
	return now
}

func same(a, b map[string]stamp) bool { return maps.EqualFunc(a, b, stamp.same) }
