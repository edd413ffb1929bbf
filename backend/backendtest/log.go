package backendtest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// Log is what a backend has logged. It is safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	lines []string
}

// LogEntry is one line of the log.
type LogEntry struct {
	// Level is "debug", "info", "warn" or "error".
	Level string
	// Message is the message.
	Message string
	// Plugin is the id of the plugin that logged, or empty.
	Plugin string
	// Fields are all fields of the line, those above included.
	Fields map[string]any
}

// Write adds lines of JSON. It is called by the backend's logger.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(p) {
		l.lines = append(l.lines, string(bytes.TrimSpace(line)))
	}
	return len(p), nil
}

// String is the log, one line of JSON for each entry.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// Entries are the entries so far.
func (l *Log) Entries() []LogEntry {
	l.mu.Lock()
	lines := slices.Clone(l.lines)
	l.mu.Unlock()
	entries := make([]LogEntry, 0, len(lines))
	for _, line := range lines {
		var e LogEntry
		if err := json.Unmarshal([]byte(line), &e.Fields); err != nil {
			e.Message = line
		}
		text := func(key string) string { s, _ := e.Fields[key].(string); return s }
		e.Level, e.Plugin = text("level"), text("plugin")
		if m := text("message"); m != "" {
			e.Message = m
		}
		entries = append(entries, e)
	}
	return entries
}
