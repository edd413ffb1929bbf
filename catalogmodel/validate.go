package catalogmodel

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Validate checks e against all rules: the schema that entities share, the schema of its kind, the formats of the fields in
// its metadata, and that it has no foreign fields at its root. It returns a [*ValidationError] with everything that is
// wrong (of hostile entities, the first 100 things), or nil. The verdict is that of Backstage.
func (r *Registry) Validate(e Entity) error {
	kind := r.lookup(e)
	schema := r.any
	if kind != nil {
		schema = kind.schema
	}
	violations := r.checkRoot(nil, e)
	violations = append(violations, schema.check(e.root)...)
	violations = r.checkFormats(violations, e)
	if kind == nil {
		violations = r.checkKind(violations, e)
	}
	if len(violations) == 0 {
		return nil
	}
	return newValidationError(e, violations)
}

// ValidateEnvelope checks only what it takes to give e a ref and process it further: an apiVersion, a kind, a name and, if it has
// one, a namespace, none of them empty. It returns a [*ValidationError], or nil.
func (r *Registry) ValidateEnvelope(e Entity) error {
	if violations := r.envelope.check(e.root); len(violations) > 0 {
		return newValidationError(e, violations)
	}
	return nil
}

// maxViolations is how many violations an error reports: enough for people, and a bound for hostile entities.
const maxViolations = 100

// newValidationError drops repetitions, adds positions, and brings violations into the order of the file.
func newValidationError(e Entity, violations []Violation) *ValidationError {
	type place struct{ path, what string }
	seen := make(map[place]bool, len(violations))
	failure := &ValidationError{Ref: e.Ref(), File: e.file}
	for _, v := range violations {
		if v.Rule == "additionalProperties" && seen[place{v.Path, RuleUnknownField}] {
			continue
		}
		if seen[place{v.Path, v.Rule}] || seen[place{v.Path, v.Message}] {
			continue
		}
		seen[place{v.Path, v.Rule}], seen[place{v.Path, v.Message}] = true, true
		if len(failure.Violations) == maxViolations {
			failure.More = true
			break
		}
		steps := splitPointer(v.Path)
		switch v.Rule {
		case RuleUnknownField, RuleKeyFormat, "additionalProperties":
			v.Position = e.root.keyPositionOf(steps)
		default:
			v.Position = e.root.positionOf(steps)
		}
		failure.Violations = append(failure.Violations, v)
	}
	slices.SortStableFunc(failure.Violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column),
			strings.Compare(a.Path, b.Path))
	})
	return failure
}

// positionOf returns where the field at path stands: its value, if that is a scalar; otherwise its key. A field that is missing
// stands where the object does that lacks it.
func (v Value) positionOf(path []string) Position {
	position := v.Position()
	for _, step := range path {
		m := v.members()
		if !m.seek(step) {
			return position
		}
		v = m.value
		position = cmp.Or(m.at, v.Position(), position)
	}
	if t := v.Type(); t == Array || t == Object || v.isEmpty() {
		return position
	}
	return cmp.Or(v.Position(), position)
}

// keyPositionOf returns where the key of the field at path stands.
func (v Value) keyPositionOf(path []string) Position {
	if m := v.Get(path[:len(path)-1]...).members(); m.seek(path[len(path)-1]) {
		return m.at
	}
	return v.positionOf(path)
}

func (r *Registry) checkRoot(violations []Violation, e Entity) []Violation {
	for m := e.root.members(); m.next(); {
		if len(violations) > maxViolations {
			break
		}
		if !slices.Contains(r.rootFields, m.key) {
			violations = append(violations, Violation{Path: pointer(m.key), Rule: RuleUnknownField,
				Message: "is not allowed: the fields of an entity are " + strings.Join(r.rootFields, ", ")})
		}
	}
	return violations
}

func (r *Registry) checkFormats(violations []Violation, e Entity) []Violation {
	f, metadata := &r.formats, e.Metadata()
	violations = checkFormat(violations, f.APIVersion, e.root.child("apiVersion"), "apiVersion")
	violations = checkFormat(violations, f.Kind, e.root.child("kind"), "kind")
	violations = checkFormat(violations, f.Name, metadata.child("name"), "metadata", "name")
	violations = checkFormat(violations, f.Namespace, metadata.child("namespace"), "metadata", "namespace")
	first := len(violations)
	violations = checkMap(violations, f.LabelKey, f.LabelValue, metadata.child("labels"), "labels")
	violations = checkMap(violations, f.AnnotationKey, f.AnnotationValue, metadata.child("annotations"), "annotations")
	for i, tag := range metadata.child("tags").Elements() {
		if len(violations)-first > maxViolations {
			break
		}
		if tag.Type() == String && !f.Tag.Valid(tag.content()) {
			violations = checkFormat(violations, f.Tag, tag, "metadata", "tags", strconv.Itoa(i))
		}
	}
	for i, link := range metadata.child("links").Elements() {
		if len(violations)-first > maxViolations {
			break
		}
		if u := link.child("url"); u.Type() == String && !validURL(u.content()) {
			violations = append(violations, Violation{Path: pointer("metadata", "links", strconv.Itoa(i), "url"), Rule: RuleFormat,
				Message: "must be an absolute URL, such as https://example.com/, not " + excerpt(u)})
		}
		for _, field := range []string{"title", "icon"} {
			if v := link.child(field); v.Type() == String && isBlank(v.content()) {
				violations = append(violations, Violation{Path: pointer("metadata", "links", strconv.Itoa(i), field), Rule: RuleFormat,
					Message: "must not be blank"})
			}
		}
	}
	return violations
}

func checkFormat(violations []Violation, f Format, v Value, path ...string) []Violation {
	if v.Type() != String || f.Valid(v.content()) {
		return violations
	}
	return append(violations, Violation{Path: pointer(path...), Rule: RuleFormat,
		Message: "must be " + f.Allowed + "; it is " + excerpt(v)})
}

func checkMap(violations []Violation, key, value Format, v Value, field string) []Violation {
	if v.Type() != Object {
		return violations
	}
	first := len(violations)
	for m := v.members(); m.next(); {
		if len(violations)-first > maxViolations {
			break
		}
		if !key.Valid(m.key) {
			violations = append(violations, Violation{Path: pointer("metadata", field, m.key), Rule: RuleKeyFormat,
				Message: "is not a valid key: it must be " + key.Allowed})
		}
		if m.value.Type() == String && !value.Valid(m.value.content()) {
			violations = checkFormat(violations, value, m.value, "metadata", field, m.key)
		}
	}
	return violations
}

func (r *Registry) checkKind(violations []Violation, e Entity) []Violation {
	kind, version := e.Kind(), e.APIVersion()
	if kind == "" || version == "" {
		return violations // the schema says so
	}
	if versions := r.names[kind]; versions != nil {
		return append(violations, Violation{Path: "/apiVersion", Rule: RuleUnknownKind,
			Message: fmt.Sprintf("must be one of %s for a %s, not %q", quotedList(versions), kind, version)})
	}
	names := make([]string, 0, len(r.names))
	for name := range r.names {
		names = append(names, name)
		if strings.EqualFold(name, kind) {
			return append(violations, Violation{Path: "/kind", Rule: RuleUnknownKind,
				Message: fmt.Sprintf("must be spelt %q, not %q", name, kind)})
		}
	}
	slices.Sort(names)
	return append(violations, Violation{Path: "/kind", Rule: RuleUnknownKind,
		Message: fmt.Sprintf("must be one of %s, not %q", quotedList(names), kind)})
}

func quotedList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(text)
	}
	return strings.Join(quoted, ", ")
}

// isBlank reports whether s is only what JavaScript's trim removes.
func isBlank(s string) bool { return trimSpace(s) == "" }

// trimSpace is JavaScript's trim.
func trimSpace(s string) string {
	return strings.Trim(s, "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff")
}
