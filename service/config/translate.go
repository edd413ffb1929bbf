package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// translator puts what a JSON Schema finds wrong into words.
type translator struct {
	*checker
	document any
	values   any
}

func (t *translator) translate(e *jsonschema.ValidationError) {
	for _, leaf := range t.leaves(e) {
		t.problem(leaf)
	}
}

// leaves are the errors that matter.
func (t *translator) leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	switch keyword(e) {
	case "anyOf", "oneOf":
		return t.alternative(e)
	}
	var leaves []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		leaves = append(leaves, t.leaves(cause)...)
	}
	return leaves
}

// alternative finds out of several forms the one that was probably meant, and returns what is wrong with it.
func (t *translator) alternative(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	var forms [][]*jsonschema.ValidationError
	for _, cause := range e.Causes {
		forms = append(forms, t.leaves(cause))
	}
	ofType := func(leaf *jsonschema.ValidationError) bool {
		return keyword(leaf) == "type" && leaf.InstanceLocation == e.InstanceLocation
	}
	var fitting [][]*jsonschema.ValidationError
	for _, form := range forms {
		if !slices.ContainsFunc(form, ofType) {
			fitting = append(fitting, form)
		}
	}
	if len(fitting) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	// Forms are told from each other by constants of theirs, such as the type of a connection.
	other := func(leaf *jsonschema.ValidationError) bool {
		return (keyword(leaf) == "const" || keyword(leaf) == "enum") && parent(leaf.InstanceLocation) == e.InstanceLocation
	}
	var meant [][]*jsonschema.ValidationError
	for _, form := range fitting {
		if !slices.ContainsFunc(form, other) {
			meant = append(meant, form)
		}
	}
	if len(meant) > 0 {
		return slices.MinFunc(meant, func(a, b []*jsonschema.ValidationError) int { return len(a) - len(b) })
	}
	if len(fitting) == 1 {
		return fitting[0]
	}
	return []*jsonschema.ValidationError{e}
}

// keyword is the one that an error is about.
func keyword(e *jsonschema.ValidationError) string {
	return e.AbsoluteKeywordLocation[strings.LastIndexByte(e.AbsoluteKeywordLocation, '/')+1:]
}

// location turns a location of the library into a pointer.
func location(escaped string) string {
	if unescaped, err := url.PathUnescape(escaped); err == nil {
		return unescaped
	}
	return escaped
}

// at finds what is at a pointer.
func at(value any, pointer string) any {
	for _, s := range segments(pointer) {
		switch v := value.(type) {
		case map[string]any:
			value = v[s]
		case []any:
			i, err := strconv.Atoi(s)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// wants is the value of the keyword that an error is about, and the schema that has it.
func (t *translator) wants(e *jsonschema.ValidationError) (value any, schema map[string]any) {
	_, pointer, _ := strings.Cut(e.AbsoluteKeywordLocation, "#")
	pointer = location(pointer)
	schema, _ = at(t.document, parent(pointer)).(map[string]any)
	return at(t.document, pointer), schema
}

func (t *translator) add(pointer, suggestion, format string, args ...any) {
	p := t.where(pointer).problem(pointer, format, args...)
	p.Suggestion = suggestion
	t.problems = append(t.problems, p)
}

func (t *translator) problem(e *jsonschema.ValidationError) {
	pointer := location(e.InstanceLocation)
	value := at(t.values, pointer)
	wanted, schema := t.wants(e)
	say := func(format string, args ...any) { t.add(pointer, "", format, args...) }
	switch keyword(e) {
	case "type":
		say("must be %s, is %s", typesInWords(strs(wanted)), describe(value))
	case "anyOf", "oneOf":
		t.noForm(e, pointer, value)
	case "const", "enum":
		t.choice(pointer, value, list(keyword(e), wanted))
	case "required":
		object, _ := value.(map[string]any)
		for _, name := range strs(wanted) {
			if _, there := object[name]; !there {
				missing := child(pointer, name)
				t.add(missing, "", "%s", t.missing(missing))
			}
		}
	case "additionalProperties":
		object, _ := value.(map[string]any)
		declared, _ := schema["properties"].(map[string]any)
		for name := range object {
			if _, known := declared[name]; !known {
				t.add(child(pointer, name), "", "is not a known key")
			}
		}
	case "minimum":
		say("must be at least %v%s", wanted, t.shown(pointer, value))
	case "maximum":
		say("must be at most %v%s", wanted, t.shown(pointer, value))
	case "exclusiveMinimum":
		say("must be more than %v%s", wanted, t.shown(pointer, value))
	case "exclusiveMaximum":
		say("must be less than %v%s", wanted, t.shown(pointer, value))
	case "multipleOf":
		say("must be a multiple of %v%s", wanted, t.shown(pointer, value))
	case "minLength":
		if value == "" {
			say("must not be empty")
		} else {
			say("must have at least %v characters", wanted)
		}
	case "maxLength":
		say("must have at most %v characters", wanted)
	case "pattern":
		say("must match %v%s", wanted, t.shown(pointer, value))
	case "format":
		say("must be a valid %v%s", wanted, t.shown(pointer, value))
	case "minItems":
		say("must have at least %v entries", wanted)
	case "maxItems":
		say("must have at most %v entries", wanted)
	case "uniqueItems":
		say("must not have the same entry twice")
	case "minProperties":
		say("must have at least %v keys", wanted)
	case "maxProperties":
		say("must have at most %v keys", wanted)
	case "not":
		say("is not allowed as it is")
	default:
		if schema == nil && wanted == false {
			say("must not be set")
			return
		}
		say("%s", e.Message)
	}
}

// noForm says that a value has none of several forms.
func (t *translator) noForm(e *jsonschema.ValidationError, pointer string, value any) {
	if len(e.Causes) == 0 {
		t.add(pointer, "", "has several of the possible forms at once, but must have exactly one")
		return
	}
	var types []string
	choices := map[string][]any{}
	for _, cause := range e.Causes {
		for _, leaf := range t.leaves(cause) {
			wanted, _ := t.wants(leaf)
			switch keyword(leaf) {
			case "type":
				types = append(types, strs(wanted)...)
			case "const", "enum":
				at := location(leaf.InstanceLocation)
				choices[at] = append(choices[at], list(keyword(leaf), wanted)...)
			}
		}
	}
	if len(choices) > 0 {
		// The constant that most forms have tells them from each other.
		best := ""
		for at, c := range choices {
			if best == "" || len(c) > len(choices[best]) || len(c) == len(choices[best]) && at < best {
				best = at
			}
		}
		t.choice(best, at(t.values, best), choices[best])
		return
	}
	if len(types) > 0 {
		t.add(pointer, "", "must be %s, is %s", typesInWords(types), describe(value))
		return
	}
	t.add(pointer, "", "has none of the possible forms")
}

func (t *translator) choice(pointer string, value any, choices []any) {
	var words []string
	for _, c := range choices {
		if w := fmt.Sprint(c); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	suggestion := ""
	if text, ok := value.(string); ok && !t.secret[pointer] {
		suggestion = Nearest(text, words)
	}
	if len(words) == 1 {
		t.add(pointer, suggestion, "must be %s%s", words[0], t.shown(pointer, value))
		return
	}
	t.add(pointer, suggestion, "must be one of %s%s", strings.Join(words, ", "), t.shown(pointer, value))
}

func list(keyword string, wanted any) []any {
	if keyword == "enum" {
		choices, _ := wanted.([]any)
		return choices
	}
	return []any{wanted}
}

// strs are the strings of a string or an array.
func strs(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		var all []string
		for _, v := range value {
			if s, ok := v.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

// typesInWords are types of JSON Schema in words: "a string or a number".
func typesInWords(types []string) string {
	words := map[string]string{"string": "a string", "number": "a number", "integer": "a whole number", "boolean": "true or false",
		"array": "an array", "object": "an object", "null": "null"}
	var all []string
	for _, t := range types {
		if w := words[t]; w != "" && !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}
