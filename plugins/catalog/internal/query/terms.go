package query

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// Longest is the length, in UTF-16 code units as Backstage counts, up to which keys and values are searchable. A longer key is no key;
// a longer value leaves its key without a value.
const Longest = 200

// Term is one key of an entity with one of its values. Keys and values match without regard to case.
type Term struct {
	// Key is the path of the value, joined by dots, in lower case.
	Key string
	// Value is the value in lower case.
	Value string
	// Original is the value as the entity spells it.
	Original string
	// Null tells that the key exists without a value that could be searched.
	Null bool
}

// skipped are the paths that are not walked. Of those below metadata, all but the etag are added by themselves.
var skipped = []string{"attachments", "relations", "status", "metadata.name", "metadata.namespace", "metadata.uid", "metadata.etag"}

// Terms are the terms of a final entity, each once, in the order of the entity. An entity with keys that differ in nothing but case is
// refused with an InputError, as in Backstage.
func Terms(e catalogmodel.Entity) ([]Term, error) {
	// With room for what most entities have: growing maps would take most of the time.
	c := collector{spellings: make(map[string]string, 48), seen: make(map[pair]bool, 64), terms: make([]Term, 0, 48)}
	for key, v := range e.Value().Fields() {
		c.walk(key, v)
	}
	c.add("metadata.name", e.Metadata().Get("name"))
	c.add("metadata.namespace", catalogmodel.StringValue(e.Namespace()))
	c.add("metadata.uid", e.Metadata().Get("uid"))
	for _, relation := range e.Get("relations").Elements() {
		c.add("relations."+relation.Get("type").Text(), relation.Get("targetRef"))
	}
	if len(c.clashes) > 0 {
		return nil, service.InputError.Errorf("Entity has duplicate keys that vary only in casing, '%s'", strings.Join(c.clashes, "', '"))
	}
	return c.terms, nil
}

type pair struct{ key, value string }

type collector struct {
	terms     []Term
	spellings map[string]string // of keys, by their lower case
	seen      map[pair]bool
	clashes   []string
}

func (c *collector) walk(path string, v catalogmodel.Value) {
	if slices.Contains(skipped, path) {
		return
	}
	switch v.Type() {
	case catalogmodel.Object:
		for key, field := range v.Fields() {
			if path != "" {
				key = path + "." + key
			}
			c.walk(key, field)
		}
	case catalogmodel.Array:
		seen := map[string]bool{}
		for _, element := range v.Elements() {
			c.walk(path, element)
			if element.Type() != catalogmodel.String {
				continue
			}
			key := path + "." + element.Text()
			if lower := strings.ToLower(key); !seen[lower] {
				seen[lower] = true
				c.addText(key, "true")
			}
		}
	default:
		c.add(path, v)
	}
}

func (c *collector) add(key string, v catalogmodel.Value) {
	switch v.Type() {
	case catalogmodel.String:
		c.addText(key, v.Text())
	case catalogmodel.Number:
		c.addText(key, number(v.Number()))
	case catalogmodel.Boolean:
		c.addText(key, strconv.FormatBool(v.Bool()))
	default:
		c.append(Term{Key: strings.ToLower(key), Null: true}, key)
	}
}

func (c *collector) addText(key, text string) {
	t := Term{Key: strings.ToLower(key), Original: text, Value: strings.ToLower(text)}
	if tooLong(t.Value) {
		t = Term{Key: t.Key, Null: true}
	}
	c.append(t, key)
}

func (c *collector) append(t Term, spelling string) {
	if other, ok := c.spellings[t.Key]; !ok {
		c.spellings[t.Key] = spelling
	} else if other != spelling && !slices.Contains(c.clashes, t.Key) {
		c.clashes = append(c.clashes, t.Key)
	}
	id := pair{t.Key, t.Value}
	if t.Null {
		id.value = "\x00null"
	}
	if tooLong(t.Key) || c.seen[id] {
		return
	}
	c.seen[id] = true
	c.terms = append(c.terms, t)
}

func tooLong(text string) bool {
	if len(text) <= Longest {
		return false
	}
	units := 0
	for _, r := range text {
		if units++; r > math.MaxUint16 {
			units++
		}
	}
	return units > Longest || !utf8.ValidString(text) && len(text) > Longest
}

// number is the form in which JavaScript prints a number, which is what numbers are searched by.
func number(n json.Number) string {
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	size := math.Abs(f)
	if size == 0 {
		return "0"
	}
	if size >= 1e-6 && size < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}
