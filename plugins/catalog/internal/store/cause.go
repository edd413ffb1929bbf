package store

import (
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// Action tells what happened to a final entity.
type Action string

// The actions.
const (
	Created Action = "created"
	Updated Action = "updated"
	Deleted Action = "deleted"
)

func (c Change) action() Action {
	switch {
	case c.JSON == nil:
		return Deleted
	case c.before == nil:
		return Created
	}
	return Updated
}

// Reason tells why a final entity changed.
type Reason string

// The reasons.
const (
	// Content: the entity is new, or what was brought differs, or what processing made of it.
	Content Reason = "content"
	// Relations came or went, and nothing else changed.
	Relations Reason = "relations"
	// Status: the errors of processing came or went, and nothing else changed but perhaps relations.
	Status Reason = "status"
	// Orphaned: nobody brings the entity any more.
	Orphaned Reason = "orphaned"
	// Adopted: it was an orphan, and somebody brings it again.
	Adopted Reason = "adopted"
	// Withdrawn: a provider has taken it away, or that from which it came.
	Withdrawn Reason = "withdrawn"
)

// Cause is what led to a change of a final entity.
type Cause struct {
	Reason Reason
	// Provider is the entity provider that brings the entity or has taken it away, or empty.
	Provider string
	// Parent is the ref of the entity whose processing led to this one, or empty.
	Parent string
}

// causeOf is the cause with who brings the entity, and without a reason.
func causeOf(source string) Cause {
	if provider, ok := strings.CutPrefix(source, "@"); ok {
		return Cause{Provider: provider}
	}
	return Cause{Parent: source}
}

// encode is the form that is stored: the reason, and who brings the entity as in refresh_state_references.
func (c Cause) encode() string {
	switch {
	case c.Provider != "":
		return string(c.Reason) + " " + providerSource(c.Provider)
	case c.Parent != "":
		return string(c.Reason) + " " + c.Parent
	}
	return string(c.Reason)
}

func decodeCause(text string) Cause {
	reason, source, _ := strings.Cut(text, " ")
	c := causeOf(source)
	c.Reason = Reason(reason)
	return c
}

// reasonOf compares two final forms of an entity.
func reasonOf(before, after []byte) Reason {
	was, err := catalogmodel.ParseJSON(before)
	if err != nil {
		return Content
	}
	is, err := catalogmodel.ParseJSON(after)
	if err != nil {
		return Content
	}
	orphan, orphaned := was.Annotation(catalogmodel.AnnotationOrphan) != "", is.Annotation(catalogmodel.AnnotationOrphan) != ""
	switch {
	case orphaned && !orphan:
		return Orphaned
	case orphan && !orphaned:
		return Adopted
	}
	same := func(path ...string) bool { return was.Get(path...).String() == is.Get(path...).String() }
	rest := func(e catalogmodel.Entity) string {
		return e.Without("relations").Without("status").Without("metadata", "etag").Without("metadata", "uid").String()
	}
	switch {
	case rest(was) != rest(is):
		return Content
	case !same("status"):
		return Status
	case !same("relations"):
		return Relations
	}
	return Content
}
