package forge_test

import (
	"fmt"
	"testing"

	"github.com/portico-dev/portico/plugins/catalog/internal/forge"
)

// TestFiles has commits undo, and build on, each other.
func TestFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do   func(*forge.Files)
		want string
	}{
		"nothing": {func(*forge.Files) {}, ""},
		"a commit": {func(f *forge.Files) {
			f.Apply(forge.Commit{Added: []string{"a"}, Modified: []string{"b"}, Removed: []string{"c"}})
		}, "deleted c, updated a, updated b"},
		"back again":              {func(f *forge.Files) { f.Remove("a"); f.Add("a") }, "updated a"},
		"only for a while":        {func(f *forge.Files) { f.Add("a"); f.Modify("a"); f.Remove("a") }, ""},
		"changed, then gone":      {func(f *forge.Files) { f.Modify("a"); f.Remove("a") }, "deleted a"},
		"renamed":                 {func(f *forge.Files) { f.Rename("a", "b") }, "moved a b"},
		"renamed and changed":     {func(f *forge.Files) { f.Rename("a", "b"); f.Modify("b") }, "moved a b"},
		"renamed twice":           {func(f *forge.Files) { f.Rename("a", "b"); f.Rename("b", "c") }, "moved a c"},
		"renamed and back":        {func(f *forge.Files) { f.Rename("a", "b"); f.Rename("b", "a") }, "updated a"},
		"renamed, then gone":      {func(f *forge.Files) { f.Rename("a", "b"); f.Remove("b") }, "deleted a"},
		"new, then renamed":       {func(f *forge.Files) { f.Add("a"); f.Rename("a", "b") }, "updated b"},
		"in the place of another": {func(f *forge.Files) { f.Remove("b"); f.Rename("a", "b") }, "moved a b"},
		"with one in its place":   {func(f *forge.Files) { f.Rename("a", "b"); f.Add("a") }, "updated a, updated b"},
		"swapped":                 {func(f *forge.Files) { f.Rename("a", "x"); f.Rename("b", "a"); f.Rename("x", "b") }, "updated a, updated b"},
	} {
		var f forge.Files
		test.do(&f)
		got := ""
		for _, e := range f.Events(func(path string) string { return path }) {
			if got != "" {
				got += ", "
			}
			got += fmt.Sprint(string(e.Type)[len("location."):], " ", e.URL)
			if e.MovedTo != "" {
				got += " " + e.MovedTo
			}
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	var many forge.Files
	for n := range 2000 {
		many.Add(fmt.Sprint(n))
	}
	if n := len(many.Events(func(path string) string { return path })); n != 1000 {
		t.Errorf("there are %d events", n)
	}
}
