package catalogmodel

import (
	"strings"
)

// Format is a rule for the text of a field.
type Format struct {
	Valid   func(text string) bool
	Allowed string // what is allowed, for messages: "must be …"
}

// Formats are the rules for the fields that all entities have. The zero value of a field stands for the rule of [DefaultFormats].
type Formats struct {
	APIVersion      Format
	Kind            Format
	Name            Format
	Namespace       Format
	LabelKey        Format
	LabelValue      Format
	AnnotationKey   Format
	AnnotationValue Format
	Tag             Format
}

// DefaultFormats returns the rules of Backstage, which follow those of Kubernetes.
func DefaultFormats() Formats {
	const (
		name  = "letters, digits, and - _ . between them, at most 63 characters"
		label = "lower-case letters, digits, and - between them, at most 63 characters"
		key   = "a name (" + name + "), perhaps with a DNS name and a slash before it, as in example.com/name"
	)
	return Formats{
		APIVersion: Format{
			Valid:   func(s string) bool { return validPrefixed(s, validAlphanumeric) },
			Allowed: "letters and digits, perhaps with a DNS name and a slash before them, as in backstage.io/v1alpha1",
		},
		Kind:          Format{Valid: validKind, Allowed: "letters and digits, beginning with a letter, at most 63 characters"},
		Name:          Format{Valid: validObjectName, Allowed: name},
		Namespace:     Format{Valid: validDNSLabel, Allowed: label},
		LabelKey:      Format{Valid: validKey, Allowed: key},
		LabelValue:    Format{Valid: func(s string) bool { return s == "" || validObjectName(s) }, Allowed: "empty, or " + name},
		AnnotationKey: Format{Valid: validKey, Allowed: key},
		AnnotationValue: Format{
			Valid:   func(string) bool { return true },
			Allowed: "a string",
		},
		Tag: Format{
			Valid:   func(s string) bool { return validWords(s, isTagByte, false) },
			Allowed: "lower-case letters, digits, any of : + #, and single - between them, at most 63 characters",
		},
	}
}

// or fills in the rules that f leaves out.
func (f Formats) or(defaults Formats) Formats {
	for _, pair := range []struct{ f, d *Format }{
		{&f.APIVersion, &defaults.APIVersion}, {&f.Kind, &defaults.Kind}, {&f.Name, &defaults.Name},
		{&f.Namespace, &defaults.Namespace}, {&f.LabelKey, &defaults.LabelKey}, {&f.LabelValue, &defaults.LabelValue},
		{&f.AnnotationKey, &defaults.AnnotationKey}, {&f.AnnotationValue, &defaults.AnnotationValue}, {&f.Tag, &defaults.Tag},
	} {
		if pair.f.Valid == nil {
			*pair.f = *pair.d
		}
	}
	return f
}

// maxText is the number of characters that names, labels, tags and their like may have.
const maxText = 63

func isLower(c byte) bool    { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
func isAlnum(c byte) bool    { return isLower(c) || 'A' <= c && c <= 'Z' }
func isTagByte(c byte) bool  { return isLower(c) || c == ':' || c == '+' || c == '#' }
func isNameByte(c byte) bool { return isAlnum(c) || c == '-' || c == '_' || c == '.' }

func validBytes(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= maxText
}

func validAlphanumeric(s string) bool { return validBytes(s, isAlnum) }

func validKind(s string) bool { return validAlphanumeric(s) && s[0] > '9' }

func validObjectName(s string) bool {
	return validBytes(s, isNameByte) && isAlnum(s[0]) && isAlnum(s[len(s)-1])
}

// validWords checks that s is words of allowed bytes, with hyphens between them: one, or several where runs is set.
func validWords(s string, allowed func(byte) bool, runs bool) bool {
	for i := range len(s) {
		switch {
		case allowed(s[i]):
		case s[i] != '-' || i == 0 || i == len(s)-1, !runs && s[i-1] == '-':
			return false
		}
	}
	return s != "" && len(s) <= maxText
}

func validDNSLabel(s string) bool { return validWords(s, isLower, true) }

func validDNSName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !validDNSLabel(label) {
			return false
		}
	}
	return true
}

func validKey(s string) bool { return validPrefixed(s, validObjectName) }

// validPrefixed checks a text of the form <suffix> or <DNS name>/<suffix>.
func validPrefixed(s string, validSuffix func(string) bool) bool {
	prefix, suffix, found := strings.Cut(s, "/")
	if !found {
		return validSuffix(s)
	}
	return validDNSName(prefix) && validSuffix(suffix)
}
