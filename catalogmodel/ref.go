package catalogmodel

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ref names an entity: by its kind, its namespace and its name. Its text form is [<kind>:][<namespace>/]<name>.
//
// Refs that differ only in case name the same entity: compare them with [Ref.Equal], or by their canonical form,
// [Ref.String]; == tells spellings apart.
type Ref struct {
	Kind, Namespace, Name string
}

// RefDefaults is what [ParseRef] fills in for parts that a reference leaves out.
type RefDefaults struct {
	Kind      string // none: the reference must name its kind
	Namespace string // none: DefaultNamespace
}

// ParseRef reads a reference in its full or a partial form and keeps its spelling. There is no escaping: the kind is what
// stands before the first colon, unless a slash comes earlier; the namespace, what stands before the first slash. What the
// parts may consist of is for validation to say. The grammar and the error messages are Backstage's.
func ParseRef(text string, defaults RefDefaults) (Ref, error) {
	if text == "" {
		return Ref{}, &RefError{message: "Entity reference must not be empty"}
	}
	colon, slash := strings.IndexByte(text, ':'), strings.IndexByte(text, '/')
	if slash >= 0 && slash < colon {
		colon = -1
	}
	ref := Ref{
		Kind:      defaults.Kind,
		Namespace: cmp.Or(defaults.Namespace, DefaultNamespace),
		Name:      text[max(colon, slash)+1:],
	}
	malformed := ref.Name == ""
	if colon >= 0 {
		ref.Kind = text[:colon]
		malformed = malformed || ref.Kind == ""
	}
	if slash >= 0 {
		ref.Namespace = text[colon+1 : slash]
		malformed = malformed || ref.Namespace == ""
	}
	if malformed {
		return Ref{}, &RefError{Ref: text, message: fmt.Sprintf(
			"Entity reference \"%s\" was not on the form [<kind>:][<namespace>/]<name>", text)}
	}
	if ref.Kind == "" {
		return Ref{}, refWithout("kind", text, ` (e.g. did not start with "component:" or similar)`)
	}
	return ref, nil
}

func refWithout(part, text, hint string) error {
	quoted := string(appendString(nil, text))
	return &RefError{Ref: text, message: fmt.Sprintf("Entity reference %s had missing or empty %s%s", quoted, part, hint)}
}

// RefError reports a text that is not a reference, to an entity or to a location.
type RefError struct {
	Ref     string // the text
	message string
}

func (e *RefError) Error() string { return e.message }

// String returns the canonical form, <kind>:<namespace>/<name> in lower case, which equal refs share and databases store.
// An empty namespace is written as [DefaultNamespace].
func (r Ref) String() string {
	return lower(r.Kind) + ":" + lower(cmp.Or(r.Namespace, DefaultNamespace)) + "/" + lower(r.Name)
}

// Equal reports whether r and s name the same entity.
func (r Ref) Equal(s Ref) bool {
	return r == s || r.String() == s.String()
}

// MarshalText implements [encoding.TextMarshaler] by [Ref.String].
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]: text must name a kind.
func (r *Ref) UnmarshalText(text []byte) error {
	ref, err := ParseRef(string(text), RefDefaults{})
	if err != nil {
		return err
	}
	*r = ref
	return nil
}

// lower folds s as JavaScript's String.prototype.toLowerCase does, which is that of Unicode without any locale.
// Go maps rune by rune; the two special cases it leaves out are İ, which has two code points in lower case, and the
// final sigma (Unicode Standard, section 3.13 and SpecialCasing.txt).
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return lowerUnicode(s)
		}
	}
	return strings.ToLower(s)
}

func lowerUnicode(s string) string {
	if !strings.ContainsAny(s, "İΣ") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == 'İ':
			b.WriteString("i̇")
		case r == 'Σ' && isFinal(s, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// isFinal reports whether the sigma at i ends a word: a cased letter stands before it, and none after, not counting
// what is case-ignorable.
func isFinal(s string, i int) bool {
	before, after := s[:i], s[i+len("Σ"):]
	for before != "" {
		r, n := utf8.DecodeLastRuneInString(before)
		if !caseIgnorable(r) {
			if !cased(r) {
				return false
			}
			break
		}
		before = before[:len(before)-n]
	}
	if before == "" {
		return false
	}
	for _, r := range after {
		if !caseIgnorable(r) {
			return !cased(r)
		}
	}
	return true
}

func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

// midWord has the characters of the Word_Break classes MidLetter, MidNumLet and Single_Quote (Unicode Standard Annex 29).
const midWord = "'.:··՟״‧︓﹕：․﹒＇．‘’"

func caseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune(midWord, r)
}
