package forge

// maxFiles is of how many files of a push the catalog is told. What more there is, it finds out itself.
const maxFiles = 1000

// Commit is what a commit has done to files, as the events of all forges tell it.
type Commit struct{ Added, Modified, Removed []string }

// Changes are what a push has done to files.
type Changes struct {
	// Files are those that were touched, of many pushes at once only the first ones.
	Files []string
	// Matched tells that one was touched which the catalog looks for, There whether such a one was last seen to exist.
	Matched, There bool
}

// ChangesOf are the changes of commits, the oldest of which is the first.
func ChangesOf(commits []Commit, match func(file string) bool) Changes {
	var changes Changes
	seen := map[string]bool{}
	touch := func(files []string, there bool) {
		for _, file := range files {
			if match(file) {
				changes.Matched, changes.There = true, there
			}
			if !seen[file] && len(changes.Files) < maxFiles {
				seen[file] = true
				changes.Files = append(changes.Files, file)
			}
		}
	}
	for _, c := range commits {
		touch(c.Removed, false)
		touch(c.Added, true)
		touch(c.Modified, true)
	}
	return changes
}
