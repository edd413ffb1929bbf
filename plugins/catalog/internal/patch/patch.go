// Package patch tells how one JSON value becomes another, as a JSON Patch (RFC 6902).
package patch

import (
	"strconv"
	"strings"

	"github.com/portico-dev/portico/catalogmodel"
)

// Operation is a step of a patch.
type Operation struct {
	// Op is "add", "remove" or "replace".
	Op string `json:"op"`
	// Path is a JSON Pointer (RFC 6901).
	Path string `json:"path"`
	// Value is the new value. It is absent if there is none.
	Value *catalogmodel.Value `json:"value,omitempty"`
}

// Diff is a patch that makes after of before. The order of the fields of objects does not matter. Of arrays, the same elements at the
// beginning and at the end are left alone.
func Diff(before, after catalogmodel.Value) []Operation {
	return diff(nil, "", before, after)
}

func diff(ops []Operation, path string, before, after catalogmodel.Value) []Operation {
	switch {
	case !before.Exists() && !after.Exists():
		return ops
	case !before.Exists():
		return append(ops, Operation{Op: "add", Path: path, Value: &after})
	case !after.Exists():
		return append(ops, Operation{Op: "remove", Path: path})
	case before.Type() == catalogmodel.Object && after.Type() == catalogmodel.Object:
		return diffObject(ops, path, before, after)
	case before.Type() == catalogmodel.Array && after.Type() == catalogmodel.Array:
		return diffArray(ops, path, before, after)
	case same(before, after):
		return ops
	}
	return append(ops, Operation{Op: "replace", Path: path, Value: &after})
}

func diffObject(ops []Operation, path string, before, after catalogmodel.Value) []Operation {
	for key, was := range before.Fields() {
		ops = diff(ops, join(path, key), was, after.Get(key))
	}
	for key, is := range after.Fields() {
		if !before.Get(key).Exists() {
			ops = diff(ops, join(path, key), catalogmodel.Value{}, is)
		}
	}
	return ops
}

func diffArray(ops []Operation, path string, before, after catalogmodel.Value) []Operation {
	was, is := elements(before), elements(after)
	start := 0
	for start < min(len(was), len(is)) && same(was[start], is[start]) {
		start++
	}
	end := 0 // the number of elements at the end that are the same
	for end < min(len(was), len(is))-start && same(was[len(was)-1-end], is[len(is)-1-end]) {
		end++
	}
	was, is = was[start:len(was)-end], is[start:len(is)-end]
	both := min(len(was), len(is))
	for i := range both {
		ops = diff(ops, join(path, strconv.Itoa(start+i)), was[i], is[i])
	}
	for range was[both:] { // each moves the others up
		ops = diff(ops, join(path, strconv.Itoa(start+both)), was[both], catalogmodel.Value{})
	}
	for i, v := range is[both:] {
		ops = diff(ops, join(path, strconv.Itoa(start+both+i)), catalogmodel.Value{}, v)
	}
	return ops
}

func elements(array catalogmodel.Value) []catalogmodel.Value {
	all := make([]catalogmodel.Value, 0, array.Len())
	for _, v := range array.Elements() {
		all = append(all, v)
	}
	return all
}

func same(a, b catalogmodel.Value) bool {
	return a.Type() == b.Type() && (a.String() == b.String() || len(diffSame(a, b)) == 0)
}

// diffSame compares objects and arrays whose text differs, perhaps in the order of fields only.
func diffSame(a, b catalogmodel.Value) []Operation {
	switch a.Type() {
	case catalogmodel.Object:
		return diffObject(nil, "", a, b)
	case catalogmodel.Array:
		if a.Len() == b.Len() {
			return diffArray(nil, "", a, b)
		}
	}
	return []Operation{{}}
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// join is the JSON Pointer to a field or element.
func join(path, key string) string { return path + "/" + escaper.Replace(key) }
