package ingest

import (
	"slices"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// resolver gives the value that stands in for a placeholder.
type resolver func(key string, v catalogmodel.Value) (catalogmodel.Value, error)

// placeholders are the operators of objects that stand for the content of a file: {$text: ./openapi.yaml}.
var placeholders = []string{"text", "json", "yaml"}

// substitute replaces the placeholders in v by what they stand for.
func substitute(v catalogmodel.Value, resolve resolver) (catalogmodel.Value, bool, error) {
	switch v.Type() {
	case catalogmodel.Array:
		elements := make([]any, 0, v.Len())
		changed := false
		for _, element := range v.Elements() {
			replaced, c, err := substitute(element, resolve)
			if err != nil {
				return v, false, err
			}
			elements, changed = append(elements, replaced), changed || c
		}
		if !changed {
			return v, false, nil
		}
		out, err := catalogmodel.ValueOf(elements)
		return out, true, err
	case catalogmodel.Object:
		for key, value := range v.Fields() {
			name, isOperator := strings.CutPrefix(key, "$")
			if !isOperator {
				continue
			}
			if v.Len() > 1 || !slices.Contains(placeholders, name) {
				return v, false, nil
			}
			out, err := resolve(name, value)
			return out, true, err
		}
		return substituteFields(v, resolve)
	}
	return v, false, nil
}

func substituteFields(v catalogmodel.Value, resolve resolver) (catalogmodel.Value, bool, error) {
	holder, err := catalogmodel.EntityOf(v)
	if err != nil {
		return v, false, err
	}
	changed := false
	for key, field := range v.Fields() {
		replaced, c, err := substitute(field, resolve)
		if err != nil {
			return v, false, err
		}
		if c {
			holder, changed = holder.With(replaced, key), true
		}
	}
	return holder.Value(), changed, nil
}
