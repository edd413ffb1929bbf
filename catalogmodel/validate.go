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
// wrong, or nil. The verdict is that of Backstage.
func (r *Registry) Validate(e Entity) error {
	kind := r.lookup(e)
	schema := r.any
	if kind != nil {
		schema = kind.schema
	}
	violations := schema.check(e.root)
	violations = r.checkRoot(violations, e)
	violations = r.checkFormats(violations, e)
	if kind == nil {
		violations = r.checkKind(violations, e)
	}
	if len(violations) == 0 {
		return nil
	}
	return newValidationError(e, violations)
}

// newValidationError drops repetitions, adds positions, and brings violations into the order of the file.
func newValidationError(e Entity, violations []Violation) *ValidationError {
	unique := violations[:0]
	for _, v := range violations {
		if !slices.ContainsFunc(unique, func(u Violation) bool { return u.Path == v.Path && (u.Rule == v.Rule || u.Message == v.Message) }) {
			v.Position = e.root.positionOf(splitPointer(v.Path))
			unique = append(unique, v)
		}
	}
	slices.SortStableFunc(unique, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column),
			strings.Compare(a.Path, b.Path))
	})
	return &ValidationError{Ref: e.Ref(), File: e.file, Violations: unique}
}

// positionOf returns where the field at path stands: its value; its key, if the value is empty; or, if there is no
// such field, the object that lacks it.
func (v Value) positionOf(path []string) Position {
	position := v.Position()
	for _, step := range path {
		m := v.member(step)
		if m == nil {
			break
		}
		v = m.value
		if p := m.at.position(); p.Line > 0 {
			position = p
		} else if p := v.Position(); p.Line > 0 {
			position = p
		}
	}
	return position
}

func (r *Registry) checkRoot(violations []Violation, e Entity) []Violation {
	for _, m := range e.root.members() {
		if !slices.Contains(r.rootFields, m.key) {
			path := pointer(m.key)
			violations = slices.DeleteFunc(violations, func(v Violation) bool { return v.Path == path })
			violations = append(violations, Violation{Path: path, Rule: RuleUnknownField,
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
	violations = checkMap(violations, f.LabelKey, f.LabelValue, metadata.child("labels"), "labels")
	violations = checkMap(violations, f.AnnotationKey, f.AnnotationValue, metadata.child("annotations"), "annotations")
	for i, tag := range metadata.child("tags").Elements() {
		if tag.Type() == String && !f.Tag.Valid(tag.text) {
			violations = checkFormat(violations, f.Tag, tag, "metadata", "tags", strconv.Itoa(i))
		}
	}
	for i, link := range metadata.child("links").Elements() {
		if u := link.child("url"); u.Type() == String && !validURL(u.text) {
			violations = append(violations, Violation{Path: pointer("metadata", "links", strconv.Itoa(i), "url"), Rule: RuleFormat,
				Message: "must be an absolute URL, such as https://example.com/, not " + excerpt(u)})
		}
		for _, field := range []string{"title", "icon"} {
			if v := link.child(field); v.Type() == String && isBlank(v.text) {
				violations = append(violations, Violation{Path: pointer("metadata", "links", strconv.Itoa(i), field), Rule: RuleFormat,
					Message: "must not be blank"})
			}
		}
	}
	return violations
}

func checkFormat(violations []Violation, f Format, v Value, path ...string) []Violation {
	if v.Type() != String || f.Valid(v.text) {
		return violations
	}
	return append(violations, Violation{Path: pointer(path...), Rule: RuleFormat,
		Message: "must be " + f.Allowed + "; it is " + excerpt(v)})
}

func checkMap(violations []Violation, key, value Format, v Value, field string) []Violation {
	if v.Type() != Object {
		return violations
	}
	for _, m := range v.members() {
		if !key.Valid(m.key) {
			violations = append(violations, Violation{Path: pointer("metadata", field, m.key), Rule: RuleFormat,
				Message: "is not a valid key: it must be " + key.Allowed})
		}
		if m.value.Type() == String && !value.Valid(m.value.text) {
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
