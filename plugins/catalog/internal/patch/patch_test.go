package patch_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portico-dev/portico/catalogmodel"
	"github.com/portico-dev/portico/plugins/catalog/internal/patch"
)

// genValue makes JSON values that are often alike.
func genValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.IntRange(0, 5).Draw(t, "kind")
		switch {
		case kind == 4 && depth > 0:
			return map[string]any(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "~", "/"}), genValue(depth-1), 0, 3).Draw(t, "object"))
		case kind == 5 && depth > 0:
			return rapid.SliceOfN(genValue(depth-1), 0, 4).Draw(t, "array")
		}
		return rapid.SampledFrom([]any{nil, true, "a", "b", json.Number("1")}).Draw(t, "value")
	})
}

// TestDiff applies patches by the book.
func TestDiff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before, after := genValue(3).Draw(t, "before"), genValue(3).Draw(t, "after")
		was, err := catalogmodel.ValueOf(before)
		if err != nil {
			t.Fatal(err)
		}
		is, err := catalogmodel.ValueOf(after)
		if err != nil {
			t.Fatal(err)
		}
		ops := patch.Diff(was, is)
		if (len(ops) == 0) != reflect.DeepEqual(was.Any(), is.Any()) {
			t.Fatalf("%s and %s differ by %v", was, is, ops)
		}
		got := was.Any()
		for _, op := range ops {
			if got, err = apply(got, op); err != nil {
				t.Fatalf("%s to %s: %v: %v", was, is, ops, err)
			}
		}
		if !reflect.DeepEqual(got, is.Any()) {
			t.Fatalf("%s to %s: %v leads to %v", was, is, ops, got)
		}
	})
}

// apply is RFC 6902.
func apply(doc any, op patch.Operation) (any, error) {
	var value any
	if op.Value != nil {
		value = op.Value.Any()
	}
	if op.Path == "" {
		if op.Op != "replace" {
			return nil, fmt.Errorf("%s of everything", op.Op)
		}
		return value, nil
	}
	keys := strings.Split(op.Path, "/")[1:]
	return step(doc, keys, op.Op, value)
}

func step(doc any, keys []string, op string, value any) (any, error) {
	key := strings.NewReplacer("~1", "/", "~0", "~").Replace(keys[0])
	switch doc := doc.(type) {
	case map[string]any:
		old, exists := doc[key]
		if exists == (op == "add") && len(keys) == 1 || !exists && len(keys) > 1 {
			return nil, fmt.Errorf("%s of %s", op, key)
		}
		if len(keys) > 1 {
			changed, err := step(old, keys[1:], op, value)
			doc[key] = changed
			return doc, err
		}
		if delete(doc, key); op != "remove" {
			doc[key] = value
		}
		return doc, nil
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i > len(doc) || i == len(doc) && (op != "add" || len(keys) > 1) {
			return nil, fmt.Errorf("%s of element %s", op, key)
		}
		switch {
		case len(keys) > 1:
			doc[i], err = step(doc[i], keys[1:], op, value)
			return doc, err
		case op == "add":
			return slices.Insert(doc, i, value), nil
		case op == "remove":
			return slices.Delete(doc, i, i+1), nil
		}
		doc[i] = value
		return doc, nil
	}
	return nil, fmt.Errorf("there is nothing at %s", key)
}

func TestDiffOfLists(t *testing.T) {
	t.Parallel()
	parse := func(text string) catalogmodel.Value {
		v, err := catalogmodel.ParseValue([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	ops, err := json.Marshal(patch.Diff(parse(`{"a": [1, 2, 3, 4], "b": 1}`), parse(`{"a": [1, {"x": 2}, 4], "b": 2, "c": null}`)))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"op":"replace","path":"/a/1","value":{"x":2}},{"op":"remove","path":"/a/2"},{"op":"replace","path":"/b","value":2},{"op":"add","path":"/c","value":null}]`
	if string(ops) != want {
		t.Errorf("got  %s\nwant %s", ops, want)
	}
}
