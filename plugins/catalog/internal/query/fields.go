package query

import (
	"slices"
	"strconv"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/service"
)

// Fields selects parts of an entity: paths joined by dots. None selects everything.
type Fields []string

// ParseFields reads comma-separated lists of paths. Paths into arrays are refused with an InputError.
func ParseFields(lists ...string) (Fields, error) {
	var fields Fields
	for _, list := range lists {
		for field := range strings.SplitSeq(list, ",") {
			field = strings.TrimSpace(field)
			if field == "" || slices.Contains(fields, field) {
				continue
			}
			if strings.Contains(field, "[") {
				return nil, service.InputError.Errorf("Invalid field %q, array type fields are not supported", field)
			}
			fields = append(fields, field)
		}
	}
	return fields, nil
}

// Select returns what the fields select of the entity. A path that leads nowhere selects nothing. A number in a path is the index of an element,
// which keeps its place: what is not selected before it is null, as in Backstage.
func (f Fields) Select(e catalogmodel.Entity) catalogmodel.Entity {
	out, _ := catalogmodel.EntityOf(map[string]any{}) // an object can't fail
	for _, field := range f {
		switch path, v, arrays := find(e.Value(), field); {
		case !v.Exists():
		case arrays:
			out, _ = catalogmodel.EntityOf(place(out.Value(), e.Value(), path, v)) // an object, as the entity is
		default:
			out = out.With(v, path...)
		}
	}
	return out
}

// find follows a path, of which no one says where its keys end: keys may have dots. As in Backstage, the shortest key that exists is
// taken, step by step. It tells whether there are arrays on the way.
func find(v catalogmodel.Value, field string) (path []string, found catalogmodel.Value, arrays bool) {
	key := ""
	for part := range strings.SplitSeq(field, ".") {
		key += part
		next := v.Get(key)
		if !next.Exists() {
			key += "."
			continue
		}
		arrays = arrays || v.Type() == catalogmodel.Array
		path, v, key = append(path, key), next, ""
	}
	if key != "" {
		return nil, catalogmodel.Value{}, false
	}
	return path, v, arrays
}

// place returns to, which may be absent, with what stands at a path of from.
func place(to, from catalogmodel.Value, path []string, v catalogmodel.Value) catalogmodel.Value {
	if len(path) == 0 {
		return v
	}
	step := path[0]
	part := place(to.Get(step), from.Get(step), path[1:], v)
	if from.Type() == catalogmodel.Object {
		if !to.Exists() {
			to, _ = catalogmodel.ValueOf(map[string]any{}) // these can't fail
		}
		return to.With(part, step)
	}
	var elements []any
	for _, element := range to.Elements() {
		elements = append(elements, element)
	}
	i, _ := strconv.Atoi(step) // it has been found
	for len(elements) <= i {
		elements = append(elements, nil)
	}
	elements[i] = part
	list, _ := catalogmodel.ValueOf(elements)
	return list
}
