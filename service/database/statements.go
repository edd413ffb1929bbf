package database

import "strings"

// statement is one of the statements of a file.
type statement struct {
	text string
	line int // where it begins, counted from 1
}

// splitStatements splits a file for MySQL, which takes one statement at a time, at the semicolons that are neither in quotes nor in a
// comment. As in MySQL's own client, a line "DELIMITER //" sets another delimiter, for statements that contain semicolons. Comments
// before and after statements are left out.
func splitStatements(file string) []statement {
	s := splitter{rest: file, delimiter: ";", line: 1}
	for s.rest != "" {
		s.next()
	}
	s.end()
	return s.statements
}

type splitter struct {
	rest       string
	delimiter  string
	line       int // of rest
	text       strings.Builder
	started    bool // whether text holds more than blanks
	start      int  // the line where it did first
	statements []statement
}

// next consumes a delimiter, a comment, a string or a single character.
func (s *splitter) next() {
	if !s.started {
		if delimiter, length := delimiterLine(s.rest); length > 0 {
			s.skip(length)
			s.delimiter = delimiter
			return
		}
	}
	switch {
	case strings.HasPrefix(s.rest, s.delimiter):
		s.skip(len(s.delimiter))
		s.end()
	case isLineComment(s.rest):
		length := strings.IndexByte(s.rest, '\n')
		if length < 0 {
			length = len(s.rest)
		}
		s.comment(length, !s.started)
	case strings.HasPrefix(s.rest, "/*"):
		length := strings.Index(s.rest[2:], "*/") + 4
		if length < 4 {
			length = len(s.rest)
		}
		// What MySQL runs depending on its version is not a comment: /*!50100 … */
		s.comment(length, !s.started && !strings.HasPrefix(s.rest, "/*!") && !strings.HasPrefix(s.rest, "/*M!"))
	case strings.IndexByte("'\"`", s.rest[0]) >= 0:
		s.take(quoted(s.rest))
	default:
		s.take(1)
	}
}

func (s *splitter) comment(length int, leaveOut bool) {
	if leaveOut {
		s.skip(length)
	} else {
		s.take(length)
	}
}

func (s *splitter) take(length int) {
	if !s.started && strings.TrimSpace(s.rest[:length]) != "" {
		s.started, s.start = true, s.line
	}
	s.text.WriteString(s.rest[:length])
	s.skip(length)
}

func (s *splitter) skip(length int) {
	s.line += strings.Count(s.rest[:length], "\n")
	s.rest = s.rest[length:]
}

func (s *splitter) end() {
	if text := strings.TrimSpace(s.text.String()); text != "" {
		s.statements = append(s.statements, statement{text: text, line: s.start})
	}
	s.text.Reset()
	s.started = false
}

// delimiterLine reads a line like "DELIMITER //".
func delimiterLine(text string) (delimiter string, length int) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) != 2 || !strings.EqualFold(fields[0], "delimiter") || line[0] == ' ' || line[0] == '\t' || line[0] == '\r' {
		return "", 0
	}
	return fields[1], len(line)
}

// isLineComment tells whether text begins with "#", or with "--" and a blank: without it, "--" are two signs.
func isLineComment(text string) bool {
	return text[0] == '#' || text == "--" ||
		strings.HasPrefix(text, "--") && strings.IndexByte(" \t\r\n", text[2]) >= 0
}

// quoted is the length of the quoted text at the beginning of text. Doubled quotes and, except in backquotes, backslashes escape.
func quoted(text string) int {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote != '`':
			i++
		case text[i] == quote:
			return i + 1 // a doubled quote begins the next part of the same text
		}
	}
	return len(text)
}
