package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// Predicate is a condition on the terms of an entity: one of All, Any, Not, Exists, In and HasPrefix. Keys and values in it are in
// lower case.
type Predicate interface{ predicate() }

type (
	// All holds when all of its parts do; without parts it holds always.
	All []Predicate
	// Any holds when one of its parts does; without parts it never holds.
	Any []Predicate
	// Not holds when its part does not.
	Not struct{ Predicate Predicate }
	// Exists holds when the entity has the key, even without a value.
	Exists struct{ Key string }
	// In holds when one of the key's values is one of Values.
	In struct {
		Key    string
		Values []string
	}
	// HasPrefix holds when one of the key's values begins with Prefix.
	HasPrefix struct{ Key, Prefix string }
)

func (All) predicate()       {}
func (Any) predicate()       {}
func (Not) predicate()       {}
func (Exists) predicate()    {}
func (In) predicate()        {}
func (HasPrefix) predicate() {}

// Bounds of what a client may ask.
const (
	maxDepth      = 64
	maxConditions = 10_000
)

// ParsePredicate reads the JSON form of a predicate: {"kind": "component"}, {"$all": […]}, {"metadata.name": {"$hasPrefix": "a"}} and
// so on. Nothing, and null, is nil: no condition. What it refuses, it refuses with an InputError.
func ParsePredicate(text []byte) (Predicate, error) {
	if len(bytes.TrimSpace(text)) == 0 || string(bytes.TrimSpace(text)) == "null" {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, service.InputError.Errorf("Invalid query: %s", err)
	}
	p := parser{}
	return p.predicate(v, "", 0)
}

type parser struct{ conditions int }

func (p *parser) predicate(v any, at string, depth int) (Predicate, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, invalid(at, "must be an object; wrap a value in a field, as in {\"kind\": %s}", show(v))
	}
	if depth > maxDepth {
		return nil, invalid(at, "is nested more than %d levels deep", maxDepth)
	}
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys) // so that of several mistakes always the same one is told
	operator := ""
	for _, key := range keys {
		if strings.HasPrefix(key, "$") {
			operator = key
		}
	}
	if operator != "" {
		if len(object) > 1 {
			return nil, invalid(at, "has %s beside other keys; combine conditions with $all", operator)
		}
		return p.operator(operator, object[operator], join(at, operator), depth)
	}
	if len(keys) > 1 && depth == maxDepth {
		return nil, invalid(at, "is nested more than %d levels deep", maxDepth) // several conditions are a level, as they are in AppendJSON
	}
	all := All{}
	for _, key := range keys {
		condition, err := p.condition(key, object[key], join(at, key))
		if err != nil {
			return nil, err
		}
		all = append(all, condition)
	}
	return single(all), nil
}

func (p *parser) operator(operator string, v any, at string, depth int) (Predicate, error) {
	switch operator {
	case "$not":
		part, err := p.predicate(v, at, depth+1)
		if err != nil {
			return nil, err
		}
		return Not{part}, nil
	case "$all", "$any":
		list, ok := v.([]any)
		if !ok {
			return nil, invalid(at, "must be an array of conditions")
		}
		parts := make([]Predicate, len(list))
		for i, element := range list {
			var err error
			if parts[i], err = p.predicate(element, at+"["+strconv.Itoa(i)+"]", depth+1); err != nil {
				return nil, err
			}
		}
		if operator == "$all" {
			return All(parts), nil
		}
		return Any(parts), nil
	}
	return nil, invalid(at, "is not an operator here; there are $all, $any and $not")
}

func (p *parser) condition(key string, v any, at string) (Predicate, error) {
	if p.conditions++; p.conditions > maxConditions {
		return nil, tooMany()
	}
	key = strings.ToLower(key)
	if text, ok := primitive(v); ok {
		return In{key, []string{text}}, nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, invalid(at, "must be a string, a number, a boolean, or one of $exists, $in, $hasPrefix and $contains")
	}
	if exists, ok := object["$exists"].(bool); ok {
		if exists {
			return Exists{key}, nil
		}
		return Not{Exists{key}}, nil
	}
	if list, ok := object["$in"].([]any); ok {
		in := In{key, make([]string, len(list))}
		for i, element := range list {
			if in.Values[i], ok = primitive(element); !ok {
				return nil, invalid(at+".$in["+strconv.Itoa(i)+"]", "must be a string, a number or a boolean")
			}
		}
		return in, nil
	}
	if prefix, ok := object["$hasPrefix"].(string); ok {
		return HasPrefix{key, strings.ToLower(prefix)}, nil
	}
	if target, ok := object["$contains"]; ok {
		return p.contains(key, target, join(at, "$contains"))
	}
	return nil, invalid(at, "must have $exists with a boolean, $in with an array, $hasPrefix with a string, or $contains")
}

func (p *parser) contains(key string, v any, at string) (Predicate, error) {
	if text, ok := primitive(v); ok {
		return In{key, []string{text}}, nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, invalid(at, "must be a string, a number, a boolean or, for relations, an object")
	}
	if key != "relations" {
		return nil, invalid(at, "may be an object for relations only")
	}
	typ, targets, seen := "", []string(nil), map[string]bool{}
	for name, v := range object {
		lower := strings.ToLower(name)
		if seen[lower] {
			return nil, invalid(at, "has %s twice", name)
		}
		seen[lower] = true
		switch lower {
		case "type":
			if typ, ok = v.(string); !ok {
				return nil, invalid(join(at, name), "must be a string")
			}
		case "targetref":
			targets, ok = refs(v)
			if !ok {
				return nil, invalid(join(at, name), "must be a string, or $in with an array of at least one")
			}
		default:
			return nil, invalid(join(at, name), "is unknown; there are type and targetRef")
		}
	}
	if typ == "" {
		return nil, invalid(at, "needs the type of the relation")
	}
	key = "relations." + strings.ToLower(typ)
	if targets == nil {
		return Exists{key}, nil
	}
	return In{key, targets}, nil
}

func refs(v any) ([]string, bool) {
	if text, ok := v.(string); ok {
		return []string{strings.ToLower(text)}, true
	}
	object, _ := v.(map[string]any)
	list, ok := object["$in"].([]any)
	if !ok || len(object) != 1 || len(list) == 0 {
		return nil, false
	}
	targets := make([]string, len(list))
	for i, element := range list {
		text, ok := element.(string)
		if !ok {
			return nil, false
		}
		targets[i] = strings.ToLower(text)
	}
	return targets, true
}

// primitive is the searched form of a string, number or boolean.
func primitive(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return strings.ToLower(v), true
	case json.Number:
		return number(v), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// AppendJSON appends the JSON form of a predicate, which ParsePredicate reads.
func AppendJSON(to []byte, p Predicate) []byte {
	switch p := p.(type) {
	case All:
		return appendParts(append(to, `{"$all":`...), p)
	case Any:
		return appendParts(append(to, `{"$any":`...), p)
	case Not:
		if absent, ok := p.Predicate.(Exists); ok {
			return append(appendKey(to, absent.Key), `{"$exists":false}}`...)
		}
		return append(AppendJSON(append(to, `{"$not":`...), p.Predicate), '}')
	case Exists:
		return append(appendKey(to, p.Key), `{"$exists":true}}`...)
	case HasPrefix:
		return append(appendText(append(appendKey(to, p.Key), `{"$hasPrefix":`...), p.Prefix), "}}"...)
	case In:
		return append(appendTexts(append(appendKey(to, p.Key), `{"$in":`...), p.Values), "}}"...)
	}
	return append(to, "null"...)
}

func appendParts(to []byte, parts []Predicate) []byte {
	to = append(to, '[')
	for i, part := range parts {
		if i > 0 {
			to = append(to, ',')
		}
		to = AppendJSON(to, part)
	}
	return append(to, "]}"...)
}

func appendKey(to []byte, key string) []byte { return append(appendText(append(to, '{'), key), ':') }

func appendText(to []byte, text string) []byte { return catalogmodel.StringValue(text).AppendJSON(to) }

func appendTexts(to []byte, texts []string) []byte {
	to = append(to, '[')
	for i, text := range texts {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendText(to, text)
	}
	return append(to, ']')
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil || len(text) > 100 {
		return "…"
	}
	return string(text)
}

func tooMany() error { return invalid("", "has more than %d conditions", maxConditions) }

func invalid(at, format string, args ...any) error {
	if at == "" {
		at = "the query"
	}
	return service.InputError.Errorf("Invalid query: %s %s", at, fmt.Sprintf(format, args...))
}
