package database

import "strings"

// maxShown is how many bytes of a statement are shown: one that inserts a thousand rows tells no more than its beginning.
const maxShown = 2000

// withoutValues is a statement with a question mark for each value, and without comments. Names and parameters stay. What is not
// understood counts as a value.
func withoutValues(query, client string) string {
	var b strings.Builder
	for i := 0; i < len(query); {
		if b.Len() >= maxShown {
			b.WriteString("…")
			break
		}
		c := query[i]
		rest := query[i:]
		switch {
		case c == '\'', c == '"' && client == clientMySQL:
			i += quotedLength(rest, client == clientMySQL || client == clientPostgres && isEscapeString(query[:i]))
			b.WriteByte('?')
		case c == '"' || c == '`' && client != clientPostgres:
			n := quotedLength(rest, false)
			b.WriteString(rest[:n])
			i += n
		case c == '$' && client == clientPostgres && dollarQuoted(rest) > 0:
			i += dollarQuoted(rest)
			b.WriteByte('?')
		case strings.HasPrefix(rest, "--") || c == '#' && client == clientMySQL:
			i += until(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			i += until(rest, "*/")
		case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
			i += numberLength(rest)
			b.WriteByte('?')
		case isNameByte(c):
			n := 1
			for n < len(rest) && isNameByte(rest[n]) {
				n++
			}
			b.WriteString(rest[:n])
			i += n
		default:
			b.WriteByte(c)
			i++
		}
	}
	return strings.TrimSpace(b.String())
}

// isEscapeString tells whether a backslash escapes in the string that comes after the text: on PostgreSQL in E'…' only.
func isEscapeString(before string) bool {
	n := len(before)
	return n > 0 && (before[n-1] == 'E' || before[n-1] == 'e') && (n == 1 || !isNameByte(before[n-2]))
}

// quotedLength is the length of what stands between quotes, with them. A doubled quote is part of it, and one behind a backslash if that
// escapes. Without an end it goes to the end of the text.
func quotedLength(text string, escapes bool) int {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && escapes:
			i++
		case text[i] != quote:
		case i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return len(text)
}

// dollarQuoted is the length of a string like $tag$…$tag$, or zero if it is none.
func dollarQuoted(text string) int {
	end := 1
	for end < len(text) && isNameByte(text[end]) && text[end] != '$' && (end > 1 || !isDigit(text[end])) {
		end++
	}
	if end == len(text) || text[end] != '$' {
		return 0
	}
	tag := text[:end+1]
	return len(tag) + until(text[len(tag):], tag)
}

// until is the length of the text up to, and with, the end.
func until(text, end string) int {
	if before, _, found := strings.Cut(text, end); found {
		return len(before) + len(end)
	}
	return len(text)
}

// numberLength is the length of a number: 12, .5, 1e-9, 0xff.
func numberLength(text string) int {
	n := 1
	for n < len(text) {
		c, before := text[n], text[n-1]
		if !isNameByte(c) && c != '.' && ((c != '+' && c != '-') || before != 'e' && before != 'E') {
			break
		}
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isNameByte tells whether names and keywords may have the byte, also those of parameters ($1).
func isNameByte(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '$' || c >= 0x80
}
