package logger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// text writes records for people: time, plugin, level, message and attributes.
type text struct {
	out    io.Writer
	mu     *sync.Mutex
	colour bool
	// prefix are the open groups, each with a dot behind it.
	prefix string
	// source is the plugin or service that the records come from.
	source string
	// attrs are the attributes that were added, as they are written.
	attrs []byte
}

// The colours of a terminal (ECMA-48, SGR).
const (
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	blue   = "\x1b[34m"
	cyan   = "\x1b[36m"
	reset  = "\x1b[0m"
)

func (t *text) Enabled(context.Context, slog.Level) bool { return true }

func (t *text) WithGroup(name string) slog.Handler {
	next := *t
	next.prefix += name + "."
	return &next
}

func (t *text) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *t
	b := bytes.NewBuffer(bytes.Clone(t.attrs))
	for _, a := range attrs {
		next.attr(b, t.prefix, a, &next.source)
	}
	next.attrs = b.Bytes()
	return &next
}

func (t *text) Handle(_ context.Context, r slog.Record) error {
	source := t.source
	var attrs bytes.Buffer
	r.Attrs(func(a slog.Attr) bool {
		t.attr(&attrs, t.prefix, a, &source)
		return true
	})
	var b bytes.Buffer
	if !r.Time.IsZero() {
		t.paint(&b, dim, r.Time.Format(timestamp))
		b.WriteByte(' ')
	}
	if source != "" {
		t.paint(&b, blue, oneLine(source))
		b.WriteByte(' ')
	}
	t.paint(&b, colourOf(r.Level), levelName(r.Level))
	b.WriteByte(' ')
	b.WriteString(oneLine(r.Message))
	b.Write(t.attrs)
	b.Write(attrs.Bytes())
	b.WriteByte('\n')
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.out.Write(b.Bytes())
	return err
}

func colourOf(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return red
	case level >= slog.LevelWarn:
		return yellow
	case level >= slog.LevelInfo:
		return green
	}
	return dim
}

func (t *text) paint(b *bytes.Buffer, colour, s string) {
	if t.colour {
		b.WriteString(colour)
		defer b.WriteString(reset)
	}
	b.WriteString(s)
}

// attr writes an attribute. The plugin, or else the service, stands before the message instead.
func (t *text) attr(b *bytes.Buffer, prefix string, a slog.Attr, source *string) {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return
	}
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range a.Value.Group() {
			t.attr(b, prefix, inner, source)
		}
		return
	}
	if prefix == "" && (a.Key == "plugin" || a.Key == "service") && a.Value.Kind() == slog.KindString {
		*source = a.Value.String()
		return
	}
	b.WriteByte(' ')
	t.paint(b, cyan, oneLine(prefix+a.Key))
	b.WriteByte('=')
	b.WriteString(shown(a.Value))
}

// shown is a value on one line; strings are quoted where they have to be.
func shown(v slog.Value) string {
	var s string
	switch v.Kind() {
	case slog.KindTime:
		s = v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			s = err.Error()
			break
		}
		encoded, err := json.Marshal(v.Any())
		if err != nil {
			s = fmt.Sprintf("%+v", v.Any())
			break
		}
		return string(encoded)
	default:
		s = v.String()
	}
	if s == "" || strings.ContainsAny(s, " =\"") || oneLine(s) != s {
		return strconv.Quote(s)
	}
	return s
}

// oneLine escapes what would break the line or change the terminal.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
