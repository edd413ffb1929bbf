package query

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
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
	Orders []Order
	// Backward tells that the page before the position is meant.
	Backward bool
	// Query is the predicate, or nil.
	Query Predicate
	// Text is the text filter, or nil.
	Text *Text
	// Position is the value of the order field, if there is one, and the uid of the entity next to the place; nil is the beginning.
	Position []string
	// First is the position of the first entity of the first page.
	First []string
	// Total is the number of entities on all pages, if it has been counted.
	Total *int
}

// Encode is the form that clients see.
func (c Cursor) Encode() string {
	text := append(make([]byte, 0, 512), `{"orderFields":[`...)
	for i, o := range c.Orders {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(appendText(append(text, `{"field":`...), o.Field), `,"order":`...)
		text = append(appendText(text, o.Direction), '}')
	}
	text = strconv.AppendBool(append(text, `],"isPrevious":`...), c.Backward)
	if c.Query != nil {
		text = AppendJSON(append(text, `,"query":`...), c.Query)
	}
	if c.Text != nil {
		text = appendText(append(text, `,"fullTextFilter":{"term":`...), c.Text.Term)
		text = append(appendTexts(append(text, `,"fields":`...), c.Text.Fields), '}')
	}
	text = appendTexts(append(text, `,"orderFieldValues":`...), c.Position)
	if c.First != nil {
		text = appendTexts(append(text, `,"firstSortFieldValues":`...), c.First)
	}
	if c.Total != nil {
		text = strconv.AppendInt(append(text, `,"totalItems":`...), int64(*c.Total), 10)
	}
	return base64.StdEncoding.EncodeToString(append(text, '}'))
}

// ParseCursor reads a cursor that Encode has written. Anything else is refused with an InputError.
func ParseCursor(encoded string) (Cursor, error) {
	text, err := decodeBase64(encoded)
	if err != nil {
		return Cursor{}, service.InputError.Errorf("Malformed cursor: %w", err)
	}
	var read struct {
		Orders   []Order         `json:"orderFields"`
		Backward bool            `json:"isPrevious"`
		Query    json.RawMessage `json:"query"`
		Text     *Text           `json:"fullTextFilter"`
		Position []string        `json:"orderFieldValues"`
		First    []string        `json:"firstSortFieldValues"`
		Total    *int            `json:"totalItems"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return Cursor{}, service.InputError.Errorf("Malformed cursor: %w", err)
	}
	want := 1
	if len(read.Orders) > 0 {
		want = 2
	}
	if read.Orders == nil || len(read.Position) != want || len(read.First) != want {
		return Cursor{}, service.InputError.Errorf("Malformed cursor: it needs orderFields, and orderFieldValues and firstSortFieldValues that fit")
	}
	for _, o := range read.Orders {
		if o.Direction != "asc" && o.Direction != "desc" {
			return Cursor{}, service.InputError.Errorf("Malformed cursor: the order must be asc or desc")
		}
	}
	where, err := ParsePredicate(read.Query)
	return Cursor{read.Orders, read.Backward, where, read.Text, read.Position, read.First, read.Total}, err
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
func ParseOffset(encoded string) (o Offset, err error) {
	var read struct{ Limit, Offset *float64 } // 20.0 is an integer in JSON
	text, err := decodeBase64(encoded)
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		return o, service.InputError.Errorf("Malformed after cursor, could not be parsed")
	}
	for given, count := range map[*float64]**int{read.Limit: &o.Limit, read.Offset: &o.Offset} {
		if given == nil {
			continue
		}
		n := int(*given)
		if float64(n) != *given || n < 0 {
			return o, service.InputError.Errorf("Malformed after cursor, limit and offset must be whole numbers that are not negative")
		}
		*count = &n
	}
	return o, nil
}

// decodeBase64 takes the standard and the URL alphabet, with and without padding.
func decodeBase64(text string) ([]byte, error) {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(text), "=")
	return base64.RawStdEncoding.DecodeString(text)
}
