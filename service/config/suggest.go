package config

import (
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest is the one of the known names that name is probably a misspelling of, or empty: the same but for case and separators, or one
// edit away, two in names of eight letters and more.
func Nearest(name string, known []string) string {
	folded := fold(name)
	best, distance := "", 3
	for _, k := range slices.Sorted(slices.Values(known)) {
		if k == name {
			continue
		}
		other := fold(k)
		allowed := 0
		switch n := max(len(folded), len(other)); {
		case n >= 8:
			allowed = 2
		case n >= 4:
			allowed = 1
		}
		if max(len(folded), len(other))-min(len(folded), len(other)) > allowed {
			continue
		}
		edits := 0
		if folded != other {
			if edits = levenshtein.ComputeDistance(folded, other); edits == 2 && transposed(folded, other) {
				edits = 1
			}
		}
		if edits <= allowed && edits < distance {
			best, distance = k, edits
		}
	}
	return best
}

func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

// transposed tells whether two names differ by two neighbouring letters that have changed places.
func transposed(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) - 1 {
		if a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}
