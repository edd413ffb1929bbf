package forge

import (
	"slices"
	"strings"

	"github.com/portico-dev/portico/plugins/catalog"
)

// Files are what commits, one after the other, have done to files. The zero value is ready for use.
type Files struct {
	paths   []string // all that were touched, in order
	touched map[string]bool
	now     map[string]string // the files that are there after the commits, and what they were called before; empty: they were not there
	gone    map[string]bool   // the files that were there before and are not any more
}

func (f *Files) touch(path string) {
	if f.now == nil {
		f.touched, f.now, f.gone = map[string]bool{}, map[string]string{}, map[string]bool{}
	}
	if !f.touched[path] {
		f.touched[path] = true
		f.paths = append(f.paths, path)
	}
}

// before is what a file was called before the commits.
func (f *Files) before(path string) string {
	if was, ok := f.now[path]; ok {
		return was
	}
	return path
}

// Add notes that a file was created.
func (f *Files) Add(path string) {
	f.touch(path)
	f.now[path] = ""
	if f.gone[path] {
		delete(f.gone, path)
		f.now[path] = path
	}
}

// Modify notes that the content of a file was changed.
func (f *Files) Modify(path string) {
	f.touch(path)
	f.now[path] = f.before(path)
	delete(f.gone, path)
}

// Remove notes that a file was removed.
func (f *Files) Remove(path string) {
	f.touch(path)
	if was := f.before(path); was != "" {
		f.gone[was] = true
	}
	delete(f.now, path)
}

// Rename notes that a file has another name.
func (f *Files) Rename(from, to string) {
	f.touch(from)
	f.touch(to)
	was := f.before(from)
	delete(f.now, from)
	delete(f.gone, to)
	f.now[to] = was
}

// Apply notes what a commit has done, of which the renamed files are not known.
func (f *Files) Apply(c Commit) {
	for _, path := range c.Removed {
		f.Remove(path)
	}
	for _, path := range c.Added {
		f.Add(path)
	}
	for _, path := range c.Modified {
		f.Modify(path)
	}
}

// Events are what it all comes to, of many files only the first ones. The URLs are those of the files.
func (f *Files) Events(url func(path string) string) []catalog.SCMEvent {
	var events []catalog.SCMEvent
	for _, path := range f.paths {
		if len(events) == maxFiles {
			break
		}
		was, there := f.now[path]
		_, stayed := f.now[was] // something else has the old name
		switch {
		case there && (was == "" || was == path || stayed):
			events = append(events, catalog.SCMEvent{Type: catalog.LocationUpdated, URL: url(path)})
		case there:
			events = append(events, catalog.SCMEvent{Type: catalog.LocationMoved, URL: url(was), MovedTo: url(path)})
		case f.gone[path]:
			events = append(events, catalog.SCMEvent{Type: catalog.LocationDeleted, URL: url(path)})
		}
	}
	return events
}

// MayRename tells whether the commit may have renamed a file that a location is registered for: only then it's worth to ask the forge.
func (c Commit) MayRename() bool {
	isYAML := func(path string) bool { return strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml") }
	return slices.ContainsFunc(c.Added, isYAML) && slices.ContainsFunc(c.Removed, isYAML)
}
