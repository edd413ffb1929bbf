package wiring

import (
	"fmt"
	"strings"
)

// Problem is one wiring mistake.
type Problem struct {
	// Who made it ("module catalog/cmdb").
	Who string
	// What is wrong: what is asked for or declared, and what is missing.
	What string
	// Fix is what would mend it.
	Fix string
}

// Error has every wiring mistake of a backend.
type Error struct {
	Problems []Problem
}

// Error lists the mistakes.
func (e *Error) Error() string {
	var b strings.Builder
	if len(e.Problems) == 1 {
		b.WriteString("the backend can't be wired, nothing was started:")
	} else {
		fmt.Fprintf(&b, "the backend can't be wired, nothing was started; %d mistakes:", len(e.Problems))
	}
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  - %s %s", p.Who, p.What)
		if p.Fix != "" {
			fmt.Fprintf(&b, "\n    fix: %s", p.Fix)
		}
	}
	return b.String()
}
