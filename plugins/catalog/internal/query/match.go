package query

import (
	"iter"
	"slices"
	"strings"
)

// Match tells whether the predicate holds for an entity with these terms. Nil holds always.
func Match(p Predicate, terms []Term) bool {
	switch p := p.(type) {
	case All:
		return !slices.ContainsFunc(p, func(part Predicate) bool { return !Match(part, terms) })
	case Any:
		return slices.ContainsFunc(p, func(part Predicate) bool { return Match(part, terms) })
	case Not:
		return !Match(p.Predicate, terms)
	case Exists:
		return slices.ContainsFunc(terms, func(t Term) bool { return t.Key == p.Key })
	case In:
		return slices.ContainsFunc(terms, func(t Term) bool { return t.Key == p.Key && !t.Null && slices.Contains(p.Values, t.Value) })
	case HasPrefix:
		return slices.ContainsFunc(terms, func(t Term) bool { return t.Key == p.Key && !t.Null && strings.HasPrefix(t.Value, p.Prefix) })
	}
	return true
}

// Keys are the keys that a predicate asks for; those of several conditions come several times.
func Keys(p Predicate) iter.Seq[string] {
	return func(yield func(string) bool) { keys(p, yield) }
}

func keys(p Predicate, yield func(string) bool) bool {
	switch p := p.(type) {
	case All:
		return !slices.ContainsFunc(p, func(part Predicate) bool { return !keys(part, yield) })
	case Any:
		return !slices.ContainsFunc(p, func(part Predicate) bool { return !keys(part, yield) })
	case Not:
		return keys(p.Predicate, yield)
	case Exists:
		return yield(p.Key)
	case In:
		return yield(p.Key)
	case HasPrefix:
		return yield(p.Key)
	}
	return true
}
