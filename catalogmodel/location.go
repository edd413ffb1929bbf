package catalogmodel

import (
	"fmt"
	"regexp"
	"strings"
)

// LocationRef names a place that entities are read from: a type such as "url" or "file", and a target whose meaning
// depends on the type.
type LocationRef struct {
	Type, Target string
}

// scriptURL matches what browsers take for a javascript: URL.
var scriptURL = regexp.MustCompile(`(?i)^[\x00-\x20]*` + strings.Join(strings.Split("javascript:", ""), `[\r\n\t]*`))

// ParseLocationRef reads a reference of the form <type>:<target>, trimming white space around both. It refuses URLs
// that lack the type ("https://…" instead of "url:https://…") and, since targets end up in links, script URLs. Errors
// are of type [*RefError]; their messages are Backstage's.
func ParseLocationRef(text string) (LocationRef, error) {
	fail := func(format string, args ...any) (LocationRef, error) {
		return LocationRef{}, &RefError{Ref: text, message: fmt.Sprintf(format, args...)}
	}
	kind, target, ok := strings.Cut(text, ":")
	kind, target = trimSpace(kind), trimSpace(target)
	switch {
	case !ok || kind == "" || target == "":
		return fail("Unable to parse location ref '%s', expected '<type>:<target>', e.g. 'url:https://host/path'", text)
	case kind == "http" || kind == "https":
		return fail("Invalid location ref '%s', please prefix it with 'url:', e.g. 'url:%s'", text, text)
	case scriptURL.MatchString(target):
		return fail("Invalid location ref '%s', target is a javascript: URL", text)
	}
	return LocationRef{kind, target}, nil
}

// String returns the form that [ParseLocationRef] reads.
func (l LocationRef) String() string { return l.Type + ":" + l.Target }

// SourceLocation returns the location of the entity's source, from its annotation or else from the location that it was
// read from.
func (e Entity) SourceLocation() (LocationRef, error) {
	text := e.Annotation(AnnotationSourceLocation)
	if text == "" {
		text = e.Annotation(AnnotationManagedByLocation)
	}
	if text == "" {
		return LocationRef{}, &RefError{message: fmt.Sprintf("Entity '%s' is missing location", e.Ref())}
	}
	return ParseLocationRef(text)
}
