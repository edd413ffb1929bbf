package feed

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/query"
	"github.com/portico-dev/portico/plugins/catalog/internal/store"
	"github.com/portico-dev/portico/service"
)

// Cursor is a place in the log: behind the entry with this number.
type Cursor int64

// String is the form that clients see.
func (c Cursor) String() string { return strconv.FormatInt(int64(c), 10) }

// MarshalText implements encoding.TextMarshaler.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ParseCursor reads what String has written. Anything else is refused with an InputError.
func ParseCursor(text string) (Cursor, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, service.InputError.Errorf("Malformed cursor %q; take one from an answer of the catalog, or leave it out to begin with what changes from now on", text)
	}
	return Cursor(n), nil
}

// Change is an entry of the log as somebody sees it.
type Change struct {
	// Cursor is the place behind it.
	Cursor    Cursor       `json:"cursor"`
	Type      store.Action `json:"type"`
	EntityRef string       `json:"entityRef"`
	UID       string       `json:"uid"`
	At        time.Time    `json:"at"`
	Cause     Cause        `json:"cause"`
	// Entity is what it became, or nil, and Previous is what it was.
	Entity   json.RawMessage `json:"entity,omitempty"`
	Previous json.RawMessage `json:"previous,omitempty"`
}

// Cause is why an entity changed.
type Cause struct {
	Reason   store.Reason `json:"reason"`
	Provider string       `json:"provider,omitempty"`
	Parent   string       `json:"parent,omitempty"`
}

// ChangeOf is an entry as who sees everything sees it.
func ChangeOf(e store.Entry) Change {
	return Change{Cursor: Cursor(e.Seq), Type: e.Action, EntityRef: e.Ref, UID: e.ID, At: e.At.UTC(), Cause: Cause(e.Cause),
		Entity: e.After, Previous: e.Before}
}

// entry is an entry of the log with the terms of both forms of its entity, by which conditions are decided.
type entry struct {
	store.Entry
	before, after []query.Term
}

func newEntry(e store.Entry) *entry {
	return &entry{Entry: e, before: terms(e.Before), after: terms(e.After)}
}

func terms(text []byte) []query.Term {
	if text == nil {
		return nil
	}
	e, err := catalogmodel.ParseJSON(text)
	if err != nil {
		return nil // as in the index, it is not found by any condition
	}
	found, err := query.Terms(e)
	if err != nil {
		return nil
	}
	return found
}

// seen is the change through a condition, and whether there is something to see.
func (e *entry) seen(where query.Predicate) (Change, bool) {
	c := ChangeOf(e.Entry)
	if where == nil {
		return c, true
	}
	if len(e.before) == 0 || !query.Match(where, e.before) {
		c.Previous = nil
	}
	if len(e.after) == 0 || !query.Match(where, e.after) {
		c.Entity = nil
	}
	switch {
	case c.Entity == nil && c.Previous == nil:
		return c, false
	case c.Entity == nil:
		c.Type = store.Deleted
	case c.Previous == nil:
		c.Type = store.Created
	}
	return c, true
}

// See is the change that an entry is through a condition, and whether there is something to see.
func See(e store.Entry, where query.Predicate) (Change, bool) {
	if where == nil {
		return ChangeOf(e), true
	}
	return newEntry(e).seen(where)
}

// size is about what the entry takes in memory.
func (e *entry) size() int { return 500 + 3*(len(e.Before)+len(e.After)) }
