package query

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/portico-dev/portico/service"
)

// Order is a field to order by.
type Order struct {
	// Field is the key of the field.
	Field string `json:"field"`
	// Direction is "asc" or "desc".
	Direction string `json:"order"`
}

// Descending tells whether the greatest value comes first.
func (o Order) Descending() bool { return o.Direction == "desc" }

// Text is a text that entities must contain.
type Text struct {
	// Term is what to look for, without regard to case. Empty: nothing.
	Term string `json:"term"`
	// Fields are the keys to look in. Empty: the first order field, else metadata.uid.
	Fields []string `json:"fields,omitempty"`
}

// Cursor is a place between the entities that a query answers, together with the query. Its encoded form is base64 of JSON with the
// fields that Backstage uses.
type Cursor struct {
	// Orders are the orders of the query; the first one counts.
	Orders []Order `json:"orderFields"`
	// Backward tells that the page before the position is meant.
	Backward bool `json:"isPrevious"`
	// Query is the predicate in its JSON form, or nil.
	Query json.RawMessage `json:"query,omitempty"`
	// Text is the text filter, or nil.
	Text *Text `json:"fullTextFilter,omitempty"`
	// Position is the value of the order field, if there is one, and the uid of the entity next to the place; nil is the beginning.
	Position []string `json:"orderFieldValues"`
	// First is the position of the first entity of the first page.
	First []string `json:"firstSortFieldValues,omitempty"`
	// Total is the number of entities on all pages, if it has been counted.
	Total *int `json:"totalItems,omitempty"`
}

// Encode is the form that clients see.
func (c Cursor) Encode() (string, error) {
	if c.Orders == nil {
		c.Orders = []Order{}
	}
	text, err := json.Marshal(c)
	return base64.StdEncoding.EncodeToString(text), err
}

// ParseCursor reads a cursor that Encode has written. Anything else is refused with an InputError.
func ParseCursor(encoded string) (Cursor, error) {
	var c Cursor
	text, err := decodeBase64(encoded)
	if err != nil {
		return c, service.InputError.Errorf("Malformed cursor: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, service.InputError.Errorf("Malformed cursor: %w", err)
	}
	want := 1
	if len(c.Orders) > 0 {
		want = 2
	}
	if c.Orders == nil || len(c.Position) != want || len(c.First) != want {
		return c, service.InputError.Errorf("Malformed cursor: it needs orderFields, and orderFieldValues and firstSortFieldValues that fit")
	}
	for _, o := range c.Orders {
		if o.Direction != "asc" && o.Direction != "desc" {
			return c, service.InputError.Errorf("Malformed cursor: the order must be asc or desc")
		}
	}
	return c, nil
}

// Offset is the cursor of GET /entities.
type Offset struct {
	Limit  *int `json:"limit,omitempty"`
	Offset *int `json:"offset,omitempty"`
}

// Encode is the form that clients see.
func (o Offset) Encode() string {
	text, _ := json.Marshal(o) // two numbers can't fail
	return base64.StdEncoding.EncodeToString(text)
}

// ParseOffset reads the parameter `after`. Anything else is refused with an InputError.
func ParseOffset(encoded string) (Offset, error) {
	var o Offset
	text, err := decodeBase64(encoded)
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return o, service.InputError.Errorf("Malformed after cursor, could not be parsed")
	}
	if o.Limit != nil && *o.Limit < 0 || o.Offset != nil && *o.Offset < 0 {
		return o, service.InputError.Errorf("Malformed after cursor, limit and offset must not be negative")
	}
	return o, nil
}

// decodeBase64 takes the standard and the URL alphabet, with and without padding.
func decodeBase64(text string) ([]byte, error) {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(text), "=")
	return base64.RawStdEncoding.DecodeString(text)
}
