package urlreader

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

const (
	maxPattern      = 1024
	maxAlternatives = 1000
)

// pattern is a pattern of paths, as Backstage has them from minimatch.
type pattern struct {
	text string
	// fixed is the directory before the first segment that has a pattern.
	fixed string
	// dots are the segments of the pattern that begin with a dot.
	dots []string
}

// hasPattern tells whether a path is a pattern. Brackets alone are none, since names have them.
func hasPattern(path string) bool {
	return strings.ContainsAny(path, "*?") || alternatives.MatchString(path)
}

var alternatives = regexp.MustCompile(`\{[^{}]*,[^{}]*\}`)

func newPattern(text string) (*pattern, error) {
	p := &pattern{text: strings.Trim(text, "/")}
	if len(p.text) > maxPattern || strings.Count(p.text, "{") > 4 || strings.Count(p.text, "**") > 4 || strings.Count(p.text, ",") > maxAlternatives {
		return nil, fmt.Errorf("the pattern is too complicated")
	}
	if !doublestar.ValidatePattern(p.text) {
		return nil, fmt.Errorf("%q is not a valid pattern: brackets and braces have to be closed", p.text)
	}
	var fixed []string
	onlyFixed := true
	for segment := range strings.SplitSeq(p.text, "/") {
		if onlyFixed = onlyFixed && !strings.ContainsAny(segment, "*?[]{}\\"); onlyFixed {
			fixed = append(fixed, segment)
		}
		if strings.HasPrefix(segment, ".") {
			p.dots = append(p.dots, segment)
		}
	}
	p.fixed = strings.Join(fixed, "/")
	return p, nil
}

func (p *pattern) matches(path string) bool {
	if ok, err := doublestar.Match(p.text, path); err != nil || !ok {
		return false
	}
	// A name that begins with a dot is hidden, unless the pattern has the dot too.
	for segment := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(segment, ".") && !p.shows(segment) {
			return false
		}
	}
	return true
}

func (p *pattern) shows(segment string) bool {
	for _, dot := range p.dots {
		if ok, err := doublestar.Match(dot, segment); err == nil && ok {
			return true
		}
	}
	return false
}
