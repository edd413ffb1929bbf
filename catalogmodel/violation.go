package catalogmodel

import (
	"fmt"
	"strings"
)

// Rules that a [Violation] can name beside the keywords of JSON Schema.
const (
	RuleFormat       = "format"       // the text has not the form that this field demands
	RuleUnknownField = "unknownField" // the root of an entity has no such field
	RuleUnknownKind  = "unknownKind"  // no such kind is registered, or not in this version
	RuleBadReference = "reference"    // the text is not a reference to an entity
)

// Violation is one thing that is wrong with an entity.
type Violation struct {
	// Path leads to the field, as a JSON Pointer (RFC 6901) such as "/metadata/tags/0". A field that is missing is named by
	// the path it should have.
	Path string

	// Rule is what the field violates: a keyword of JSON Schema such as "required", or one of the Rule constants.
	Rule string

	// Message says what is wrong and what is allowed, and continues the name of the field: "must be …".
	Message string

	// Position is where the field stands in its file, or the object that it is missing from. It is zero for an entity
	// that was not read from YAML.
	Position Position
}

// Field returns the path as people write it: "metadata.tags[0]", `metadata.annotations["example.com/x"]`.
func (v Violation) Field() string {
	if v.Path == "" {
		return "the entity"
	}
	var b strings.Builder
	for _, step := range splitPointer(v.Path) {
		switch {
		case isIdentifier(step):
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		case step != "" && strings.Trim(step, "0123456789") == "":
			b.WriteString("[" + step + "]")
		default:
			fmt.Fprintf(&b, "[%q]", step)
		}
	}
	return b.String()
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || (c < '0' || c > '9') && c != '-') {
			return false
		}
	}
	return s != ""
}

// String returns the field and what is wrong with it.
func (v Violation) String() string { return v.Field() + " " + v.Message }

var (
	pointerEscapes   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescapes = strings.NewReplacer("~1", "/", "~0", "~")
)

func pointer(steps ...string) string {
	var b strings.Builder
	for _, step := range steps {
		b.WriteByte('/')
		_, _ = pointerEscapes.WriteString(&b, step)
	}
	return b.String()
}

func splitPointer(p string) []string {
	if p == "" {
		return nil
	}
	steps := strings.Split(p[1:], "/")
	for i, step := range steps {
		steps[i] = pointerUnescapes.Replace(step)
	}
	return steps
}

// ValidationError reports everything that is wrong with an entity.
type ValidationError struct {
	Ref        Ref         // of the entity, as far as it has one
	File       string      // that the entity was read from, or ""
	Violations []Violation // at least one, in the order of the file
}

// Error names the entity and lists the violations, each with its place.
func (e *ValidationError) Error() string {
	var b strings.Builder
	b.WriteString("entity ")
	if e.Ref.Kind == "" || e.Ref.Name == "" {
		b.WriteString("without a kind or name")
	} else {
		b.WriteString(e.Ref.String())
	}
	b.WriteString(" is not valid: ")
	for i, v := range e.Violations {
		if i > 0 {
			b.WriteString("; ")
		}
		if e.File != "" || v.Position.Line > 0 {
			b.WriteString(place(e.File, v.Position))
		}
		b.WriteString(v.String())
	}
	return b.String()
}

// UnknownKind reports whether the only thing wrong is that no registered kind has the entity's kind and apiVersion:
// someone else may know it.
func (e *ValidationError) UnknownKind() bool {
	return len(e.Violations) == 1 && e.Violations[0].Rule == RuleUnknownKind
}
