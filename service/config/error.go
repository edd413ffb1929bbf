package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is everything that is wrong with a configuration, found in one go.
type Error struct {
	// Problems is what is wrong, ordered by file and line. There is at least one.
	Problems []Problem
}

// Error tells all problems, each on a line of its own if there are several.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "configuration: " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  ")
		b.WriteString(p.String())
	}
	return b.String()
}

// Problem is something that is wrong, or suspicious, at one place of the configuration. It holds no values that a schema declares as
// secret.
type Problem struct {
	// Key is the path of the value, such as "backend.auth.keys[0].secret". It is empty where the problem is that of a file as a whole.
	Key string
	// File is the file or URL, or tells the environment variable. A file below the directory of the configuration is given relative to it.
	File string
	// Line and Column are where in the file, both from 1, or zero if there is no such place.
	Line, Column int
	// Message says what is wrong.
	Message string
	// Suggestion is what was probably meant instead, or empty.
	Suggestion string
}

// String is the problem with its place, on one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Key)
	if place := (origin{file: p.File, line: p.Line, column: p.Column}).String(); place != "" {
		if p.Key == "" {
			b.WriteString(place)
		} else {
			fmt.Fprintf(&b, " (%s)", place)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&b, "; did you mean %q?", p.Suggestion)
	}
	return b.String()
}

// Join is the error that tells all the problems, ordered by their places, or nil if there are none.
func Join(problems []Problem) error { return joined(problems) }

func joined(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &Error{Problems: sorted(problems)}
}

func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if c := cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column); c != 0 {
			return c
		}
		// What is found twice is told once, with a suggestion if there is one.
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Message, b.Message), strings.Compare(b.Suggestion, a.Suggestion))
	})
	return slices.CompactFunc(problems, func(a, b Problem) bool {
		b.Suggestion = a.Suggestion
		return a == b
	})
}

// Origin is where a struct of the configuration was written. A field of this type is not read from the configuration: it is set when the struct
// is decoded, so that what is found to be wrong later, or explained to somebody, can be told with its place.
type Origin struct {
	// Key is the path of the struct, such as "permission.rbac.roles.viewer".
	Key string
	// File is the file or URL, or tells the environment variable.
	File string
	// Line and Column are where in the file, both from 1, or zero if there is no such place.
	Line, Column int
}

// String is the place: file, line and column.
func (o Origin) String() string {
	return origin{file: o.File, line: o.Line, column: o.Column}.String()
}

// Problem is something that is wrong with the struct. The suggestion is what was probably meant instead, or empty.
func (o Origin) Problem(suggestion, format string, args ...any) Problem {
	return Problem{Key: o.Key, File: o.File, Line: o.Line, Column: o.Column, Message: fmt.Sprintf(format, args...), Suggestion: suggestion}
}

// origin is where a value was written.
type origin struct {
	file         string
	line, column int
	// text is how a number was written, for where a string is expected.
	text string
}

func (o origin) String() string {
	switch {
	case o.line == 0:
		return o.file
	case o.column == 0:
		return fmt.Sprintf("%s:%d", o.file, o.line)
	}
	return fmt.Sprintf("%s:%d:%d", o.file, o.line, o.column)
}

func (o origin) problem(pointer, format string, args ...any) Problem {
	return Problem{Key: keyOf(pointer), File: o.file, Line: o.line, Column: o.column, Message: fmt.Sprintf(format, args...)}
}
