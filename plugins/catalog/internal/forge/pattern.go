package forge

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/dlclark/regexp2"
)

// matchTimeout is how long a look at one text may take with the engine whose time isn't linear. What takes longer doesn't match. The engine's
// clock for that ends a second after it was last needed.
const matchTimeout = 100 * time.Millisecond

// Pattern is a regular expression of the configuration. Backstage's are those of JavaScript, which have look-aheads; what Go's own engine
// can do, whose time is linear, is left to it. The zero value matches everything.
type Pattern struct {
	text    string
	matches func(string) bool
}

// UnmarshalText compiles a pattern.
func (p *Pattern) UnmarshalText(text []byte) error {
	p.text = string(text)
	if re, err := regexp.Compile(p.text); err == nil {
		p.matches = re.MatchString
		return nil
	}
	re, err := regexp2.Compile(p.text, regexp2.ECMAScript)
	if err != nil {
		return fmt.Errorf("is not a regular expression: %w", err)
	}
	re.MatchTimeout = matchTimeout
	p.matches = func(s string) bool {
		ok, err := re.MatchString(s)
		return ok && err == nil
	}
	return nil
}

// Match tells whether the pattern occurs in the text.
func (p *Pattern) Match(s string) bool { return p.matches == nil || p.matches(s) }

// String is the pattern as it is written.
func (p *Pattern) String() string { return p.text }

// Path is a path of a file in a repository, or a glob for such paths. It has no slash at its beginning.
type Path string

// UnmarshalText checks a path.
func (p *Path) UnmarshalText(text []byte) error {
	*p = Path(strings.TrimPrefix(string(text), "/"))
	if *p == "" {
		return fmt.Errorf("is not the path of a file")
	}
	if p.IsGlob() && !doublestar.ValidatePattern(string(*p)) {
		return fmt.Errorf("is not a valid glob: brackets and braces have to be closed")
	}
	return nil
}

// IsGlob tells whether the path stands for many.
func (p Path) IsGlob() bool { return strings.Contains(string(p), "*") }

// Match tells whether the file is meant.
func (p Path) Match(file string) bool {
	if !p.IsGlob() {
		return string(p) == file
	}
	ok, err := doublestar.Match(string(p), file)
	return ok && err == nil
}

// Texts is a list of texts, of which one may be written without brackets.
type Texts []string

// UnmarshalConfig reads a text or a list.
func (t *Texts) UnmarshalConfig(decode func(dst any) error) error {
	var value any
	if err := decode(&value); err != nil {
		return err
	}
	if _, ok := value.([]any); ok {
		return decode((*[]string)(t))
	}
	var one string
	if err := decode(&one); err != nil {
		return err
	}
	*t = Texts{one}
	return nil
}
