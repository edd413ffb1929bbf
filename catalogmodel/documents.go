package catalogmodel

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// documentReader cuts a YAML stream into its documents, by the markers that YAML allows nowhere but between documents
// (YAML 1.2.2, section 9.1.2). So a malformed document does not take the rest of the stream with it, and only one document
// is held in memory.
type documentReader struct {
	r       *bufio.Reader
	line    int    // the number of the next line
	pending []byte // a line that belongs to the next document
	text    []byte
	err     error
}

func newDocumentReader(r io.Reader) *documentReader {
	return &documentReader{r: bufio.NewReaderSize(r, 64<<10), line: 1}
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// next returns the text of the next document, valid until the next call, and the number of its first line. It returns io.EOF
// at the end, a *SyntaxError for a document beyond the bounds (the next call goes on behind it), or the reader's error.
func (d *documentReader) next() (text []byte, line int, err error) {
	d.text = append(d.text[:0], d.pending...)
	start := d.line
	if len(d.pending) > 0 {
		start--
	}
	d.pending = d.pending[:0]
	begun := len(d.text) > 0 // whether anything but comments and directives has been seen
	size, atLineStart, separators := len(d.text), true, 0
	for d.err == nil {
		// A line longer than the buffer comes in parts.
		part, err := d.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			d.err = err
		}
		wholeStart := atLineStart
		atLineStart = err == nil
		if len(part) == 0 {
			break
		}
		if d.line == 1 && wholeStart {
			part = bytes.TrimPrefix(part, byteOrderMark)
		}
		if atLineStart || d.err != nil {
			d.line++
		}
		if wholeStart {
			if isMarker(part, "---") && begun {
				d.pending = append(d.pending, part...)
				break
			}
			if isMarker(part, "...") {
				break
			}
			begun = begun || !isPrologue(part)
		}
		if size += len(part); size <= maxDocumentBytes {
			separators += countSeparators(part)
			d.text = append(d.text, part...)
		}
	}
	if d.err != nil && d.err != io.EOF {
		return nil, 0, d.err
	}
	switch {
	case size > maxDocumentBytes:
		d.text = nil
		return nil, 0, &SyntaxError{Position: Position{start, 1},
			Message: fmt.Sprintf("the document is longer than %d bytes", maxDocumentBytes)}
	case separators > maxDocumentNodes:
		return nil, 0, &SyntaxError{Position: Position{start, 1},
			Message: fmt.Sprintf("the document may have more than %d values", maxDocumentNodes)}
	case size == 0 && d.err == io.EOF:
		return nil, 0, io.EOF
	}
	return d.text, start, nil
}

// isMarker reports whether line is a document marker: three characters, followed by white space or nothing.
func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// isPrologue reports whether line may stand before the marker that begins a document.
func isPrologue(line []byte) bool {
	if len(line) > 0 && line[0] == '%' {
		return true
	}
	line = bytes.TrimLeft(line, " \t\r\n")
	return len(line) == 0 || line[0] == '#'
}

// countSeparators counts the characters that each node of a document but the first must have one of before it or behind it,
// so that the number of nodes is bounded before any memory goes into them.
func countSeparators(text []byte) int {
	n := 0
	for _, c := range text {
		switch c {
		case '\n', ',', '[', '{', ':', '?', '-':
			n++
		}
	}
	return n
}
