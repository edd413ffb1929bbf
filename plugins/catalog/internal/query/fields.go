package query

import (
	"slices"
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

// Select returns what the fields select of the entity. A path that leads nowhere selects nothing.
func (f Fields) Select(e catalogmodel.Entity) catalogmodel.Entity {
	out, _ := catalogmodel.EntityOf(map[string]any{}) // an object can't fail
	for _, field := range f {
		if path, v := find(e.Value(), field); v.Exists() {
			out = out.With(v, path...)
		}
	}
	return out
}

// find follows a path, of which no one says where its keys end: keys may have dots. As in Backstage, the shortest key that exists is
// taken, step by step.
func find(v catalogmodel.Value, field string) ([]string, catalogmodel.Value) {
	var path []string
	key := ""
	for part := range strings.SplitSeq(field, ".") {
		key += part
		next := catalogmodel.Value{}
		if v.Type() == catalogmodel.Object {
			next = v.Get(key)
		}
		if !next.Exists() {
			key += "."
			continue
		}
		path, v, key = append(path, key), next, ""
	}
	if key != "" {
		return nil, catalogmodel.Value{}
	}
	return path, v
}
