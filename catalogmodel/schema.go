package catalogmodel

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// compiledSchema is a JSON Schema: as a plan, to let valid values pass, and as the library has it, to report on others.
type compiledSchema struct {
	schema    *jsonschema.Schema
	plan      *plan
	locations map[string]*jsonschema.Schema // schemas by their locations, to tell what violated keywords allow
}

// maxReportable is how many values an entity may have that goes to the schema library. It needs some kilobytes for each that
// is wrong, so that a hostile entity of a few megabytes would take gigabytes.
const maxReportable = 50_000

func countValues(v Value) int {
	n := 1
	for m := v.members(); m.next(); {
		n += countValues(m.value)
	}
	return n
}

// check returns what in v violates the schema.
func (s *compiledSchema) check(v Value) []Violation {
	if s.plan.proves(v) {
		return nil
	}
	if countValues(v) > maxReportable {
		return []Violation{{Rule: "schema", Message: fmt.Sprintf("is not valid, or not known to be, and has more than the %d values of which one can say why", maxReportable)}}
	}
	err := s.schema.Validate(schemaValue(v))
	if err == nil {
		return nil
	}
	var failure *jsonschema.ValidationError
	if !errors.As(err, &failure) {
		return []Violation{{Rule: "schema", Message: "cannot be checked: " + err.Error()}}
	}
	return s.report(failure, v)
}

// report turns the library's tree of failures into violations.
func (s *compiledSchema) report(failure *jsonschema.ValidationError, v Value) []Violation {
	location, keyword := cutLast(failure.AbsoluteKeywordLocation)
	path := decodePointer(failure.InstanceLocation)
	if keyword == "oneOf" || keyword == "anyOf" {
		return s.reportBranches(failure, v, path, keyword)
	}
	if len(failure.Causes) > 0 {
		var out []Violation
		for _, cause := range failure.Causes {
			out = append(out, s.report(cause, v)...)
		}
		return out
	}
	at := v.Get(splitPointer(path)...)
	schema := s.locations[location]
	if schema == nil {
		return []Violation{{Path: path, Rule: keyword, Message: "is not valid: " + failure.Message}}
	}
	switch keyword {
	case "required":
		var out []Violation
		for _, name := range schema.Required {
			if !at.has(name) {
				out = append(out, Violation{Path: path + pointer(name), Rule: keyword,
					Message: "is required" + allowed(", and must be ", schema.Properties[name])})
			}
		}
		return out
	case "additionalProperties":
		var out []Violation
		known := slices.Sorted(maps.Keys(schema.Properties))
		for name := range at.Fields() {
			if isAdditional(schema, name) {
				out = append(out, Violation{Path: path + pointer(name), Rule: keyword,
					Message: "is not allowed here, where only these fields are: " + strings.Join(known, ", ")})
			}
		}
		return out
	}
	return []Violation{{Path: path, Rule: keyword, Message: message(keyword, schema, at, failure.Message)}}
}

// reportBranches reports on the alternatives that come nearest: those that fail deepest inside of the value.
func (s *compiledSchema) reportBranches(failure *jsonschema.ValidationError, v Value, path, keyword string) []Violation {
	var best []Violation
	depth := -1
	for _, cause := range failure.Causes {
		violations := s.report(cause, v)
		shallowest := len(violations[0].Path)
		for _, violation := range violations {
			shallowest = min(shallowest, strings.Count(violation.Path, "/"))
		}
		switch {
		case shallowest > depth:
			best, depth = violations, shallowest
		case shallowest == depth:
			best = append(best, violations...)
		}
	}
	if depth > strings.Count(path, "/") {
		return best
	}
	var messages []string
	for _, violation := range best {
		if violation.Path == path {
			messages = append(messages, violation.Message)
		}
	}
	slices.Sort(messages)
	text := strings.Join(slices.Compact(messages), ", or ")
	if text == "" {
		text = "fits more than one of the formats that it may have"
	}
	return []Violation{{Path: path, Rule: keyword, Message: text}}
}

func isAdditional(schema *jsonschema.Schema, name string) bool {
	if _, ok := schema.Properties[name]; ok {
		return false
	}
	for re := range schema.PatternProperties {
		if re.MatchString(name) {
			return false
		}
	}
	return true
}

// message says what a value violates and what is allowed.
func message(keyword string, schema *jsonschema.Schema, at Value, original string) string {
	switch keyword {
	case "type":
		return "must be " + typeNames(schema.Types) + ", not " + article(at.Type().String())
	case "enum", "const":
		return "must be " + oneOf(slices.Concat(schema.Constant, schema.Enum)) + ", not " + excerpt(at)
	case "minLength":
		if schema.MinLength == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters", schema.MinLength)
	case "maxLength":
		return fmt.Sprintf("must have at most %d characters", schema.MaxLength)
	case "minItems":
		return fmt.Sprintf("must have at least %d elements, not %d", schema.MinItems, at.Len())
	case "maxItems":
		return fmt.Sprintf("must have at most %d elements, not %d", schema.MaxItems, at.Len())
	case "pattern":
		return fmt.Sprintf("must match %s, which %s does not", schema.Pattern, excerpt(at))
	}
	return "is not valid: " + original
}

// allowed says what schema asks for, after prefix; nothing, if it says little.
func allowed(prefix string, schema *jsonschema.Schema) string {
	switch {
	case schema == nil:
		return ""
	case len(schema.Constant)+len(schema.Enum) > 0:
		return prefix + oneOf(slices.Concat(schema.Constant, schema.Enum))
	case len(schema.Types) > 0:
		return prefix + typeNames(schema.Types)
	}
	return ""
}

func oneOf(values []any) string {
	texts := make([]string, len(values))
	for i, x := range values {
		v, err := ValueOf(x)
		if err != nil {
			return "one of a set"
		}
		texts[i] = string(v.AppendJSON(nil))
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "one of " + strings.Join(texts, ", ")
}

func typeNames(types []string) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = article(t)
	}
	return strings.Join(names, " or ")
}

func article(name string) string {
	switch name {
	case "null":
		return name
	case "array", "object", "integer":
		return "an " + name
	}
	return "a " + name
}

// excerpt quotes a value, shortened, for messages.
func excerpt(v Value) string {
	text := string(v.AppendJSON(nil))
	if v.Type() == String {
		text = strconv.Quote(v.content())
	}
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func cutLast(location string) (before, last string) {
	i := strings.LastIndexByte(location, '/')
	return location[:i], location[i+1:]
}

// decodePointer undoes the percent-encoding that the library gives JSON Pointers.
func decodePointer(p string) string {
	if decoded, err := url.PathUnescape(p); err == nil {
		return decoded
	}
	return p
}
